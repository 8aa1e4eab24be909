//! Q0, records and class definitions.

use hyper::StatusCode;
use miko_rpc::{Error, ErrorId};
use miko_shared::server::JsonCall;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::method::{call, one_param, stream_handle, unexpected};
use super::tags;
use crate::asked::Asked;
use crate::body::ResponseBody;
use crate::reply::{self, Answer, JSON};

use crate::stream;

/// Runs one Q0 request. The body of the response is that of Q0. If a form of streams is asked for, the
/// records of a select are sent in it, however many.
pub(super) async fn q0(asked: Asked) -> Answer {
    let caller = match asked.session()? {
        Some(session) => session,
        None => asked.single_call(),
    };
    let form = stream::Form::of_request(&asked.headers);
    let counts = asked.connection.http.counts.clone();
    let query = asked.json_text().await?;
    let params = one_param(&query)?;
    let method = if form.is_some() { "select_stream" } else { "q0" };
    let response = caller.call(JsonCall { object: None, method, params: &params }).await?;
    match form {
        Some(form) => {
            let stream = stream_handle(&response)?;
            Ok(stream::respond(&counts, caller, stream, form))
        }
        None => Ok(reply::json(response.get())),
    }
}

/// The record with this pk.
pub(super) async fn record(asked: Asked, pk: &str) -> Answer {
    #[derive(Deserialize)]
    struct Head<'r> {
        #[serde(borrow)]
        updated_at: &'r RawValue,
    }
    let caller = asked.single_call();
    let record = call(&caller, "record_by_pk", json!({"pk": pk})).await?;
    if record.get() == "null" {
        let message = "there is no active record with this pk";
        return Err(Error::new(ErrorId::RECORD_NOT_FOUND, message).with("pk", pk).into());
    }
    let head: Head<'_> = serde_json::from_str(record.get()).map_err(|fault| unexpected(&fault))?;
    let tag = tags::quoted(head.updated_at.get().trim_matches('"'));
    Ok(tags::respond(&asked.headers, &tag, || {
        reply::respond(StatusCode::OK, JSON, ResponseBody::whole(record.get().to_owned()))
    }))
}

/// All class definitions, or that of one class.
pub(super) async fn schema(asked: Asked, class: Option<&str>) -> Answer {
    #[derive(Deserialize)]
    struct Schema {
        classes: serde_json::Map<String, serde_json::Value>,
    }
    let caller = asked.single_call();
    let schema = call(&caller, "export_schema", json!({})).await?;
    let text = match class {
        None => schema.get().to_owned(),
        Some(uns) => {
            let schema: Schema = serde_json::from_str(schema.get()).map_err(|fault| unexpected(&fault))?;
            let definition = schema.classes.get(uns).ok_or_else(|| {
                Error::new(ErrorId::CLASS_NOT_FOUND, "no class of this name is defined").with("class", uns)
            })?;
            definition.to_string()
        }
    };
    let tag = tags::of_content(text.as_bytes());
    Ok(tags::respond(&asked.headers, &tag, || {
        reply::respond(StatusCode::OK, JSON, ResponseBody::whole(text))
    }))
}

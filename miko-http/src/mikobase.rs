//! The routes that only a Mikobase has. They make calls by name, as the general routes do: this package
//! depends on no engine.

mod files;
mod pieces;
mod query;
mod range;
mod tags;
mod worldlet;

use hyper::Method;
use miko_rpc::{DispatchError, Error, ErrorId, Result, Surface};
use miko_shared::server::{JsonCall, JsonConnection};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::reply::Answer;
use crate::routes::{Asked, unknown_route};

/// Whether a server of this interface has the routes: it is a Mikobase.
pub(crate) fn is_served(surface: &Surface) -> bool {
    surface.interface == "Mikobase"
}

/// Answers a request for one of these routes.
pub(crate) async fn route(asked: Asked, segments: &[&str]) -> Answer {
    let allow = |methods: &[Method]| asked.check_method(methods);
    match *segments {
        ["q0"] => {
            allow(&[Method::POST])?;
            query::q0(asked).await
        }
        ["records", pk] => {
            allow(&[Method::GET])?;
            query::record(asked, pk).await
        }
        ["schema"] => {
            allow(&[Method::GET])?;
            query::schema(asked, None).await
        }
        ["classes", ref uns @ ..] if !uns.is_empty() => {
            allow(&[Method::GET])?;
            query::schema(asked, Some(&uns.join("/"))).await
        }
        ["worldlet"] => {
            allow(&[Method::GET, Method::POST])?;
            if asked.method == Method::POST {
                worldlet::merge(asked).await
            } else {
                worldlet::export(asked).await
            }
        }
        ["files"] => {
            allow(&[Method::POST])?;
            files::put(asked).await
        }
        ["files", pk] => {
            allow(&[Method::GET])?;
            files::get(asked, pk).await
        }
        _ => Err(unknown_route().into()),
    }
}

/// Calls a method of the Mikobase.
async fn call(caller: &JsonConnection, method: &str, params: Value) -> Result<Box<RawValue>, DispatchError> {
    caller.call(JsonCall { object: None, method, params: &params.to_string() }).await
}

/// A text of JSON as the only param of a method. It must be one value, or it would become several params.
fn one_param(json: &str) -> Result<String> {
    serde_json::from_str::<&RawValue>(json)
        .map_err(|fault| Error::caused_by(ErrorId::INVALID_REQUEST, "this is not JSON", fault))?;
    Ok(format!("[{json}]"))
}

/// The handle of a result that is a stream.
fn stream_handle(result: &RawValue) -> Result<u64, DispatchError> {
    #[derive(Deserialize)]
    struct Handle {
        stream: u64,
    }
    let handle: Handle = serde_json::from_str(result.get()).map_err(|fault| unexpected(&fault))?;
    Ok(handle.stream)
}

/// The error for a result that is not what the method returns.
fn unexpected(fault: &serde_json::Error) -> DispatchError {
    let message = format!("the result of the method is not as expected: {fault}");
    Error::new(ErrorId::INTERNAL, message).into()
}

/// Adds these routes to the description of all.
pub(crate) fn describe(paths: &mut Map<String, Value>) {
    let answer = json!({"200": {"description": "The answer."},
                        "default": {"$ref": "#/components/responses/Failure"}});
    let in_path =
        |name: &str| json!([{"name": name, "in": "path", "required": true, "schema": {"type": "string"}}]);
    let routes = [
        (
            "/q0",
            "post",
            "Runs one Q0 request. The body is the response of Q0, also of one that failed.",
            None,
        ),
        ("/records/{pk}", "get", "The record with this pk.", Some("pk")),
        ("/classes/{uns}", "get", "The definition of this class.", Some("uns")),
        ("/schema", "get", "All class definitions.", None),
        ("/worldlet", "get", "The whole state of this moment, as a worldlet.", None),
        ("/worldlet", "post", "Merges the versions of a worldlet.", None),
        ("/files", "post", "Stores the body as a file. Its type is that of the body.", None),
        ("/files/{pk}", "get", "The content of a file, or the part that `Range` asks for.", Some("pk")),
    ];
    for (path, method, summary, parameter) in routes {
        let mut described = json!({"summary": summary, "responses": answer});
        if let Some(name) = parameter {
            described["parameters"] = in_path(name);
        }
        paths.entry(path).or_insert_with(|| json!({}))[method] = described;
    }
}

//! Q0, records and class definitions.

use std::collections::BTreeMap;

use miko_rpc::{DispatchError, Error, ErrorId};
use miko_shared::server::{JsonCall, JsonParams};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::method::{call, one_param, stream_handle, unexpected};
use super::tags;
use crate::asked::Asked;
use crate::reply::{self, Answer};
use crate::stream;

/// Runs one Q0 request. The body of the response is that of Q0. If a form of streams is asked for, the
/// records of a select are sent in it, however many.
pub(super) async fn q0(asked: Asked) -> Answer {
    let caller = asked.caller()?;
    let form = stream::Form::of_request(&asked.headers);
    let counts = asked.connection.http.counts.clone();
    let query = asked.json_text().await?;
    let params = one_param(&query)?;
    let method = if form.is_some() { "select_stream" } else { "q0" };
    let response = caller.call(JsonCall { object: None, method, params: JsonParams::Text(&params) }).await?;
    match form {
        Some(form) => {
            let stream = stream_handle(&response)?;
            Ok(stream::respond(&counts, caller, stream, form))
        }
        None => Ok(reply::json(response)),
    }
}

/// The record with this pk.
pub(super) async fn record(asked: Asked, pk: &str) -> Answer {
    let caller = asked.caller()?;
    let record = call(&caller, "record_by_pk", json!([pk])).await?;
    if record.get() == "null" {
        let message = "there is no active record with this pk";
        return Err(Error::new(ErrorId::RECORD_NOT_FOUND, message).with("pk", pk).into());
    }
    let tag = tags::quoted(updated_at(record.get())?);
    Ok(tags::respond(&asked.headers, tag, || reply::json(record)))
}

/// The time of the last write of a record, from its JSON.
fn updated_at(record: &str) -> Result<&str, DispatchError> {
    #[derive(Deserialize)]
    struct Head<'r> {
        #[serde(borrow)]
        updated_at: &'r RawValue,
    }
    if let Some(time) = last_member(record, r#","updated_at":""#) {
        return Ok(time);
    }
    let head: Head<'_> = serde_json::from_str(record).map_err(|fault| unexpected(&fault))?;
    Ok(head.updated_at.get().trim_matches('"'))
}

/// The string that is the last member of an object, if `before` is before it: the comma, the quoted key, the
/// colon and the opening quote. `None` also if the string or what is before it may have escapes.
///
/// No quote here follows a backslash, so each of them opens or closes a string. The last one is followed by
/// the brace that closes the object: it closes a string. So the one before it opens that string, and those of
/// the key open and close it: the member is one of the object itself.
fn last_member<'j>(object: &'j str, before: &str) -> Option<&'j str> {
    let (rest, text) = object.strip_suffix("\"}")?.rsplit_once('"')?;
    let is_here = rest.ends_with(before.strip_suffix('"')?);
    (is_here && !text.contains('\\')).then_some(text)
}

/// All class definitions, or that of one class.
pub(super) async fn schema(asked: Asked, class: Option<&str>) -> Answer {
    /// The definitions stay text: they have keys of users.
    #[derive(Deserialize)]
    struct Schema<'s> {
        #[serde(borrow)]
        classes: BTreeMap<String, &'s RawValue>,
    }
    let caller = asked.caller()?;
    let schema = call(&caller, "export_schema", json!({})).await?;
    let text = match class {
        None => String::from(schema),
        Some(uns) => {
            let uns = without_protocol(uns);
            let schema: Schema<'_> =
                serde_json::from_str(schema.get()).map_err(|fault| unexpected(&fault))?;
            let definition = schema.classes.get(uns).ok_or_else(|| {
                Error::new(ErrorId::CLASS_NOT_FOUND, "no class of this name is defined").with("class", uns)
            })?;
            definition.get().to_owned()
        }
    };
    let tag = tags::of_content(text.as_bytes());
    Ok(tags::respond(&asked.headers, tag, || reply::json(text)))
}

/// A class name as it is stored: `https://foo.com/x` is `foo.com/x`.
fn without_protocol(uns: &str) -> &str {
    uns.strip_prefix("https://").or_else(|| uns.strip_prefix("http://")).unwrap_or(uns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_record_is_its_own_and_never_one_in_its_bucket() {
        for (record, expected) in [
            (r#"{"pk":"a","bucket":{"b":1},"updated_at":"T"}"#, "T"),
            (r#"{"pk":"a","bucket":{"b":1,"updated_at":"no"},"updated_at":"T"}"#, "T"),
            (r#"{"updated_at":"T","bucket":{"b":1,"updated_at":"no"}}"#, "T"),
            (r#"{"updated_at":"T","last":",\"updated_at\":\"no"}"#, "T"),
            (r#"{"updated_at":"T","last":",\"updated_at\":","x":"no"}"#, "T"),
            (r#"{ "bucket": {}, "updated_at": "T" }"#, "T"),
            (r#"{"updated_at":"T"}"#, "T"),
        ] {
            assert_eq!(updated_at(record).unwrap(), expected, "{record}");
        }
        assert!(updated_at("{}").is_err());
        assert_eq!(last_member(r#"{"a":1,"b":"c\\"}"#, r#","b":""#), None);
    }
}

//! Committed changes, as server-sent events.

use hyper::HeaderMap;
use miko_rpc::{Error, ErrorId, Result, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::method::{call, stream_handle};
use crate::asked::Asked;
use crate::reply::Answer;
use crate::stream::{self, Form};

/// What a browser sends when it connects again: the id of the last event that it has seen.
const LAST_EVENT_ID: &str = "last-event-id";

/// Sends the changes of a target from now on, after a number, or after the records that are there. They are
/// events, unless lines are asked for.
pub(super) async fn changes(asked: Asked) -> Answer {
    let params = params(asked.query.as_deref().unwrap_or_default(), &asked.headers)?;
    let caller = asked.caller()?;
    let form = Form::of_request(&asked.headers).unwrap_or(Form::Events);
    let stream = stream_handle(&call(&caller, "changes", params).await?)?;
    Ok(stream::respond_with_ids(&asked.connection.http.counts, caller, stream, form, ends_a_transaction))
}

/// Whether a change is the last one of its transaction. A subscriber resumes after whole transactions, so the
/// other ones get no id.
fn ends_a_transaction(change: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Last {
        last: bool,
    }
    serde_json::from_str(change.get()).is_ok_and(|Last { last }| last)
}

/// The params of the method, from the query of the request: `target`, which is a class name, a pk, or a
/// condition as JSON; `after`, `leaving`, `snapshot`.
fn params(query: &str, headers: &HeaderMap) -> Result<Value> {
    let (mut target, mut options) = (None, Map::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "target" => target = Some(read_target(&value)?),
            "after" => drop(options.insert(key.into_owned(), number(&value)?)),
            "leaving" | "snapshot" => drop(options.insert(key.into_owned(), flag(&value)?)),
            _ => {
                let message = format!("this path has no parameter `{key}`");
                let allowed = vec!["target", "after", "leaving", "snapshot"];
                return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("allowed", allowed));
            }
        }
    }
    if let Some(last) = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()) {
        // Those that were there have been sent before.
        options.remove("snapshot");
        options.insert("after".to_owned(), number(last)?);
    }
    Ok(json!({"target": target.unwrap_or_else(|| json!({})), "options": options}))
}

fn read_target(text: &str) -> Result<Value> {
    if !text.starts_with('{') {
        return Ok(text.into());
    }
    json::parse(text).map_err(|error| error.with("parameter", "target"))
}

fn number(text: &str) -> Result<Value> {
    let refused =
        || Error::new(ErrorId::INVALID_REQUEST, "the number of a change is an integer").with("found", text);
    text.parse::<i64>().map(Value::from).map_err(|_| refused())
}

fn flag(text: &str) -> Result<Value> {
    match text {
        "true" | "" => Ok(true.into()),
        "false" => Ok(false.into()),
        _ => {
            let message = "expected true or false";
            Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_query_names_a_target_and_options() {
        let read = |query: &str| params(query, &HeaderMap::new());
        let officers = json!({"target": "a.b/officer", "options": {"snapshot": true, "leaving": false}});
        assert_eq!(read("target=a.b%2Fofficer&snapshot&leaving=false").unwrap(), officers);
        let condition = json!({"target": {"path": ["n", 1]}, "options": {"after": 7}});
        assert_eq!(read("target=%7B%22path%22%3A%5B%22n%22%2C1%5D%7D&after=7").unwrap(), condition);
        assert_eq!(read("").unwrap(), json!({"target": {}, "options": {}}));
        for refused in
            ["after=x", "leaving=maybe", "target=%7B", "target=%7B%22a%22:1,%22a%22:2%7D", "limit=1"]
        {
            assert!(read(refused).is_err_and(|error| error.is(ErrorId::INVALID_REQUEST)), "{refused}");
        }
    }

    #[test]
    fn a_browser_that_connects_again_resumes() {
        let mut headers = HeaderMap::new();
        headers.insert(LAST_EVENT_ID, HeaderValue::from_static("41"));
        let resumed = params("target=a.b/c&snapshot=true&after=3", &headers).unwrap();
        assert_eq!(resumed["options"], json!({"after": 41}));
    }
}

//! Calls of methods, of the interface and of objects.

use hyper::Response;
use miko_rpc::{DispatchError, Error, ErrorId, JsonText, Result};
use miko_shared::server::{JsonCall, JsonParams, JsonReply};

use crate::asked::Asked;
use crate::body::ResponseBody;
use crate::reply::{self, Answer};
use crate::{headers, sessions, stream};

/// What a request calls.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    /// The handle of an object; `None` for the interface itself.
    pub(crate) object: Option<u64>,
    pub(crate) method: &'t str,
}

/// Calls a method with the params in the body. A result that is a stream becomes the body of the response,
/// except in a session whose client does not ask for a form of streams.
pub(crate) async fn call(asked: Asked, target: Target<'_>) -> Answer {
    let Target { object, method } = target;
    let session = match object {
        Some(_) => Some(asked.required_session()?),
        None => {
            let session = asked.session()?;
            check_method(&asked, method, session.is_some())?;
            session
        }
    };
    let form = stream::Form::of_request(&asked.headers);
    let counts = asked.connection.http.counts.clone();
    let has_session = session.is_some();
    let caller = session.unwrap_or_else(|| asked.single_call());
    let params = asked.json_text().await?;
    let result =
        caller.call_for_reply(JsonCall { object, method, params: JsonParams::Text(&params) }).await?;
    let JsonReply { result, nil_level, .. } = result;
    if let Some(handle) = stream_of(&result).filter(|handle| caller.has_stream(*handle))
        && (!has_session || form.is_some())
    {
        return Ok(stream::respond(&counts, caller, handle, form.unwrap_or_default()));
    }
    if !has_session && caller.has_open() {
        return Err(sessions::required("what the result carries").into());
    }
    Ok(answer(result, nil_level))
}

/// Drops an object or a stream of a session.
pub(crate) fn release(asked: &Asked, handle: u64) -> Answer {
    if asked.required_session()?.release(handle) {
        return Ok(reply::json("null"));
    }
    let message = "there is nothing with this handle in the session";
    Err(Error::new(ErrorId::SESSION_GONE, message).with("handle", handle).into())
}

/// Refuses a method that does not exist, and without a session one whose result carries an object: before it
/// runs.
fn check_method(asked: &Asked, method: &str, has_session: bool) -> Result<(), DispatchError> {
    let surface = asked.connection.calls.surface();
    let Some(described) = surface.method(method) else {
        let known: Vec<&str> = surface.methods.iter().map(|method| &*method.name).collect();
        let message = format!("{} has no method `{method}`", surface.interface);
        return Err(Error::new(ErrorId::ROUTE_NOT_FOUND, message).with("known", known).into());
    };
    if described.returns_object() && !has_session {
        let error = sessions::required("the object that the method returns");
        return Err(error.with("method", method).into());
    }
    Ok(())
}

fn answer(result: JsonText, nil_level: u32) -> Response<ResponseBody> {
    let mut response = reply::json(result);
    if nil_level > 0 {
        response.headers_mut().insert(headers::NIL, nil_level.into());
    }
    response
}

/// The handle of a result that is a stream, `{"stream": 1}`.
fn stream_of(result: &JsonText) -> Option<u64> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Handle {
        stream: u64,
    }
    let text = result.get();
    // The longest handle.
    const MAX_LENGTH: usize = r#"{"stream":18446744073709551615}"#.len();
    let handle = (text.len() <= MAX_LENGTH).then(|| serde_json::from_str::<Handle>(text));
    handle?.ok().map(|handle| handle.stream)
}

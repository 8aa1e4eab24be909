//! Responses.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use miko_rpc::{DispatchError, Error, ErrorId};
use serde::Serialize;

use crate::body::ResponseBody;
use crate::headers;
use crate::refusal;
use crate::status::{OWN_ERROR, status_of};

/// What a route answers. An error becomes a response by [`refused`].
pub(crate) type Answer = Result<Response<ResponseBody>, DispatchError>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with this body.
pub(crate) fn respond(
    status: StatusCode,
    content_type: HeaderValue,
    body: ResponseBody,
) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A response of 304 without its content. It has the tag and `Vary` of the response with it.
pub(crate) fn without_known_content(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = ResponseBody::whole("");
        for field in [CONTENT_TYPE, CONTENT_ENCODING] {
            response.headers_mut().remove(field);
        }
    }
    response
}

/// A response of JSON text.
pub(crate) fn json(text: impl Into<String>) -> Response<ResponseBody> {
    respond(StatusCode::OK, JSON, ResponseBody::whole(text.into()))
}

/// A response with the JSON form of a value.
pub(crate) fn json_of(value: &impl Serialize) -> Answer {
    let text = miko_rpc::json::to_text(value);
    let failed = |fault| Error::caused_by(ErrorId::INTERNAL, "the answer has no JSON form", fault);
    Ok(json(text.map_err(failed)?))
}

/// The response to a request that failed: `{"success": false, "errors": […]}`.
pub(crate) fn refused(error: &DispatchError) -> Response<ResponseBody> {
    let status = status_of_failure(error);
    let mut response = respond(status, JSON, ResponseBody::whole(refusal::json(&error.to_json())));
    if status == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Bearer realm=\"mikobase\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    }
    if let DispatchError::Failed(_) = error {
        response.headers_mut().insert(headers::FAILURE, HeaderValue::from_static(headers::OF_METHOD));
    }
    response
}

/// The status of a failure: that of its first id, if it is a list of errors.
pub(crate) fn status_of_failure(error: &DispatchError) -> StatusCode {
    match error {
        DispatchError::Request(error) => status_of(error.id()),
        DispatchError::Failed(json) => {
            serde_json::from_str::<Error>(json.get()).map_or(OWN_ERROR, |error| status_of(error.id()))
        }
    }
}

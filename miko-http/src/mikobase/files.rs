//! Files, streamed both ways.

use std::rc::Rc;

use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::header::{LOCATION, RANGE};
use hyper::{HeaderMap, Response, StatusCode};
use miko_rpc::{DispatchError, Error, ErrorId, to_base64};
use miko_shared::server::{JsonCall, JsonConnection, JsonParams};
use serde::Deserialize;
use serde_json::json;

use super::made::Made;
use super::method::{Owned, call, unexpected};
use super::pieces::{Part, PieceStream};
use super::{range, tags};
use crate::asked::{Asked, Connection};
use crate::body::ResponseBody;
use crate::gzip::AsItIs;
use crate::reply::{self, Answer};

/// The largest piece of a file in one call. Within a frame it is half as long again.
const PIECE_SIZE: usize = 256 << 10;

/// The type of a body that does not say its own.
const UNKNOWN: &str = "application/octet-stream";

/// Stores the body as a file, whose type is that of the body.
pub(super) async fn put(asked: Asked) -> Answer {
    #[derive(Deserialize)]
    struct Handle {
        object: u64,
    }
    let Connection { calls, peer, .. } = &*asked.connection;
    let session = asked.session()?;
    let caller = session.unwrap_or_else(|| Rc::new(JsonConnection::new(calls, peer.clone())));
    let mime = header(&asked.headers, CONTENT_TYPE.as_str()).unwrap_or(UNKNOWN).to_owned();
    let upload = call(&caller, "write_file", json!({"mime": mime})).await?;
    let Handle { object } = serde_json::from_str(upload.get()).map_err(|fault| unexpected(&fault))?;
    // It lives as long as this request.
    let _upload = Owned { caller: Rc::clone(&caller), handle: object };
    let piece_size = PIECE_SIZE.min(calls.limits().frame_size / 2).max(1);
    let mut body = asked.into_body();
    while let Some(arrived) = body.next().await? {
        for piece in arrived.chunks(piece_size) {
            let params = format!("[\"{}\"]", to_base64(piece));
            caller
                .call(JsonCall { object: Some(object), method: "put", params: JsonParams::Text(&params) })
                .await?;
        }
    }
    let pk = caller
        .call(JsonCall { object: Some(object), method: "finish", params: JsonParams::Text("") })
        .await?;
    let text: String = serde_json::from_str(pk.get()).map_err(|fault| unexpected(&fault))?;
    let mut response = reply::json(format!("{{\"pk\":{}}}", pk.get()));
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&format!("/files/{text}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Sends a file, or a part of it.
pub(super) async fn get(asked: Asked, pk: &str) -> Answer {
    #[derive(Deserialize)]
    struct Info {
        sha256: String,
        mime: String,
        size: u64,
    }
    let caller = asked.caller()?;
    let info = call(&caller, "file_info", json!({"pk": pk})).await?;
    let Info { sha256, mime, size } = serde_json::from_str(info.get()).map_err(|fault| unexpected(&fault))?;
    let asked_for = range::read(header(&asked.headers, RANGE.as_str()), size);
    let (status, part) = match asked_for {
        range::Asked::All => (StatusCode::OK, 0..size),
        range::Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        range::Asked::Beyond => return Ok(beyond(size)),
    };
    let pieces = PieceStream::open(caller, "read_file", json!({"pk": pk})).await?;
    let length = part.end - part.start;
    let content = Part { pieces, skip: part.start, left: length };
    let tag = tags::quoted(&sha256);
    let mut response = tags::respond(&asked.headers, tag, || {
        let body = Made::new(content, Some(length), |mut content| async move {
            Ok(content.next().await?.map(|piece| (piece, content)))
        });
        let mime = HeaderValue::from_str(&mime).unwrap_or(HeaderValue::from_static(UNKNOWN));
        reply::respond(status, mime, ResponseBody::pieces(body))
    });
    response.extensions_mut().insert(AsItIs);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A file is shown by a browser, and runs nothing.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(&place).map_err(no_header)?);
    }
    Ok(response)
}

/// The answer to a range of which the file has nothing.
fn beyond(size: u64) -> Response<ResponseBody> {
    let message = "the file ends before the range";
    let error = Error::new(ErrorId::RANGE_NOT_SATISFIABLE, message).with("size", size);
    let mut response = reply::refused(&error.into());
    if let Ok(place) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(CONTENT_RANGE, place);
    }
    response
}

fn no_header(fault: hyper::header::InvalidHeaderValue) -> DispatchError {
    Error::caused_by(ErrorId::INTERNAL, "a header cannot be written", fault).into()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

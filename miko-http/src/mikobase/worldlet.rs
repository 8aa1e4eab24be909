//! The whole state as a worldlet, and deltas that are merged into it.

use hyper::StatusCode;
use miko_shared::server::{JsonCall, JsonParams};
use serde_json::json;

use super::made::Made;
use super::method::one_param;
use super::pieces::PieceStream;
use crate::asked::Asked;
use crate::body::ResponseBody;
use crate::reply::{self, Answer, JSON};

/// Sends the state of this moment, as text of a worldlet.
pub(super) async fn export(asked: Asked) -> Answer {
    let pieces = PieceStream::open(asked.caller()?, "export", json!({})).await?;
    let body = Made::new(pieces, None, |mut pieces| async move {
        Ok(pieces.next().await?.map(|piece| (piece.into(), pieces)))
    });
    Ok(reply::respond(StatusCode::OK, JSON, ResponseBody::pieces(body)))
}

/// Merges the versions of a worldlet.
pub(super) async fn merge(asked: Asked) -> Answer {
    let caller = asked.caller()?;
    let delta = asked.json_text().await?;
    let params = one_param(&delta)?;
    let merged =
        caller.call(JsonCall { object: None, method: "merge", params: JsonParams::Text(&params) }).await?;
    Ok(reply::json(merged.get()))
}

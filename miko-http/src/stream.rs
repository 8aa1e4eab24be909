//! Streams as bodies of responses: NDJSON, or server-sent events.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use miko_rpc::{DispatchError, Error, JsonItem, Result};
use miko_shared::server::JsonConnection;
use serde_json::value::RawValue;

use crate::asked::Asked;
use crate::body::{Pieces, ResponseBody};
use crate::counts::{Counts, OpenStream};
use crate::progress::MAX_TURN;
use crate::refusal;
use crate::reply::{self, Answer};

pub(crate) const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A piece is sent when it has this many bytes.
const PIECE_SIZE: usize = 32 << 10;

/// How a stream is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for each item. `{"lagged": 3}` stands for items that were left out, and the last line may be a
    /// failure.
    #[default]
    Lines,
    /// Server-sent events: an item is a message whose id is its sequence number. The other events are
    /// `lagged`, `error` and `end`.
    Events,
}

impl Form {
    /// The form that a request asks for by `Accept`, if it does.
    pub(crate) fn of_request(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(','));
        types.find_map(|accepted| match accepted.split(';').next().unwrap_or_default().trim() {
            "application/x-ndjson" => Some(Self::Lines),
            "text/event-stream" => Some(Self::Events),
            _ => None,
        })
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Self::Lines => NDJSON,
            Self::Events => EVENTS,
        }
    }

    /// An event without an id leaves that of the one before it in force.
    fn put_item(self, id: Option<u64>, item: &str, out: &mut Vec<u8>) {
        if self == Self::Events {
            if let Some(id) = id {
                out.extend_from_slice(format!("id: {id}\n").as_bytes());
            }
            out.extend_from_slice(b"data: ");
        }
        // Between the tokens of JSON a line break is white space, and within them there is none.
        out.extend(item.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        out.extend_from_slice(if self == Self::Events { b"\n\n" } else { b"\n" });
    }

    fn put_lagged(self, count: u64, out: &mut Vec<u8>) {
        let line = match self {
            Self::Lines => format!("{{\"lagged\":{count}}}\n"),
            Self::Events => format!("event: lagged\ndata: {count}\n\n"),
        };
        out.extend_from_slice(line.as_bytes());
    }

    fn put_end(self, error: Option<Error>, out: &mut Vec<u8>) {
        let error = error.map(|error| refusal::json(&DispatchError::Request(error).to_json()));
        let line = match (self, error) {
            (Self::Lines, None) => return,
            (Self::Lines, Some(error)) => format!("{error}\n"),
            (Self::Events, None) => "event: end\ndata:\n\n".to_owned(),
            (Self::Events, Some(error)) => format!("event: error\ndata: {error}\n\n"),
        };
        out.extend_from_slice(line.as_bytes());
    }
}

/// Sends a stream of a session.
pub(crate) fn read(asked: &Asked, handle: u64) -> Answer {
    let session = asked.required_session()?;
    session.begin_read(handle)?;
    let counts = &asked.connection.http.counts;
    Ok(respond(counts, session, handle, Form::of_request(&asked.headers).unwrap_or_default()))
}

/// A response whose body is a stream of this caller. The stream is released with it.
pub(crate) fn respond(
    counts: &Counts,
    caller: Rc<JsonConnection>,
    handle: u64,
    form: Form,
) -> Response<ResponseBody> {
    respond_with_ids(counts, caller, handle, form, |_| true)
}

/// As [`respond`]. Of the events, those for whose items `has_id` holds have an id.
pub(crate) fn respond_with_ids(
    counts: &Counts,
    caller: Rc<JsonConnection>,
    handle: u64,
    form: Form,
    has_id: fn(&RawValue) -> bool,
) -> Response<ResponseBody> {
    let items = Items { caller, handle, form, has_id, has_ended: false, _open: counts.open_stream() };
    reply::respond(StatusCode::OK, form.content_type(), ResponseBody::pieces(items))
}

/// The items of a stream, written in a form.
struct Items {
    caller: Rc<JsonConnection>,
    handle: u64,
    form: Form,
    has_id: fn(&RawValue) -> bool,
    has_ended: bool,
    _open: OpenStream,
}

impl Pieces for Items {
    /// Takes the items that are there, as many as a piece has room for.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let until = Instant::now() + MAX_TURN;
        let mut piece = Vec::new();
        while piece.len() < PIECE_SIZE && !self.has_ended {
            let Poll::Ready(item) = self.caller.poll_item(self.handle, context) else {
                if piece.is_empty() {
                    return Poll::Pending;
                }
                break;
            };
            match item.unwrap_or_else(|error| JsonItem::End(Some(error))) {
                JsonItem::Item { seq, item } => {
                    let id = Some(seq).filter(|_| self.form == Form::Events && (self.has_id)(&item));
                    self.form.put_item(id, item.get(), &mut piece);
                }
                JsonItem::Lagged(count) => self.form.put_lagged(count, &mut piece),
                JsonItem::End(error) => {
                    self.form.put_end(error, &mut piece);
                    self.has_ended = true;
                }
            }
            if Instant::now() >= until {
                break;
            }
        }
        if piece.is_empty() { Poll::Ready(None) } else { Poll::Ready(Some(Ok(piece.into()))) }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        self.caller.release(self.handle);
    }
}

#[cfg(test)]
mod tests {
    use miko_rpc::ErrorId;

    use super::*;

    #[test]
    fn items_and_their_end_are_written_in_both_forms() {
        let written = |form: Form| {
            let mut out = Vec::new();
            form.put_item(Some(7), "{\"a\":\n\"b\\n\"}", &mut out);
            form.put_item(None, "8", &mut out);
            form.put_lagged(3, &mut out);
            form.put_end(None, &mut out);
            form.put_end(Some(Error::new(ErrorId::CONFLICT, "no more")), &mut out);
            String::from_utf8(out).unwrap()
        };
        let failure = r#"{"success":false,"errors":[{"id":"conflict","details":{"message":"no more"}}]}"#;
        assert_eq!(written(Form::Lines), format!("{{\"a\": \"b\\n\"}}\n8\n{{\"lagged\":3}}\n{failure}\n"));
        assert_eq!(
            written(Form::Events),
            format!(
                "id: 7\ndata: {{\"a\": \"b\\n\"}}\n\ndata: 8\n\nevent: lagged\ndata: 3\n\n\
                 event: end\ndata:\n\nevent: error\ndata: {failure}\n\n"
            )
        );
    }

    #[test]
    fn a_form_is_asked_for_by_accept() {
        for (accept, form) in [
            ("application/x-ndjson", Some(Form::Lines)),
            ("text/html, text/event-stream;q=0.5", Some(Form::Events)),
            ("*/*", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Form::of_request(&headers), form);
        }
    }
}

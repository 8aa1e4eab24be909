//! Compresses responses with gzip, where a client takes it and it is worth it: bodies of JSON and lines, and
//! metrics. Files are sent as they are, since their parts are asked for by their bytes. So are server-sent
//! events, which are small and come one by one.
//!
//! The server has one thread: a large body is compressed piece by piece, while the client reads.

use std::io::{self, Write};
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use hyper::{HeaderMap, Response};
use miko_rpc::{Error, ErrorId, Result};

use crate::body::{Pieces, ResponseBody};

/// A smaller body fits into a packet as it is.
const MIN_SIZE: usize = 1 << 10;

/// Marks a response that is sent as it is.
#[derive(Clone)]
pub(crate) struct AsItIs;

/// Whether a request allows a response in gzip.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut of_any = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
        let weight = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let is_allowed =
            weight.is_none_or(|(_, weight)| weight.trim().parse().is_ok_and(|weight: f32| weight > 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_allowed,
            "*" => of_any = is_allowed,
            _ => {}
        }
    }
    of_any
}

/// Compresses a response if that is worth it and `is_accepted`.
pub(crate) fn compress(mut response: Response<ResponseBody>, is_accepted: bool) -> Response<ResponseBody> {
    if response.extensions().get::<AsItIs>().is_some() || !is_text(response.headers()) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let is_small = response.body().known_size().is_some_and(|size| size < MIN_SIZE as u64);
    if !is_accepted || is_small {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    // The content is the same, its bytes are not.
    if let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok())
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{}", tag.trim_start_matches("W/")))
    {
        headers.insert(ETAG, weak);
    }
    response.map(|body| ResponseBody::pieces(GzipPieces::of(body.into_pieces())))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["application/json", "application/x-ndjson", "text/plain"].iter().any(|text| kind.starts_with(text))
}

/// Compresses pieces. Each can be read as soon as it was sent.
struct GzipPieces {
    encoder: GzEncoder<Vec<u8>>,
    has_ended: bool,
    pieces: Box<dyn Pieces>,
}

impl GzipPieces {
    fn of(pieces: Box<dyn Pieces>) -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::fast()), has_ended: false, pieces }
    }

    fn encode(&mut self, piece: Option<&[u8]>) -> io::Result<Bytes> {
        match piece {
            Some(piece) => {
                self.encoder.write_all(piece)?;
                self.encoder.flush()?;
            }
            None => self.encoder.try_finish()?,
        }
        Ok(std::mem::take(self.encoder.get_mut()).into())
    }
}

impl Pieces for GzipPieces {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let piece = match self.pieces.poll_piece(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(piece))) => Some(piece),
            Poll::Ready(None) => None,
        };
        self.has_ended = piece.is_none();
        let encoded = self.encode(piece.as_deref());
        let failed = |fault| Error::caused_by(ErrorId::INTERNAL, "the body cannot be compressed", fault);
        Poll::Ready(Some(encoded.map_err(failed)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::task::Waker;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn gzip_is_accepted_by_name_or_as_any_coding() {
        for (value, expected) in [
            (None, false),
            (Some(""), false),
            (Some("gzip"), true),
            (Some("br, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip;q=0.0, *"), false),
            (Some("gzip; q=x"), false),
            (Some("gzip;Q=0"), false),
            (Some("gzip;foo=1;q=0"), false),
            (Some("gzip;foo;q=1"), true),
            (Some("*"), true),
            (Some("*;q=0"), false),
            (Some("identity, deflate"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(is_accepted(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn each_piece_can_be_read_when_it_has_arrived() {
        let text = "make it so ".repeat(20_000);
        let mut pieces = GzipPieces::of(ResponseBody::whole(text.clone()).into_pieces());
        let mut context = Context::from_waker(Waker::noop());
        let mut sent = Vec::new();
        let mut decoded = 0;
        while let Poll::Ready(Some(piece)) = pieces.poll_piece(&mut context) {
            sent.extend_from_slice(&piece.unwrap());
            let mut read = vec![0; text.len()];
            let mut decoder = GzDecoder::new(&sent[..]);
            let mut count = 0;
            // What is missing at the end is an error.
            while let Ok(more @ 1..) = decoder.read(&mut read[count..]) {
                count += more;
            }
            assert!(count > decoded || count == text.len());
            assert_eq!(&read[..count], &text.as_bytes()[..count]);
            decoded = count;
        }
        assert_eq!(decoded, text.len());
        assert!(sent.len() < text.len() / 20, "{}", sent.len());
    }
}

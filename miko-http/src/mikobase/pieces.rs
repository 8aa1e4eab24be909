//! Streams of bytes that methods return: their content is sent as it is.

use std::future::poll_fn;
use std::rc::Rc;

use hyper::body::Bytes;
use miko_rpc::{DispatchError, Error, ErrorId, JsonItem, Result, from_base64};
use miko_shared::server::JsonConnection;
use tokio::task::yield_now;

use super::method::{Owned, call, stream_handle};

/// A stream of bytes that a method has returned.
pub(super) struct PieceStream(Owned);

impl PieceStream {
    /// Calls a method that returns a stream of bytes.
    pub(super) async fn open(
        caller: Rc<JsonConnection>,
        method: &str,
        params: serde_json::Value,
    ) -> Result<Self, DispatchError> {
        let result = call(&caller, method, params).await?;
        let handle = stream_handle(&result)?;
        Ok(Self(Owned { caller, handle }))
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The error with which the stream ends.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Owned { caller, handle } = &self.0;
        loop {
            let item = poll_fn(|context| caller.poll_item(*handle, context)).await?;
            match item {
                JsonItem::Item { item, .. } => {
                    let bytes = serde_json::from_str(item.get()).map_err(|fault| fault.to_string());
                    let bytes = bytes.and_then(|text: &str| from_base64(text));
                    return bytes.map(Some).map_err(|fault| Error::new(ErrorId::INTERNAL, fault));
                }
                JsonItem::Lagged(_) => {}
                JsonItem::End(None) => return Ok(None),
                JsonItem::End(Some(error)) => return Err(error),
            }
        }
    }
}

/// The part of a stream of bytes from an offset on, of this length.
pub(super) struct Part {
    pub(super) pieces: PieceStream,
    /// How many bytes are to be skipped.
    pub(super) skip: u64,
    /// How many are to be sent after that.
    pub(super) left: u64,
}

impl Part {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Those of [`PieceStream::next`]; `internal`, if the stream ends early.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            let Some(piece) = self.pieces.next().await? else {
                return Err(Error::new(ErrorId::INTERNAL, "the content of the file has ended early"));
            };
            let mut piece = Bytes::from(piece);
            let skipped = piece.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            let _ = piece.split_to(skipped);
            self.skip -= skipped as u64;
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            // The next piece is there at once: without this, others would wait for all that is skipped.
            yield_now().await;
        }
        Ok(None)
    }
}

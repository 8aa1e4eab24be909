//! The messages between the parent and the server process, over a socket pair that only these two have. The
//! parent sends one byte, [`FINISH`]; the server sends frames.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use miko_rpc::{Error, ErrorId, Result};
use serde::{Deserialize, Serialize};

use crate::wire::frame::{self, FrameBuffer};

/// The parent's command to deliver the final state, since all workers have ended.
pub(super) const FINISH: u8 = b'F';

/// The most bytes of the final state in one message ([`ServerMessage::State`]).
pub(super) const STATE_CHUNK: usize = 64 << 10;

/// The size of the largest message, in bytes. It is far above [`STATE_CHUNK`], because an error with many
/// items may be large.
const FRAME_LIMIT: usize = 64 << 20;

/// If an error exceeds [`FRAME_LIMIT`], at most this many characters of its text are sent.
const MAX_ERROR_TEXT: usize = 64 << 10;

/// A message from the server process.
#[derive(Serialize, Deserialize)]
pub(super) enum ServerMessage {
    /// The server is set up, and workers may be forked.
    Ready,
    /// The setup of the server, serving, or the delivery of the final state has failed.
    Failed(Error),
    /// The next part of the final state.
    State(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The final state is complete.
    Done,
}

/// Receives the messages of the server process, one after another.
#[derive(Default)]
pub(super) struct ServerMessages(FrameBuffer);

impl ServerMessages {
    /// The next message, or `None` if it has not arrived completely. Does not block if `from` is
    /// non-blocking.
    ///
    /// # Errors
    /// `server-gone` at the end of the stream or if it cannot be read; `internal` if the bytes are not a
    /// valid message; `request-too-large` beyond the size limit of a message.
    pub(super) fn try_receive(&mut self, from: &mut impl Read) -> Result<Option<ServerMessage>> {
        loop {
            if let Some(frame) = self.0.next_frame(FRAME_LIMIT)? {
                return rmp_serde::from_slice(frame).map(Some).map_err(|fault| {
                    Error::caused_by(ErrorId::INTERNAL, "a message of the server cannot be read", fault)
                });
            }
            match from.read(self.0.room()) {
                Ok(count) if count > 0 => self.0.filled(count),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                _ => return Err(Error::new(ErrorId::SERVER_GONE, "the server process has ended")),
            }
        }
    }
}

/// Sends `message` to the parent; shortens an error that is too large. A failed write is ignored: it means
/// that the parent has ended, which the server detects by other means.
pub(super) fn send(stream: &mut UnixStream, message: &ServerMessage) {
    let mut bytes = Vec::new();
    let mut encoded = frame::encode(message, FRAME_LIMIT, &mut bytes);
    if let (Err(_), ServerMessage::Failed(error)) = (&encoded, message) {
        bytes.clear();
        encoded = frame::encode(&ServerMessage::Failed(shortened(error)), FRAME_LIMIT, &mut bytes);
    }
    if encoded.is_ok() {
        let _ = stream.write_all(&bytes);
    }
}

/// Shortens an error that is too large for a message to the text of its first item, of which at most
/// [`MAX_ERROR_TEXT`] characters are kept, and the number of its items.
fn shortened(error: &Error) -> Error {
    let Some(first) = error.items().first() else { return error.clone() };
    let text: String = first.to_string().chars().take(MAX_ERROR_TEXT).collect();
    Error::new(first.id.clone(), format!("{text}… (shortened: the whole error is too large)"))
        .with("items", error.items().len())
}

/// A writer that sends its bytes to the parent as the final state.
pub(super) struct StateWriter<'s>(pub(super) &'s mut UnixStream);

impl Write for StateWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(STATE_CHUNK)];
        // 64 bytes suffice for everything in the frame besides the chunk.
        let mut framed = Vec::with_capacity(chunk.len() + 64);
        frame::encode(&ServerMessage::State(chunk.to_vec()), FRAME_LIMIT, &mut framed)
            .map_err(std::io::Error::other)?;
        self.0.write_all(&framed)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

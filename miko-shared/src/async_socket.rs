//! Reads and writes a socket of tokio. The feature `io-util` of tokio has the same functions, but the feature
//! takes a third of the compile time of tokio.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Waits until bytes have arrived, and reads as many of them into `room` as fit. Returns their number, which
/// is 0 at the end of the stream.
pub(crate) async fn read(stream: &mut UnixStream, room: &mut [u8]) -> Result<usize> {
    let mut buffer = ReadBuf::new(room);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
    Ok(buffer.filled().len())
}

/// Writes all of the bytes.
pub(crate) async fn write_all(stream: &mut UnixStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await? {
            0 => return Err(Error::from(ErrorKind::WriteZero)),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

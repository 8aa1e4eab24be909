//! The socket of a connection, which wakes the server only for what it waits for.
//!
//! A socket of tokio is always watched for room to write as well. Each time a client reads, its kernel then
//! reports room to the server, which wakes up for nothing: half of the wake-ups of a server that delivers
//! changes.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The socket of a connection.
pub(super) struct Socket {
    stream: Rc<UnixStream>,
    /// `None` only after the system has refused to watch the socket.
    watched: Option<AsyncFd<Rc<UnixStream>>>,
    /// Whether it is watched for room to write. It is from a write without room until one that has taken all
    /// bytes.
    awaits_room: bool,
}

impl Socket {
    /// # Errors
    /// If the system cannot watch one more.
    pub(super) fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        let stream = Rc::new(stream.into_std()?);
        let mut socket = Self { stream, watched: None, awaits_room: false };
        socket.watch(false)?;
        Ok(socket)
    }

    /// The user of the process that connected it.
    pub(super) fn peer_uid(&self) -> nix::Result<u32> {
        getsockopt(&self.stream, sockopt::PeerCredentials).map(|peer| peer.uid())
    }

    /// Reads the bytes that have arrived, and waits for at least one; returns 0 at the end.
    pub(super) async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, room)).await
    }

    /// Writes all of the bytes.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|context| self.poll_write(context, bytes)).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// As [`read`](Self::read).
    pub(super) fn poll_read(&self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let watched = self.watched.as_ref().ok_or(ErrorKind::NotConnected)?;
        loop {
            let mut ready = ready!(watched.poll_read_ready(context))?;
            if let Ok(read) = ready.try_io(|stream| (&**stream.get_ref()).read(room)) {
                // A socket that had less than there was room for is empty.
                if read.as_ref().is_ok_and(|&count| count < room.len()) {
                    ready.clear_ready();
                }
                return Poll::Ready(read);
            }
        }
    }

    /// Writes as much as there is room for, and waits for some.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.awaits_room {
            match self.try_write(bytes) {
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => self.watch(true)?,
                written => return Poll::Ready(written),
            }
            // Who waited for bytes has to wait again.
            context.waker().wake_by_ref();
        }
        let watched = self.watched.as_ref().ok_or(ErrorKind::NotConnected)?;
        loop {
            let mut ready = ready!(watched.poll_write_ready(context))?;
            if let Ok(written) = ready.try_io(|stream| (&**stream.get_ref()).write(bytes)) {
                if written.as_ref().is_ok_and(|&count| count == bytes.len()) {
                    self.watch(false)?;
                }
                return Poll::Ready(written);
            }
        }
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock`, if there is none.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(bytes)
    }

    /// Watches the socket for bytes that arrive, and also for room to write if this is asked for. Tasks that
    /// wait for it are forgotten.
    fn watch(&mut self, for_room: bool) -> io::Result<()> {
        let interest = if for_room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        // A descriptor can be watched once.
        self.watched = None;
        // SAFETY: a `UnixStream` names the same open descriptor until it is dropped, and the `AsyncFd` shares
        // the ownership of it.
        let watched = unsafe { AsyncFd::register_with_interest(Rc::clone(&self.stream), interest) };
        self.watched = Some(watched.map_err(io::Error::from)?);
        self.awaits_room = for_room;
        Ok(())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use nix::sys::epoll::EpollFlags;

    use super::*;

    /// Runs a future on a runtime of one thread.
    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
    }

    /// A socket, and its other end, which blocks.
    fn pair() -> (Socket, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        (Socket::new(tokio::net::UnixStream::from_std(one).unwrap()).unwrap(), other)
    }

    #[test]
    fn all_bytes_arrive_in_both_directions_at_once_however_many_there_are() {
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        run(async {
            let (mut socket, other) = pair();
            let (mut reads, mut writes) = (other.try_clone().unwrap(), other);
            let (expected, written) = (sent.clone(), sent.clone());
            let reader = thread::spawn(move || {
                let mut received = vec![0; expected.len()];
                reads.read_exact(&mut received).unwrap();
                assert!(received == expected);
            });
            let writer = thread::spawn(move || writes.write_all(&written).unwrap());
            let (mut unsent, mut received) = (&sent[..], Vec::new());
            while !unsent.is_empty() || received.len() < sent.len() {
                let mut room = vec![0; 70_000];
                poll_fn(|context| {
                    let read = socket.poll_read(context, &mut room).map(|read| {
                        received.extend_from_slice(&room[..read.unwrap()]);
                    });
                    let written = match unsent {
                        [] => Poll::Pending,
                        _ => socket
                            .poll_write(context, unsent)
                            .map(|written| unsent = &unsent[written.unwrap()..]),
                    };
                    if read.is_ready() { read } else { written }
                })
                .await;
            }
            assert!(received == sent);
            reader.join().unwrap();
            writer.join().unwrap();
            assert!(!socket.awaits_room);
        });
    }

    /// Whether an epoll of this process watches the socket for room to write, by what the kernel says.
    fn is_watched_for_room(socket: &Socket) -> bool {
        let watches = |epoll: String| {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
            let of_socket = info.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let of_socket = of_socket
                .filter(|words| words.first() == Some(&"tfd:") && words[1] == socket.as_raw_fd().to_string());
            let events =
                of_socket.map(|words| u32::from_str_radix(words[3], 16).unwrap()).collect::<Vec<_>>();
            events.iter().any(|events| events & EpollFlags::EPOLLOUT.bits() as u32 != 0)
        };
        let open = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
        open.map(|name| name.into_string().unwrap()).any(watches)
    }

    #[test]
    fn it_is_watched_for_room_only_while_a_write_waits_for_some() {
        run(async {
            let (mut socket, mut other) = pair();
            assert!(!is_watched_for_room(&socket));
            let mut sent = 0;
            while poll_fn(|context| Poll::Ready(socket.poll_write(context, &[7; 10_000]))).await.is_ready() {
                assert!(!is_watched_for_room(&socket));
                sent += 1;
            }
            assert!(sent > 0 && is_watched_for_room(&socket));
            let mut received = vec![0; 10_000 * sent];
            other.read_exact(&mut received).unwrap();
            socket.write_all(b"x").await.unwrap();
            assert!(!is_watched_for_room(&socket));
        });
    }

    #[test]
    fn who_waits_for_bytes_is_woken_after_a_write_without_room() {
        run(async {
            let (mut socket, mut other) = pair();
            while socket.try_write(&[7; 10_000]).is_ok() {}
            let mut wrote_at_first = false;
            let read = poll_fn(|context| {
                let read = socket.poll_read(context, &mut [0; 10]);
                if !wrote_at_first {
                    wrote_at_first = true;
                    assert!(socket.poll_write(context, b"x").is_pending());
                    other.write_all(b"y").unwrap();
                }
                read
            });
            assert_eq!(read.await.unwrap(), 1);
        });
    }

    #[test]
    fn the_end_of_the_other_side_is_read_as_no_bytes() {
        run(async {
            let (socket, other) = pair();
            drop(other);
            assert_eq!(socket.read(&mut [0; 10]).await.unwrap(), 0);
            assert!(socket.try_write(b"x").is_err());
        });
    }
}

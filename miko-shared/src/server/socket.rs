//! The socket of a connection, which wakes the server only for events that the server waits for.
//!
//! tokio watches its own sockets for room to write all the time, and a Unix socket reports room each time the
//! other side reads. In a server that delivered changes over tokio's sockets, half of the wake-ups only
//! reported such room.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The socket of a connection.
pub(super) struct Socket {
    /// Watched for bytes that arrive.
    stream: AsyncFd<UnixStream>,
    /// A second descriptor of the socket, which is watched for room to write. It exists from a write that
    /// found no room until a write that took all of its bytes; `None` at other times.
    write_watch: Option<AsyncFd<OwnedFd>>,
}

impl Socket {
    /// Registers a connected socket with the runtime.
    ///
    /// # Errors
    /// If the system cannot watch another descriptor.
    pub(super) fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        // SAFETY: a `UnixStream` names the same open descriptor until it is dropped, and the `AsyncFd` that
        // owns it keeps it open while it is registered.
        let stream = unsafe { AsyncFd::register_with_interest(stream.into_std()?, Interest::READABLE) };
        Ok(Self { stream: stream?, write_watch: None })
    }

    /// The user of the process that connected the socket.
    pub(super) fn peer_uid(&self) -> nix::Result<u32> {
        getsockopt(self.stream.get_ref(), sockopt::PeerCredentials).map(|peer| peer.uid())
    }

    /// Waits until bytes have arrived, and reads them. Returns their number; 0 at the end of the stream.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
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

    /// As [`read`](Self::read), without waiting: if no bytes have arrived, registers the task to be woken.
    pub(super) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.stream.poll_read_ready(context))?;
            if let Ok(read) = ready.try_io(|stream| stream.get_ref().read(buffer)) {
                // After a short read the socket has no more bytes. Clearing its readiness saves the next
                // read, which would only return `WouldBlock`.
                if read.as_ref().is_ok_and(|&count| count < buffer.len()) {
                    ready.clear_ready();
                }
                return Poll::Ready(read);
            }
        }
    }

    /// Writes as many bytes as there is room for, and returns their number. If there is no room, registers
    /// the task to be woken.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            let Some(write_watch) = self.watch_for_room() else {
                // The system grants no second descriptor. So the task is woken at once, and tries the write
                // again after the other tasks have run.
                context.waker().wake_by_ref();
                return Poll::Pending;
            };
            // The event may be older than the write that found no room. So it is consumed, and the write is
            // tried again.
            ready!(write_watch.poll_write_ready(context))?.clear_ready();
        }
    }

    /// Writes as many bytes as there is room for, and returns their number.
    ///
    /// # Errors
    /// `WouldBlock`, if there is no room.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.get_ref().write(bytes)?;
        if written == bytes.len() {
            self.write_watch = None;
        }
        Ok(written)
    }

    /// Watches a second descriptor for room to write, if none is watched yet, and returns it. `None` if the
    /// system refuses a second descriptor, or refuses to watch it.
    fn watch_for_room(&mut self) -> Option<&AsyncFd<OwnedFd>> {
        if self.write_watch.is_none() {
            // epoll refuses to watch one descriptor twice, and `stream` is watched already.
            let second = self.stream.get_ref().as_fd().try_clone_to_owned().ok()?;
            self.write_watch = watch_descriptor(second, Interest::WRITABLE).ok();
        }
        self.write_watch.as_ref()
    }
}

/// Watches a descriptor for one kind of event. Dropping the result closes the descriptor.
pub(super) fn watch_descriptor(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd` that owns it
    // keeps it open while it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
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

    /// A socket, and its other end, whose reads and writes block.
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
            assert!(socket.write_watch.is_none());
        });
    }

    /// Whether an epoll instance of this process watches a descriptor of the socket for room to write,
    /// according to `/proc`.
    fn is_watched_for_room(socket: &Socket) -> bool {
        let descriptors = socket.write_watch.iter().map(AsRawFd::as_raw_fd).chain([socket.as_raw_fd()]);
        let descriptors: Vec<String> = descriptors.map(|descriptor| descriptor.to_string()).collect();
        let watches = |epoll: String| {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
            let watched = info.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let of_socket = watched.filter(|words| {
                words.first() == Some(&"tfd:") && descriptors.iter().any(|found| found == words[1])
            });
            let mut events = of_socket.map(|words| u32::from_str_radix(words[3], 16).unwrap());
            events.any(|events| events & EpollFlags::EPOLLOUT.bits() as u32 != 0)
        };
        let open = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
        open.map(|name| name.into_string().unwrap()).any(watches)
    }

    /// Writes until there is no room. Returns how many bytes there was room for.
    fn fill(socket: &mut Socket) -> usize {
        std::iter::from_fn(|| socket.try_write(&[7; 10_000]).ok()).sum()
    }

    /// Begins a write of one byte. Returns whether it waits.
    async fn waits_to_write(socket: &mut Socket) -> bool {
        poll_fn(|context| Poll::Ready(socket.poll_write(context, b"x").is_pending())).await
    }

    #[test]
    fn a_socket_is_watched_for_room_only_while_a_write_waits_for_room() {
        run(async {
            let (mut socket, mut other) = pair();
            let sent = fill(&mut socket);
            assert!(!is_watched_for_room(&socket));
            assert!(waits_to_write(&mut socket).await);
            assert!(is_watched_for_room(&socket));
            other.read_exact(&mut vec![0; sent]).unwrap();
            socket.write_all(b"x").await.unwrap();
            assert!(!is_watched_for_room(&socket));

            // Even if the write that waits is not polled again, a `try_write` that takes all of its bytes
            // ends the watch.
            let sent = fill(&mut socket);
            assert!(waits_to_write(&mut socket).await);
            other.read_exact(&mut vec![0; 1 + sent]).unwrap();
            socket.try_write(b"x").unwrap();
            assert!(!is_watched_for_room(&socket));
        });
    }

    #[test]
    fn a_read_completes_while_a_write_is_blocked() {
        run(async {
            let (mut socket, mut other) = pair();
            fill(&mut socket);
            let mut polls = 0;
            let read = poll_fn(|context| {
                polls += 1;
                let read = socket.poll_read(context, &mut [0; 10]);
                assert!(socket.poll_write(context, b"x").is_pending());
                if polls == 1 {
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
            let (mut socket, other) = pair();
            drop(other);
            assert_eq!(socket.read(&mut [0; 10]).await.unwrap(), 0);
            assert!(socket.try_write(b"x").is_err());
        });
    }
}

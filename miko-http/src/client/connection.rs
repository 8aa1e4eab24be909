//! A connection to a server: hyper speaks HTTP, and the calling thread does its work.
//!
//! hyper's connection is a future that a runtime would run. Here the thread that waits for a response polls
//! it, and blocks in `poll` when it can do nothing. So there is no runtime, which could not run inside
//! another one, and whose epoll instance a fork would share.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use miko_rpc::{Error, ErrorId, Result};
use tokio::task::unconstrained;

use super::channel::Channel;
use super::fault;
use super::socket::{Arrived, Socket, has_passed};

/// The most bytes of a response that are read ahead, which bounds the memory of a stream. It is also the size
/// of the largest head of a response.
const READ_AHEAD: usize = 64 << 10;

/// The response to a request that was sent, or what became of the request.
pub(super) type PendingResponse =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<String>>>> + Send>>;

/// How many rounds of work are done before the thread looks at its deadline. What has arrived already takes
/// fewer.
const MAX_ROUNDS: usize = 16;

/// A connection, and what hyper knows of it.
pub(super) struct Connection {
    sender: SendRequest<String>,
    driver: http1::Connection<Channel, String>,
    /// Whether the driver has ended, after which it is not polled.
    has_ended: bool,
    socket: Socket,
    wake: Arc<Wakeful>,
    waker: Waker,
}

/// Notes that a part of hyper can go on.
#[derive(Default)]
struct Wakeful(AtomicBool);

impl Wake for Wakeful {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Connection {
    /// A connection that reads and writes this channel, which is one over `socket`.
    ///
    /// # Errors
    /// `internal`, if hyper refuses it.
    pub(super) fn new(socket: Socket, channel: Channel) -> Result<Self> {
        let wake = Arc::<Wakeful>::default();
        let waker = Waker::from(Arc::clone(&wake));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_AHEAD);
        let mut handshake = pin!(builder.handshake(channel));
        // It does no I/O.
        let Poll::Ready(Ok((sender, driver))) = handshake.as_mut().poll(&mut Context::from_waker(&waker))
        else {
            return Err(Error::new(ErrorId::INTERNAL, "a connection of HTTP cannot be begun"));
        };
        Ok(Self { sender, driver, has_ended: false, socket, wake, waker })
    }

    /// Whether it can take a request. A connection that the server has closed cannot.
    pub(super) fn is_ready(&mut self) -> bool {
        let _: Poll<()> = self.advance(Some(Instant::now()), &mut |_| Poll::Pending);
        !self.has_ended && self.sender.is_ready() && self.socket.look() == Arrived::Nothing
    }

    /// Sends a request, as far as there is room for it.
    pub(super) fn send(&mut self, request: Request<String>) -> PendingResponse {
        Box::pin(self.sender.try_send_request(request))
    }

    /// Lets hyper work until it waits for the socket, or `attempt` is ready; or `until` has passed, though
    /// bytes keep coming.
    pub(super) fn advance<T>(
        &mut self,
        until: Option<Instant>,
        attempt: &mut dyn FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = self.waker.clone();
        // hyper uses channels of tokio. Inside a task they would count on its budget, and do nothing once
        // that is used up.
        let mut rounds: usize = 0;
        let work = unconstrained(poll_fn(|context| {
            loop {
                rounds += 1;
                self.wake.0.store(false, Ordering::Relaxed);
                self.socket.clear();
                if !self.has_ended {
                    // What has failed is told to the response and to the body.
                    self.has_ended = Pin::new(&mut self.driver).poll(context).is_ready();
                }
                if let Poll::Ready(output) = attempt(context) {
                    return Poll::Ready(output);
                }
                if !self.wake.0.load(Ordering::Relaxed)
                    || rounds.is_multiple_of(MAX_ROUNDS) && has_passed(until)
                {
                    return Poll::Pending;
                }
            }
        }));
        pin!(work).poll(&mut Context::from_waker(&waker))
    }

    /// Whether all was written that hyper has to write.
    pub(super) fn is_flushed(&self) -> bool {
        self.has_ended || !self.socket.wants_write()
    }

    /// Lets hyper work until `attempt` is ready; `Pending` if it is not at `until`.
    ///
    /// # Errors
    /// `server-gone`, if the connection has ended without it.
    pub(super) fn wait<T>(
        &mut self,
        until: Option<Instant>,
        attempt: &mut dyn FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<Poll<T>> {
        loop {
            if let Poll::Ready(output) = self.advance(until, attempt) {
                return Ok(Poll::Ready(output));
            }
            if self.has_ended {
                return Err(fault::closed());
            }
            let in_time = self.socket.wait(until).map_err(fault::lost)?;
            if !in_time || has_passed(until) {
                // What has come meanwhile is too late. A server that gives up at the same deadline may say
                // it in other words.
                return Ok(Poll::Pending);
            }
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }
}

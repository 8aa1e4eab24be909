//! A session with a server: what a connection of the wire is to a proxy.
//!
//! The response to `POST /session` stays open, and the session ends with its connection. Calls are requests
//! on other connections, which are used again. All of them belong to the process that opened them: in a fork
//! nothing is sent on them, and to drop them there closes descriptors only.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, header};
use miko_rpc::{Discard, Error, ErrorId, OutgoingCall, Result, Surface, receive};
use miko_shared::client::check_may_wait_for;
use miko_shared::wire::handshake;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::debug;

use super::answer::{self, ROOM_FOR_FAILURE, header_number};
use super::connection::Connection;
use super::exchange::{Answer, Exchange, SendFault};
use super::fault::{self, Fault};
use super::server::HttpServer;
use super::socket::{Arrived, Socket};
use crate::headers;
use crate::reply::JSON;

/// How many connections are kept for further calls.
const MAX_IDLE: usize = 8;

/// How long a connection may be idle: half of what a server allows. A call that is sent when the server
/// closes the connection is lost.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);

/// How long dropping an object, or a later answer, waits for the server to take note: at most this long, or
/// the deadline of a call if that is shorter.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest surface of a server that is read, in bytes.
const MAX_SURFACE_SIZE: usize = 16 << 20;

/// A session.
pub(super) struct Session {
    server: HttpServer,
    pid: u32,
    /// Its id, which is a secret.
    id: HeaderValue,
    authorization: Option<HeaderValue>,
    /// The largest body of JSON that both sides take, in bytes.
    frame_size: usize,
    /// The response that keeps the session open.
    open: Mutex<Exchange>,
    has_ended: AtomicBool,
    /// Whether a release has failed, or the server did not take note of it in time; and nothing was answered
    /// since.
    is_suspect: AtomicBool,
    idle: Mutex<Vec<Idle>>,
    late: Mutex<Vec<Late>>,
}

/// A connection that no exchange uses.
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A request whose answer no one waits for.
struct Late {
    exchange: Exchange,
    /// If it is a call, what is done with its answer.
    discard: Option<(&'static miko_rpc::Method, Discard)>,
}

/// What is asked of the server.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    accept: Option<HeaderValue>,
    body: String,
}

impl Session {
    /// Opens a session, and compares the surfaces of both sides.
    ///
    /// # Errors
    /// `server-gone`, `deadline-exceeded`, `surface-mismatch`, and why the server refuses.
    pub(super) fn open(server: &HttpServer, surface: &Surface, until: Option<Instant>) -> Result<Arc<Self>> {
        let authorization = server.authorization();
        let mut request = request(server, authorization.as_ref(), Method::POST, "/session", String::new());
        if let Some(worker) = server.worker {
            request.headers_mut().insert(headers::WORKER, worker.into());
        }
        let mut exchange = send_on(connect(server, until)?, request, until).map_err(into_error)?;
        let Poll::Ready(head) = exchange.head(until).map_err(into_error)? else {
            return Err(fault::not_opened());
        };
        if head.status != StatusCode::OK {
            let Poll::Ready(refused) = exchange.answer(ROOM_FOR_FAILURE, until).map_err(into_error)? else {
                return Err(fault::not_opened());
            };
            answer::of_success(&refused)?;
            return Err(Error::new(ErrorId::INTERNAL, "the server has opened no session"));
        }
        let frame_size = header_number(&head.headers, headers::FRAME_SIZE)
            .map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let their_fingerprint = header_number(&head.headers, headers::SURFACE);
        let id = read_id(&mut exchange, until)?;
        let session = Self {
            server: server.clone(),
            pid: process::id(),
            id,
            authorization,
            frame_size: frame_size.min(server.limits.frame_size),
            open: Mutex::new(exchange),
            has_ended: AtomicBool::new(false),
            is_suspect: AtomicBool::new(false),
            idle: Mutex::default(),
            late: Mutex::default(),
        };
        if their_fingerprint != Some(surface.fingerprint()) {
            session.compare_surfaces(surface, until)?;
        }
        debug!("session opened");
        Ok(Arc::new(session))
    }

    /// Compares the surface of the proxy with that of the server, which differs in some way.
    fn compare_surfaces(&self, surface: &Surface, until: Option<Instant>) -> Result<()> {
        let asked = Asked { method: Method::GET, path: "/surface", accept: None, body: String::new() };
        let answer = self.ask(asked, MAX_SURFACE_SIZE, until).map_err(into_error)?;
        let theirs: Surface = serde_json::from_str(answer::of_success(&answer)?).map_err(|fault| {
            Error::caused_by(ErrorId::INTERNAL, "the surface of the server cannot be read", fault)
        })?;
        handshake::check_interface(&surface.interface, &theirs)?;
        handshake::check_surface(surface, &theirs)
    }

    pub(super) fn server(&self) -> &HttpServer {
        &self.server
    }

    /// Whether this process has opened it.
    pub(super) fn is_own(&self) -> bool {
        self.pid == process::id()
    }

    /// Checks that this process may use what lives with the session.
    ///
    /// # Errors
    /// `session-gone` in a fork.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.is_own() { Ok(()) } else { Err(fault::of_another_process()) }
    }

    /// Whether the server still has the session.
    pub(super) fn is_alive(&self) -> bool {
        if self.has_ended.load(Ordering::Relaxed) {
            return false;
        }
        let mut open = lock(&self.open);
        // After the id nothing comes but the end.
        let has_ended = match open.look() {
            Arrived::Nothing => false,
            Arrived::End => true,
            Arrived::Bytes => !matches!(open.piece(Some(Instant::now())), Ok(Poll::Pending)),
        };
        self.has_ended.fetch_or(has_ended, Ordering::Relaxed);
        !has_ended
    }

    /// Makes a call, of an object or of the interface, and waits for the answer until `until`. A call that is
    /// not answered in time is given up.
    pub(super) fn call(
        self: &Arc<Self>,
        object: Option<u64>,
        call: &OutgoingCall<'_>,
        until: Option<Instant>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Fault> {
        let mut exchange = self.begin(object, call, until)?;
        match self.finish(&mut exchange, until)? {
            Poll::Ready(answer) => {
                self.keep(exchange);
                self.pass_on(&answer, read)
            }
            Poll::Pending => {
                self.give_up(exchange, call.method, call.discard, true);
                Err(fault::not_in_time().into())
            }
        }
    }

    /// Sends a call.
    pub(super) fn begin(
        self: &Arc<Self>,
        object: Option<u64>,
        call: &OutgoingCall<'_>,
        until: Option<Instant>,
    ) -> Result<Exchange, Fault> {
        let body = call.request.arguments_as_json()?;
        if body.len() > self.frame_size {
            let message = "the call is larger than the limit `frame_size`";
            return Err(Error::new(ErrorId::REQUEST_TOO_LARGE, message)
                .with("allowed", self.frame_size)
                .with("method", &*call.method.name)
                .into());
        }
        let method = utf8_percent_encode(&call.method.name, NON_ALPHANUMERIC);
        let path = match object {
            Some(handle) => format!("/objects/{handle}/{method}"),
            None => format!("/call/{method}"),
        };
        self.take_late_answers();
        self.send(Asked { method: Method::POST, path: &path, accept: None, body }, until)
    }

    /// Waits for the answer to a call that was begun; `Pending` if it has not come at `until`.
    pub(super) fn finish(
        &self,
        exchange: &mut Exchange,
        until: Option<Instant>,
    ) -> Result<Poll<Answer>, Fault> {
        let answer = exchange.answer(self.max_answer(), until)?;
        if answer.is_ready() {
            self.is_suspect.store(false, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Passes the answer to a call to its proxy.
    pub(super) fn pass_on(
        self: &Arc<Self>,
        answer: &Answer,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Fault> {
        match answer::of_method(answer) {
            Ok(bytes) => Ok(receive(Arc::clone(self) as _, || read(&bytes))?),
            Err(error) if self.ends_by(&error) => Err(Fault::Unanswered(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the refusal of a request says that the session has ended: the server does not know it, or it
    /// ended while the request waited. Then it has ended here, too, though its connection may seem open
    /// beyond a proxy. A refusal that names a handle is about that alone.
    pub(super) fn ends_by(&self, refusal: &Error) -> bool {
        let has_ended = refusal.is(ErrorId::SESSION_GONE)
            && refusal.items().iter().all(|item| !item.details.contains_key("handle"));
        self.has_ended.fetch_or(has_ended, Ordering::Relaxed);
        has_ended
    }

    /// Gives up a call. The server is told; an answer that has left it already is discarded when it comes, so
    /// that what it carries is released. Waits for the server to have taken note, unless `is_late`.
    pub(super) fn give_up(
        self: &Arc<Self>,
        exchange: Exchange,
        method: &'static miko_rpc::Method,
        discard: Discard,
        is_late: bool,
    ) {
        if !self.is_own() {
            return;
        }
        exchange.give_up();
        let late = Late { exchange, discard: Some((method, discard)) };
        if is_late {
            self.settle(late, Some(Instant::now()));
        } else {
            self.settle_or_suspect(late, self.until_settled());
        }
    }

    /// Asks for the items of a stream, as events.
    pub(super) fn read_stream(&self, handle: u64, until: Option<Instant>) -> Result<Exchange, Fault> {
        let path = stream_path(handle);
        let accept = Some(HeaderValue::from_static("text/event-stream"));
        self.send(Asked { method: Method::GET, path: &path, accept, body: String::new() }, until)
    }

    /// Releases an object.
    pub(super) fn release_object(self: &Arc<Self>, handle: u64) {
        self.release(&format!("/objects/{handle}"));
    }

    /// Releases a stream that was not read to its end.
    pub(super) fn release_stream(self: &Arc<Self>, handle: u64) {
        self.release(&stream_path(handle));
    }

    /// The largest answer in bytes.
    pub(super) fn max_answer(&self) -> usize {
        self.frame_size.saturating_add(ROOM_FOR_FAILURE)
    }

    /// Keeps the connection of an exchange that is complete.
    pub(super) fn keep(&self, exchange: Exchange) {
        if let Some(connection) = exchange.into_connection() {
            let mut idle = lock(&self.idle);
            if idle.len() < MAX_IDLE {
                idle.push(Idle { connection, since: Instant::now() });
            }
        }
    }

    /// Releases what is at `path`, and waits for the server to do it. Where this thread may not wait, the
    /// request is sent, and its answer is taken by a later call.
    fn release(self: &Arc<Self>, path: &str) {
        // In a fork it is that of the other process; and with the session it has ended.
        if !self.is_own() || !self.is_alive() {
            return;
        }
        let until = self.until_settled();
        let asked = Asked { method: Method::DELETE, path, accept: None, body: String::new() };
        match self.send(asked, until) {
            Ok(exchange) => self.settle_or_suspect(Late { exchange, discard: None }, until),
            Err(fault) => {
                self.is_suspect.store(true, Ordering::Relaxed);
                debug!(error = %into_error(fault), "not released");
            }
        }
    }

    /// Until when this thread waits for the server to take note of the end of something; now, if it may not
    /// wait, or the last wait got no answer. A server that works on something else does it later.
    fn until_settled(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.is_suspect.load(Ordering::Relaxed) || check_may_wait_for(self.server.identity()).is_err() {
            return Some(now);
        }
        now.checked_add(SETTLE_TIMEOUT.min(self.server.limits.call_deadline))
    }

    /// As [`settle`](Self::settle). If the answer does not come, later releases do not wait for theirs.
    fn settle_or_suspect(self: &Arc<Self>, late: Late, until: Option<Instant>) {
        if !self.settle(late, until) {
            self.is_suspect.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the answers that no one waits for.
    fn take_late_answers(self: &Arc<Self>) {
        let late = std::mem::take(&mut *lock(&self.late));
        for late in late {
            self.settle(late, Some(Instant::now()));
        }
    }

    /// Waits until `until` for an answer that no one needs, and drops what it carries. One that comes later
    /// is taken by a later call, and then the result is `false`.
    fn settle(self: &Arc<Self>, mut late: Late, until: Option<Instant>) -> bool {
        match self.finish(&mut late.exchange, until) {
            Ok(Poll::Pending) => {
                lock(&self.late).push(late);
                return false;
            }
            Ok(Poll::Ready(answer)) => {
                match (answer::of_method(&answer), late.discard) {
                    (Ok(bytes), Some((method, discard))) => {
                        receive(Arc::clone(self) as _, || discard(method, &bytes));
                    }
                    (Err(error), _) if self.ends_by(&error) => debug!(%error, "the session has ended"),
                    _ => {}
                }
                self.keep(late.exchange);
            }
            // The server has closed the connection.
            Err(_) => {}
        }
        true
    }

    /// Sends a request and waits for the whole response.
    fn ask(&self, asked: Asked<'_>, limit: usize, until: Option<Instant>) -> Result<Answer, Fault> {
        let mut exchange = self.send(asked, until)?;
        match exchange.answer(limit, until)? {
            Poll::Ready(answer) => {
                self.keep(exchange);
                Ok(answer)
            }
            Poll::Pending => Err(fault::not_in_time().into()),
        }
    }

    /// Sends a request of the session, on a connection that was used before, if one is still open.
    fn send(&self, asked: Asked<'_>, until: Option<Instant>) -> Result<Exchange, Fault> {
        let Asked { method, path, accept, body } = asked;
        let mut request = request(&self.server, self.authorization.as_ref(), method, path, body);
        request.headers_mut().insert(headers::SESSION, self.id.clone());
        if let Some(accept) = accept {
            request.headers_mut().insert(header::ACCEPT, accept);
        }
        while let Some(Idle { mut connection, since }) = self.take_idle() {
            if since.elapsed() > MAX_IDLE_TIME || !connection.is_ready() {
                continue;
            }
            match Exchange::begin(connection, request, until) {
                Ok(exchange) => return Ok(exchange),
                Err(SendFault::Unsent(unsent, _)) => request = *unsent,
                Err(SendFault::Lost(fault)) => return Err(fault),
            }
        }
        send_on(connect(&self.server, until).map_err(Fault::Unsent)?, request, until)
    }

    fn take_idle(&self) -> Option<Idle> {
        lock(&self.idle).pop()
    }
}

fn stream_path(handle: u64) -> String {
    format!("/streams/{handle}")
}

/// A request to the server, outside a session.
fn request(
    server: &HttpServer,
    authorization: Option<&HeaderValue>,
    method: Method,
    path: &str,
    body: String,
) -> Request<String> {
    let has_body = !body.is_empty();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // It is made of encoded names and of numbers.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, server.host().clone());
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    if has_body {
        headers.insert(CONTENT_TYPE, JSON);
    }
    request
}

fn connect(server: &HttpServer, until: Option<Instant>) -> Result<Connection> {
    let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
    let socket = Socket::new(server.open(left).map_err(|fault| server.unreachable(fault))?);
    let channel = server.channel(&socket, until)?;
    Connection::new(socket, channel)
}

/// Sends a request on a new connection.
fn send_on(
    connection: Connection,
    request: Request<String>,
    until: Option<Instant>,
) -> Result<Exchange, Fault> {
    Exchange::begin(connection, request, until).map_err(|fault| match fault {
        SendFault::Unsent(_, error) => Fault::Unsent(error),
        SendFault::Lost(fault) => fault,
    })
}

/// Reads the id of a session, which is a line of its response.
fn read_id(exchange: &mut Exchange, until: Option<Instant>) -> Result<HeaderValue> {
    #[derive(serde::Deserialize)]
    struct Opened {
        session: String,
    }
    let other = || Error::new(ErrorId::INTERNAL, "the response that opens a session cannot be read");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        match exchange.piece(until).map_err(into_error)? {
            Poll::Pending => return Err(fault::not_opened()),
            Poll::Ready(Some(piece)) if line.len() + piece.len() <= ROOM_FOR_FAILURE => {
                line.extend_from_slice(&piece);
            }
            Poll::Ready(_) => return Err(other()),
        }
    }
    let opened: Opened = serde_json::from_slice(&line).map_err(|_| other())?;
    HEXLOWER.decode(opened.session.as_bytes()).map_err(|_| other())?;
    let mut id = HeaderValue::try_from(opened.session).map_err(|_| other())?;
    id.set_sensitive(true);
    Ok(id)
}

pub(super) fn into_error(fault: Fault) -> Error {
    fault.into_error(std::convert::identity)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panics while a lock is held is hyper or the allocator, and the value is whole in either case.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

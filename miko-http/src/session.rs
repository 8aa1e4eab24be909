//! Sessions: what lives with the connection on which `POST /session` is being answered.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use data_encoding::HEXLOWER;
use hyper::StatusCode;
use hyper::body::Bytes;
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::linux::{self, PeerPidfd};
use miko_shared::server::JsonConnection;
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::asked::{Asked, Connection};
use crate::body::{Pieces, ResponseBody};
use crate::gzip::AsItIs;
use crate::headers;
use crate::reply::{self, Answer};
use crate::sessions::{Id, Sessions};
use crate::stream::NDJSON;

/// Opens a session, which ends with the connection. The response is a line with its id, and has no end.
pub(crate) fn open(asked: &Asked) -> Answer {
    let Connection { http, calls, peer, .. } = &*asked.connection;
    let mut id = Id::default();
    getrandom::fill(&mut id)
        .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no randomness for a session", fault))?;
    let worker = asked.headers.get(headers::WORKER).and_then(|index| index.to_str().ok()?.parse().ok());
    let mut caller = peer.clone();
    caller.worker = worker;
    let session = Rc::new(JsonConnection::new(calls, caller));
    http.sessions.add(id, session);
    let line = format!("{{\"session\":\"{}\"}}\n", HEXLOWER.encode(&id));
    let client = if asked.connection.is_tcp { Client::Unwatched } else { Client::of(&asked.connection) };
    let open = OpenSession { sessions: http.sessions.clone(), id, line: Some(line.into()), client };
    let mut response = reply::respond(StatusCode::OK, NDJSON, ResponseBody::pieces(open));
    response.headers_mut().insert(headers::SURFACE, calls.surface().fingerprint().into());
    response.headers_mut().insert(headers::FRAME_SIZE, calls.limits().frame_size.into());
    response.extensions_mut().insert(AsItIs);
    Ok(response)
}

/// The body of the response that keeps a session open.
struct OpenSession {
    sessions: Sessions,
    id: Id,
    line: Option<Bytes>,
    client: Client,
}

/// The process of the client. A process that it has forked may keep the connection open when it ends.
enum Client {
    /// Becomes readable when the process ends.
    Watched(AsyncFd<OwnedFd>),
    /// It is on another machine, or the system cannot watch it.
    Unwatched,
    /// It had ended already when it opened the session.
    Ended,
}

impl Client {
    /// That of a connection by a Unix socket.
    fn of(connection: &Connection) -> Self {
        // SAFETY: a request of the connection is being answered, so its descriptor is open.
        let socket = unsafe { BorrowedFd::borrow_raw(connection.descriptor) };
        let process = match linux::peer_pidfd(&socket) {
            PeerPidfd::Open(process) => Some(process),
            PeerPidfd::Reaped => return Self::Ended,
            PeerPidfd::Unknown => linux::pidfd(Pid::from_raw(connection.peer.pid)).ok(),
        };
        // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd` that
        // owns it does not release it.
        let watch = |process| unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.ok();
        process.and_then(watch).map_or(Self::Unwatched, Self::Watched)
    }
}

impl Pieces for OpenSession {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if let Some(line) = self.line.take() {
            return Poll::Ready(Some(Ok(line)));
        }
        match &self.client {
            Client::Watched(process) => process.poll_read_ready(context).map(|_| None),
            Client::Unwatched => Poll::Pending,
            Client::Ended => Poll::Ready(None),
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.sessions.end(&self.id);
    }
}

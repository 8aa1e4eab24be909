//! Sessions: what lives with the connection on which `POST /session` is being answered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use data_encoding::HEXLOWER;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::linux;
use miko_shared::server::JsonConnection;
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::body::{Pieces, ResponseBody};
use crate::connection::Connection;
use crate::reply::{self, Answer};
use crate::routes::Asked;
use crate::stream::NDJSON;

/// The header by which a request names its session.
const HEADER: HeaderName = HeaderName::from_static("mikobase-session");

/// The random bits of an id, which is a secret.
type Id = [u8; 32];

/// The sessions of a server by their ids.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Rc<RefCell<HashMap<Id, Rc<JsonConnection>>>>);

impl Sessions {
    /// The session that a request names; `None` if it names none.
    ///
    /// # Errors
    /// `session-gone`, if there is no session with its id.
    pub(crate) fn of_request(&self, headers: &HeaderMap) -> Result<Option<Rc<JsonConnection>>> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let id = HEXLOWER.decode(value.as_bytes()).ok().and_then(|id| Id::try_from(id).ok());
        let session = id.and_then(|id| self.0.borrow().get(&id).map(Rc::clone));
        let gone = || Error::new(ErrorId::SESSION_GONE, "there is no session with this id");
        session.map(Some).ok_or_else(gone)
    }
}

/// Opens a session, which ends with the connection. The response is a line with its id, and has no end.
pub(crate) fn open(asked: &Asked) -> Answer {
    let Connection { http, calls, peer, .. } = &*asked.connection;
    let mut id = Id::default();
    getrandom::fill(&mut id)
        .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no randomness for a session", fault))?;
    let session = Rc::new(JsonConnection::new(calls, peer.clone()));
    http.sessions.0.borrow_mut().insert(id, session);
    let line = format!("{{\"session\":\"{}\"}}\n", HEXLOWER.encode(&id));
    let process = if asked.connection.is_tcp { None } else { watch(peer.pid) };
    let open = OpenSession { sessions: http.sessions.clone(), id, line: Some(line.into()), process };
    Ok(reply::respond(StatusCode::OK, NDJSON, ResponseBody::pieces(open)))
}

/// The error of a request that needs a session for `what`.
pub(crate) fn required(what: &str) -> Error {
    let message = format!("{what} lives with a session, and the request names none");
    Error::new(ErrorId::SESSION_REQUIRED, message)
}

/// The body of the response that keeps a session open.
struct OpenSession {
    sessions: Sessions,
    id: Id,
    line: Option<Bytes>,
    /// Becomes readable when the process of the client ends. A process that it has forked may keep the
    /// connection open.
    process: Option<AsyncFd<OwnedFd>>,
}

/// Watches the process with this id, which is at the other end of an open connection; `None` if it cannot be
/// watched.
fn watch(pid: i32) -> Option<AsyncFd<OwnedFd>> {
    let process = linux::pidfd(Pid::from_raw(pid)).ok()?;
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd` that owns it
    // does not release it.
    unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.ok()
}

impl Pieces for OpenSession {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if let Some(line) = self.line.take() {
            return Poll::Ready(Some(Ok(line)));
        }
        // hyper notices the end of the connection, and drops the body.
        match &self.process {
            Some(process) => process.poll_read_ready(context).map(|_| None),
            None => Poll::Pending,
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        let session = self.sessions.0.borrow_mut().remove(&self.id);
        // A call may still have it.
        if let Some(session) = session {
            session.end();
        }
    }
}

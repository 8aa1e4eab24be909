//! Sessions: what lives with the connection on which `POST /session` is being answered.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use data_encoding::HEXLOWER;
use hyper::StatusCode;
use hyper::body::Bytes;
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::linux;
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
    let process = if asked.connection.is_tcp { None } else { watch(peer.pid) };
    let open = OpenSession { sessions: http.sessions.clone(), id, line: Some(line.into()), process };
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
        match &self.process {
            Some(process) => process.poll_read_ready(context).map(|_| None),
            None => Poll::Pending,
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.sessions.end(&self.id);
    }
}

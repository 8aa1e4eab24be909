//! Serves one implementation of an interface to many connections.
//!
//! The server is a single-threaded tokio runtime with one task per connection. A task reads the bytes that
//! have arrived, runs each complete call in order, and writes the answers with one system call. If the
//! service prefers group commit, calls that arrive on several connections at the same time run as a batch.
//! The batch consists of groups, and the calls of a group share one commit (`server/commit_batch.rs`). Calls
//! never run concurrently, and the implementation runs on one thread.
//!
//! Invariants: no input from a peer ends the server, and no allocation relies on a size that a peer states.
//!
//! | subject | where |
//! | --- | --- |
//! | the served implementation, and drops of its values; the method that runs | `service`, `guarded`; `activity` |
//! | what all tasks share; the connected processes | `shared`; `peers`, `peer_process` |
//! | a connection: socket, handshake, loop, time slice, state | `socket`, `admission`, `connection`, `time_slice`, `connection_state` |
//! | a call, and the hook of `Uds::around`; the calls of several connections | `calls`, `around`; `commit_batch` |
//! | objects, streams, later answers and parked calls of a connection | `session`, `ready`, `parked_calls` |
//! | other protocols: their sockets, calls and counters | `protocol`, `json_calls`, `metrics` |
//! | polling before blocking; the runtime and its load, which clients see | `busy_poll`; `load` |

mod activity;
mod admission;
mod around;
mod busy_poll;
mod calls;
mod commit_batch;
mod connection;
mod connection_state;
mod guarded;
mod json_calls;
mod load;
mod metrics;
mod parked_calls;
mod peer_process;
mod peers;
mod protocol;
mod ready;
mod service;
mod session;
mod shared;
mod socket;
mod time_slice;

use std::future::{Future, poll_fn};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Interface, Result};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tracing::{Instrument, debug, debug_span, warn};

pub(crate) use self::activity::Activity;
pub(crate) use self::around::Around;
pub use self::around::{CallInfo, Next, Peer};
use self::busy_poll::BusyPoll;
use self::calls::CallContext;
pub use self::json_calls::{JsonCall, JsonCalls, JsonConnection, JsonParams, JsonReply};
pub(crate) use self::load::runtime;
pub use self::metrics::{CallOutcome, MethodCount, Metrics, Traffic};
use self::parked_calls::ParkedCalls;
use self::protocol::Listener;
pub use self::protocol::{Accepted, AcceptedStream, Protocol, ProtocolSocket, WorkerAddress};
pub use self::service::Service;
use self::shared::Shared;
use self::socket::Socket;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::serving;
use crate::token::Token;

/// The options of a server.
pub(crate) struct ServeOptions {
    /// The tokens with which a process may connect.
    pub(crate) tokens: Vec<Token>,
    pub(crate) limits: Limits,
    /// The status that the server publishes to its workers; `None` if neither the server nor its clients
    /// poll.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
    /// Publishes to the parent process of a share which method runs.
    pub(crate) activity: Arc<Activity>,
    /// The hook of [`Uds::around`](crate::Uds::around), which runs around each call.
    pub(crate) around: Option<Rc<Around>>,
    /// Other protocols that the server speaks, each with its socket.
    pub(crate) protocols: Vec<ProtocolSocket>,
}

/// Serves `service` on `listener`, if there is one, and by other protocols, until `stop` completes. Then the
/// listening sockets are closed, so later connects are refused. Last, serves the calls that processes have
/// sent before they ended.
///
/// # Errors
/// `internal`, if the runtime refuses a socket.
pub(crate) async fn serve<I: Interface + ?Sized>(
    listener: Option<StdListener>,
    service: Rc<dyn Service<I>>,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let refused = |fault| Error::caused_by(ErrorId::INTERNAL, "the socket cannot be served", fault);
    let groups_commits = service.prefers_group_commit();
    let ServeOptions { tokens, limits, shared_status, activity, around, protocols } = options;
    let parked_calls = ParkedCalls::new(shared_status.clone());
    let metrics = (!protocols.is_empty()).then(Rc::default);
    let calls = CallContext { service, limits, activity, around, parked_calls, metrics };
    let busy_poll = BusyPoll::new(shared_status);
    let (peers, commit_batch) = Default::default();
    let shared = Rc::new(Shared { calls, tokens, busy_poll, peers, groups_commits, commit_batch });
    let tasks = LocalSet::new();
    if shared.busy_poll.may_be_enabled() {
        let shared = Rc::clone(&shared);
        tasks.spawn_local(async move { shared.busy_poll.run().await });
    }
    let mut protocol_tasks = Vec::new();
    let mut socket_paths = Vec::new();
    for ProtocolSocket { listener, protocol } in protocols {
        socket_paths.extend(listener.path());
        let listener = listener.listen().map_err(refused)?;
        let accepting = accept_for_protocol(listener, protocol, Rc::clone(&shared));
        protocol_tasks.push(tasks.spawn_local(accepting));
    }
    let listener = match listener {
        Some(listener) => {
            socket_paths.extend(listener.local_addr().map_err(refused)?.as_pathname().map(Path::to_owned));
            listener.set_nonblocking(true).map_err(refused)?;
            Some(UnixListener::from_std(listener).map_err(refused)?)
        }
        None => None,
    };
    // A method that calls this server again is recognized by these paths.
    serving::set_sockets(socket_paths);
    let accepting = async {
        match listener {
            Some(listener) => accept_connections(listener, Rc::clone(&shared), &tasks).await,
            None => std::future::pending().await,
        }
    };
    tasks
        .run_until(async {
            first_of(stop, accepting).await;
            protocol_tasks.iter().for_each(JoinHandle::abort);
            shared.peers.read_input_of_dead_peers().await;
        })
        .await;
    Ok(())
}

/// Waits until one of two futures completes, and drops both.
pub(crate) async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(context),
    })
    .await;
}

/// The longest pause before accepting is retried after a failure.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts connections without end. Accepting may fail, for example because descriptors have run out. It is
/// then retried when a peer has disconnected, and at the latest after [`ACCEPT_RETRY`]: another process may
/// have freed descriptors.
async fn accept_connections<I: Interface + ?Sized>(
    listener: UnixListener,
    shared: Rc<Shared<I>>,
    tasks: &LocalSet,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // 0 stands for an unknown process: see `Peer::pid`.
                let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or(0);
                let connection = handle_connection(stream, pid, Rc::clone(&shared));
                tasks.spawn_local(connection.instrument(debug_span!("connection", peer = pid)));
            }
            Err(fault) => {
                warn!(%fault, "no connection can be accepted");
                let _ = tokio::time::timeout(ACCEPT_RETRY, shared.peers.disconnected.notified()).await;
            }
        }
    }
}

/// As [`accept_connections`], for another protocol.
async fn accept_for_protocol<I: Interface + ?Sized>(
    listener: Listener,
    protocol: Rc<dyn Protocol>,
    shared: Rc<Shared<I>>,
) {
    let calls = Rc::new(JsonCalls::new(&shared.calls));
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                let span = debug_span!("protocol", peer = accepted.peer.pid);
                let (protocol, calls) = (Rc::clone(&protocol), Rc::clone(&calls));
                let connection = handle_with_protocol(accepted, protocol, calls, Rc::clone(&shared));
                spawn_local(connection.instrument(span));
            }
            Err(fault) => {
                warn!(%fault, "no connection can be accepted");
                let _ = tokio::time::timeout(ACCEPT_RETRY, shared.peers.disconnected.notified()).await;
            }
        }
    }
}

/// Handles one connection of another protocol until it is closed.
async fn handle_with_protocol<I: Interface + ?Sized>(
    mut accepted: Accepted,
    protocol: Rc<dyn Protocol>,
    calls: Rc<JsonCalls>,
    shared: Rc<Shared<I>>,
) {
    let connected = shared.peers.add(accepted.peer.pid, accepted.stream.descriptor());
    let _counted_until_dropped = calls.metrics().count_connection(|metrics| &metrics.protocols);
    // If there are too many connections, the protocol refuses this one, in its own form.
    accepted.refusal = shared.check_connections().err();
    protocol.serve(accepted, calls).await;
    // `serve` has just closed the stream, and no other task has run since. So no other connection has got the
    // same descriptor number while `peers` still has it.
    drop(connected);
    debug!("closed");
    shared.peers.disconnected.notify_waiters();
}

/// Handles one connection from the handshake until it is closed.
async fn handle_connection<I: Interface + ?Sized>(stream: UnixStream, pid: i32, shared: Rc<Shared<I>>) {
    let mut socket = match Socket::new(stream) {
        Ok(socket) => socket,
        Err(fault) => return warn!(%fault, "a connection cannot be watched"),
    };
    let descriptor = socket.as_raw_fd();
    let connected = shared.peers.add(pid, descriptor);
    let metrics = shared.calls.metrics.as_ref();
    let _counted_until_dropped = metrics.map(|metrics| metrics.count_connection(|metrics| &metrics.wire));
    if let Some(admission::Admitted { peer, incoming }) = admission::admit(&mut socket, pid, &shared).await {
        debug!("admitted");
        connection::serve_calls(&mut socket, peer, incoming, &shared).await;
    }
    // Dropping `connected` removes the descriptor from `peers`. The descriptor is closed only afterwards,
    // because the kernel may reuse the number of a closed descriptor.
    drop(connected);
    drop(socket);
    debug!("closed");
    shared.peers.disconnected.notify_waiters();
}

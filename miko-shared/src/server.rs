//! Serves one implementation of an interface to many connections.
//!
//! The server is a single-threaded tokio runtime with one task per connection. A task reads the bytes that
//! have arrived, runs each complete call in order, and writes the answers with one system call. If the
//! service prefers group commit, calls that arrive on several connections at the same time run as one batch
//! (`server/commit_batch.rs`) with one commit. Calls never run concurrently, and the implementation runs on
//! one thread.
//!
//! Invariants: no input from a peer ends the loop, and no allocation relies on a size that a peer claims.

mod activity;
mod admission;
mod around;
mod busy_poll;
mod commit_batch;
mod connection;
mod load;
mod peer_process;
mod ready;
mod session;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use miko_rpc::{Error, ErrorId, GroupFailure, Interface, Result};
use nix::sys::signal::kill;
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::Pid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tracing::{Instrument, debug, debug_span, warn};

pub(crate) use self::activity::Activity;
pub(crate) use self::around::Around;
pub use self::around::{CallInfo, Next, Peer};
use self::busy_poll::BusyPoll;
use self::commit_batch::CommitBatch;
pub(crate) use self::load::runtime;
use self::session::ParkedTotal;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::serving;
use crate::token::Token;

/// What a server serves: an implementation of an interface, and the state that it delivers at the end.
pub trait Service<I: Interface + ?Sized> {
    /// The implementation that runs the calls.
    fn interface(&self) -> &I;

    /// Writes the final state, after the last worker of a share has ended.
    ///
    /// # Errors
    /// Any error that prevents the delivery of the state; the share then fails with it.
    fn deliver(&self, state: &mut dyn Write) -> Result<()>;

    /// Whether committing the changes of several calls at once is faster than committing each call.
    fn prefers_group_commit(&self) -> bool {
        false
    }

    /// Calls `call` with 0, 1 and so on until it returns `false`, then commits the changes of all these calls
    /// at once.
    ///
    /// The default does not group commits.
    ///
    /// # Errors
    /// The first call whose changes could not be committed; the changes of all later calls are lost as well.
    fn run_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        (0..).take_while(|index| call(*index)).for_each(drop);
        Ok(())
    }
}

/// Serves an implementation alone, without a final state.
impl<I: Interface + ?Sized> Service<I> for Box<I> {
    fn interface(&self) -> &I {
        self
    }

    fn deliver(&self, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// The options of a server.
pub(crate) struct ServeOptions {
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    /// The status that the server publishes to its workers; `None` if polling is disabled.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
    /// Publishes to the parent process which method runs.
    pub(crate) activity: Arc<Activity>,
    /// What runs around each call.
    pub(crate) around: Option<Rc<Around>>,
}

/// The state that the tasks of a server share.
struct Shared<I: ?Sized> {
    service: Rc<dyn Service<I>>,
    token: Token,
    limits: Limits,
    busy_poll: BusyPoll,
    activity: Arc<Activity>,
    around: Option<Rc<Around>>,
    peers: Peers,
    /// Whether calls of several connections share one commit.
    groups_commits: bool,
    commit_batch: CommitBatch,
    /// The bytes of the calls that wait at a gate.
    parked_bytes: ParkedTotal,
}

/// The connected processes.
#[derive(Default)]
struct Peers {
    /// The descriptors of each process's connections. A descriptor is removed before it is closed.
    by_pid: RefCell<HashMap<i32, Vec<RawFd>>>,
    /// Notified after a connection is closed.
    disconnected: Notify,
}

/// Serves `service` on `listener` until `stop` completes and all input of dead peers has been read.
///
/// The listening socket is closed when `stop` completes, so later connects are refused.
///
/// # Errors
/// `internal`, if the runtime refuses the socket.
pub(crate) async fn serve<I: Interface + ?Sized>(
    listener: StdListener,
    service: Rc<dyn Service<I>>,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let refused = |fault| Error::caused_by(ErrorId::INTERNAL, "the socket cannot be served", fault);
    listener.set_nonblocking(true).map_err(refused)?;
    let listener = UnixListener::from_std(listener).map_err(refused)?;
    serving::set_socket(listener.local_addr().map_err(refused)?.as_pathname());
    let groups_commits = service.prefers_group_commit();
    let (peers, commit_batch, parked_bytes) = Default::default();
    let ServeOptions { token, limits, shared_status, activity, around } = options;
    let busy_poll = BusyPoll::new(shared_status);
    let shared = Rc::new(Shared {
        service,
        token,
        limits,
        busy_poll,
        activity,
        around,
        peers,
        groups_commits,
        commit_batch,
        parked_bytes,
    });
    let tasks = LocalSet::new();
    if shared.busy_poll.is_enabled() {
        let shared = Rc::clone(&shared);
        tasks.spawn_local(async move { shared.busy_poll.run().await });
    }
    let accepting = accept_all(listener, Rc::clone(&shared), &tasks);
    tasks
        .run_until(async {
            tokio::select! {
                () = stop => {}
                () = accepting => {}
            }
            shared.peers.wait_for_dead_peers().await;
        })
        .await;
    Ok(())
}

/// How long the server waits for answers to an ended process to be read. They may never be read.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest pause before accepting is retried after a failure.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts connections without end. Running out of descriptors does not end it: it retries after a peer has
/// disconnected, or after [`ACCEPT_RETRY`], since another process may have freed descriptors.
async fn accept_all<I: Interface + ?Sized>(listener: UnixListener, shared: Rc<Shared<I>>, tasks: &LocalSet) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
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

/// Handles one connection from the handshake until it is closed.
async fn handle_connection<I: Interface + ?Sized>(mut stream: UnixStream, pid: i32, shared: Rc<Shared<I>>) {
    let descriptor = stream.as_raw_fd();
    let connected = shared.peers.add(pid, descriptor);
    if let Some(admission::Admitted { peer, incoming }) = admission::admit(&mut stream, pid, &shared).await {
        debug!("admitted");
        connection::serve_calls(&mut stream, peer, incoming, &shared).await;
    }
    // Removed before it is closed: the kernel may reuse the number of a closed descriptor.
    drop(connected);
    drop(stream);
    debug!("closed");
    shared.peers.disconnected.notify_waiters();
}

/// A connection among the [`Peers`], until it is dropped; also by a panic.
struct Connected<'p> {
    peers: &'p Peers,
    pid: i32,
    descriptor: RawFd,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.peers.remove(self.pid, self.descriptor);
    }
}

impl Peers {
    fn add(&self, pid: i32, descriptor: RawFd) -> Connected<'_> {
        self.by_pid.borrow_mut().entry(pid).or_default().push(descriptor);
        Connected { peers: self, pid, descriptor }
    }

    fn remove(&self, pid: i32, descriptor: RawFd) {
        let mut by_pid = self.by_pid.borrow_mut();
        if let Some(descriptors) = by_pid.get_mut(&pid) {
            descriptors.retain(|candidate| *candidate != descriptor);
            if descriptors.is_empty() {
                by_pid.remove(&pid);
            }
        }
    }

    fn count(&self) -> usize {
        self.by_pid.borrow().values().map(Vec::len).sum()
    }

    /// Waits until all connections of processes that have ended are closed. All calls that these processes
    /// sent have then been applied. Does not wait for live peers.
    ///
    /// A process forked by the peer may hold the connection open, so end of file may never arrive. Receiving
    /// is therefore shut down: bytes that have arrived can still be read, followed by end of file. If the
    /// forked process does not read its answers either, sending is shut down after [`DEAD_PEER_TIMEOUT`].
    async fn wait_for_dead_peers(&self) {
        let mut how = Shutdown::Read;
        loop {
            let disconnected = self.disconnected.notified();
            if !self.shut_down_dead(how) {
                return;
            }
            if tokio::time::timeout(DEAD_PEER_TIMEOUT, disconnected).await.is_err() {
                how = Shutdown::Both;
            }
        }
    }

    /// Shuts down the connections of processes that have ended; returns whether there were any.
    fn shut_down_dead(&self, how: Shutdown) -> bool {
        let by_pid = self.by_pid.borrow();
        let dead = by_pid.iter().filter(|(pid, _)| kill(Pid::from_raw(**pid), None).is_err());
        let mut any = false;
        for descriptor in dead.flat_map(|(_, descriptors)| descriptors) {
            // An error means that the peer has closed the connection already.
            let _ = shutdown(*descriptor, how);
            any = true;
        }
        any
    }
}

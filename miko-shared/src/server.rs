//! Serving one implementation to many connections.
//!
//! The loop is a single-threaded tokio runtime with a task per connection. A task reads what has arrived, has each whole
//! call in it run, in order, and writes the answers with one system call. What several connections have to say at one time
//! is served in one commit_batch (`commit_batch.rs`). So calls from all connections are applied one after another in the order in which they are
//! taken up, and the implementation needs no thread but one.
//!
//! Invariant: nothing a peer sends ends the loop, and nothing is allocated on a peer's word.

mod activity;
mod admission;
mod busy_poll;
mod commit_batch;
mod connection;
mod load;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use miko_core::rpc::Interface;
use miko_core::{Error, ErrorId, Result};
use nix::sys::signal::kill;
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::Pid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

pub(crate) use self::activity::Activity;
use self::busy_poll::BusyPoll;
use self::commit_batch::CommitBatch;
pub(crate) use self::load::runtime;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::token::Token;

/// What a server serves: an interface, and what it hands over at the end.
pub trait Serving<I: Interface + ?Sized> {
    /// What is called.
    fn interface(&self) -> &I;

    /// Writes the final state, after the last worker of a share has ended.
    ///
    /// # Errors
    /// Whatever keeps the state from being delivered; the share then fails with it.
    fn deliver(&self, state: &mut dyn Write) -> Result<()>;

    /// Does it pay to commit what several calls change at once?
    fn prefers_group_commit(&self) -> bool {
        false
    }

    /// Runs `calls`, which make calls of the interface, and commits what they change at once. If it is false, nothing of
    /// that is left, and each of them has to be made again, for itself.
    ///
    /// By default they are run as they come.
    fn run_group(&self, calls: &mut dyn FnMut()) -> bool {
        calls();
        true
    }
}

/// An implementation that hands over nothing at the end.
impl<I: Interface + ?Sized> Serving<I> for Box<I> {
    fn interface(&self) -> &I {
        self
    }

    fn deliver(&self, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// Who is served, and how.
pub(crate) struct ServeOptions {
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    /// What the server shows its workers of itself, if anybody may poll.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
    /// Where the server tells its parent what it does.
    pub(crate) activity: Arc<Activity>,
}

/// What the tasks of a server share.
struct Shared<I: ?Sized> {
    target: Rc<dyn Serving<I>>,
    token: Token,
    limits: Limits,
    busy_poll: BusyPoll,
    activity: Arc<Activity>,
    peers: Peers,
    /// Are calls of several connections served together?
    groups_commits: bool,
    commit_batch: CommitBatch,
}

/// The processes at the other ends.
#[derive(Default)]
struct Peers {
    /// The descriptors of the connections that each process has made. They are open as long as they are here.
    by_pid: RefCell<HashMap<i32, Vec<RawFd>>>,
    disconnected: Notify,
}

/// Serves `target` on `listener` until `stop` is done and no dead peer has anything left unread.
///
/// The listening socket is closed as soon as `stop` is done: whoever connects after that is refused.
///
/// # Errors
/// `internal`, if the runtime refuses the socket.
pub(crate) async fn serve<I: Interface + ?Sized>(
    listener: StdListener,
    target: Rc<dyn Serving<I>>,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let refused = |fault| Error::new(ErrorId::INTERNAL, format!("the socket cannot be served: {fault}"));
    listener.set_nonblocking(true).map_err(refused)?;
    let listener = UnixListener::from_std(listener).map_err(refused)?;
    let groups_commits = target.prefers_group_commit();
    let (peers, commit_batch) = Default::default();
    let ServeOptions { token, limits, shared_status, activity } = options;
    let busy_poll = BusyPoll::new(shared_status);
    let shared =
        Rc::new(Shared { target, token, limits, busy_poll, activity, peers, groups_commits, commit_batch });
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

/// How long a connection of a process that has ended may take to send answers that may never be read.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(1);

/// How soon accepting is tried again after it failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts connections for ever. Being out of descriptors is no reason to end: it goes on when a peer has left, or
/// somebody else has closed something.
async fn accept_all<I: Interface + ?Sized>(listener: UnixListener, shared: Rc<Shared<I>>, tasks: &LocalSet) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tasks.spawn_local(handle_connection(stream, Rc::clone(&shared)));
            }
            Err(_) => {
                let _ = tokio::time::timeout(ACCEPT_RETRY, shared.peers.disconnected.notified()).await;
            }
        }
    }
}

/// A connection from its first byte to its last.
async fn handle_connection<I: Interface + ?Sized>(mut stream: UnixStream, shared: Rc<Shared<I>>) {
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or(0);
    let descriptor = stream.as_raw_fd();
    shared.peers.add(pid, descriptor);
    if let Some(buffer) = admission::admit(&mut stream, &shared).await {
        connection::serve_calls(&mut stream, buffer, &shared).await;
    }
    // It is forgotten before it is closed: another file may get the same number after that.
    shared.peers.remove(pid, descriptor);
    drop(stream);
    shared.peers.disconnected.notify_waiters();
}

impl Peers {
    fn add(&self, pid: i32, descriptor: RawFd) {
        self.by_pid.borrow_mut().entry(pid).or_default().push(descriptor);
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

    /// Waits until every connection of a process that has ended is at its end, too: what such a process sent
    /// is then applied. Peers that live on are not waited for.
    ///
    /// A process that it forked may hold such a connection open, so that its end never comes. So no more is received
    /// on it: what has arrived can still be read, and after that comes the end. If that process does not read its
    /// answers either, nothing is sent to it after a while.
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

    /// Shuts down the connections of processes that have ended. Are there any?
    fn shut_down_dead(&self, how: Shutdown) -> bool {
        let by_pid = self.by_pid.borrow();
        let dead = by_pid.iter().filter(|(pid, _)| kill(Pid::from_raw(**pid), None).is_err());
        let mut any = false;
        for descriptor in dead.flat_map(|(_, descriptors)| descriptors) {
            // If it has come to its end already, all is well.
            let _ = shutdown(*descriptor, how);
            any = true;
        }
        any
    }
}

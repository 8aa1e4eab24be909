//! The state that the tasks of a server share.

use miko_rpc::{Error, ErrorId, Result};

use super::busy_poll::BusyPoll;
use super::calls::CallContext;
use super::commit_batch::CommitBatch;
use super::peers::Peers;
use crate::token::Token;

/// The state that the tasks of a server share.
pub(super) struct Shared<I: ?Sized> {
    pub(super) calls: CallContext<I>,
    /// The tokens with which a process may connect.
    pub(super) tokens: Vec<Token>,
    pub(super) busy_poll: BusyPoll,
    pub(super) peers: Peers,
    /// Whether calls of several connections may share one commit.
    pub(super) groups_commits: bool,
    pub(super) commit_batch: CommitBatch,
}

impl<I: ?Sized> Shared<I> {
    /// Checks the number of connections. The connection that is being accepted is already one of them.
    ///
    /// # Errors
    /// `too-many-connections`.
    pub(super) fn check_connections(&self) -> Result<()> {
        let allowed = self.calls.limits.connections;
        if self.peers.count() <= allowed {
            return Ok(());
        }
        let message = "the server has as many connections as its limit allows";
        Err(Error::new(ErrorId::TOO_MANY_CONNECTIONS, message).with("allowed", allowed))
    }
}

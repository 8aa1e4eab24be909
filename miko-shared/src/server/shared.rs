//! The state that the tasks of a server share.

use super::busy_poll::BusyPoll;
use super::calls::CallContext;
use super::commit_batch::CommitBatch;
use super::peers::Peers;
use crate::token::Token;

/// The state that the tasks of a server share.
pub(super) struct Shared<I: ?Sized> {
    pub(super) calls: CallContext<I>,
    pub(super) token: Token,
    pub(super) busy_poll: BusyPoll,
    pub(super) peers: Peers,
    /// Whether calls of several connections share one commit.
    pub(super) groups_commits: bool,
    pub(super) commit_batch: CommitBatch,
}

//! What a server serves: an implementation of an interface, and its final state.

use std::io::Write;

use miko_rpc::{GroupFailure, Interface, Result};

/// What a server serves: the implementation of an interface. At the end of a share, the service delivers its
/// final state.
pub trait Service<I: Interface + ?Sized> {
    /// The implementation that runs the calls.
    fn interface(&self) -> &I;

    /// Writes the final state to `state`. Called after the last worker of a share has ended.
    ///
    /// # Errors
    /// Any error that prevents the delivery of the state; the share then fails with it.
    fn deliver(&self, state: &mut dyn Write) -> Result<()>;

    /// Whether committing the changes of several calls at once is faster than committing each call.
    fn prefers_group_commit(&self) -> bool {
        false
    }

    /// Runs a group of calls, and then commits the changes of all of them at once. Calls `run_next` with 0, 1
    /// and so on, until it returns `false`. `run_next` runs the call with this index in the group and returns
    /// `true`. If the group has no further call, it runs nothing and returns `false`.
    ///
    /// The server uses this method only if [`prefers_group_commit`](Self::prefers_group_commit). The default
    /// only runs the calls.
    ///
    /// # Errors
    /// The index of the first call whose changes could not be committed, and the reason. The changes of all
    /// later calls of the group are lost as well.
    fn run_group(&self, run_next: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        (0..).take_while(|index| run_next(*index)).for_each(drop);
        Ok(())
    }
}

/// Serves an implementation without a final state and without group commit.
impl<I: Interface + ?Sized> Service<I> for Box<I> {
    fn interface(&self) -> &I {
        self
    }

    fn deliver(&self, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

//! Listeners that are called for each change. Each listener has a thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result, Stream};

use crate::change::Change;

/// The interval at which a listener that waits for a change reads its command.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// A listener of [`MikobaseExt::after_save`](crate::MikobaseExt::after_save), with its thread. Dropping it
/// stops the listener.
#[must_use = "dropping it stops the listener"]
pub struct AfterSave {
    /// The last command to the listener: [`CONTINUE`], [`FINISH`] or [`STOP`].
    command: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

/// The listener continues.
const CONTINUE: u8 = 0;
/// The listener ends as soon as no change waits for it.
const FINISH: u8 = 1;
/// The listener ends after its running call or wait. A change that ends the wait is still passed to it.
const STOP: u8 = 2;

impl AfterSave {
    /// Starts a thread that calls `listener` for each of `changes`.
    ///
    /// # Errors
    /// `internal`, if the thread cannot be started.
    pub(crate) fn start(
        changes: Stream<Change>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<Self> {
        let command = Arc::new(AtomicU8::new(CONTINUE));
        let command_of_thread = Arc::clone(&command);
        let thread = thread::Builder::new()
            .name("after-save".to_owned())
            .spawn(move || run(changes, listener, &command_of_thread))
            .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no thread for a listener", fault))?;
        Ok(Self { command, thread: Some(thread) })
    }

    /// Whether the listener has ended: its stream has ended (for example because the server is gone), or the
    /// listener has panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Calls the listener for the changes that have arrived, and then stops it. The changes of an engine in
    /// this process arrive with their commit; changes of a server may still be on their way. Changes that
    /// arrive during these calls count too: this method does not return while they arrive faster than the
    /// listener takes them. In a call of the listener itself, this method stops the listener as a drop does:
    /// after that call.
    pub fn finish(mut self) {
        self.end(FINISH);
        // The drop of `self` sends `STOP`. In a call of the listener, where `end` has not waited, this
        // replaces `FINISH`.
    }

    /// Sends [`FINISH`] or [`STOP`], and waits until the listener has ended. Does not wait in the thread of
    /// the listener, which would wait for itself.
    fn end(&mut self, command: u8) {
        self.command.store(command, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() {
            // The error says that the listener has panicked. The panic has printed its message already.
            let _ = thread.join();
        }
    }
}

impl Drop for AfterSave {
    /// Stops the listener, and waits until its thread has ended, unless the value is dropped in a call of the
    /// listener.
    fn drop(&mut self) {
        self.end(STOP);
    }
}

impl fmt::Debug for AfterSave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterSave").field("has_ended", &self.has_ended()).finish_non_exhaustive()
    }
}

/// Calls the listener for each change until a command ends it, or the stream has ended.
fn run(mut changes: Stream<Change>, mut listener: impl FnMut(Result<Change>), command: &AtomicU8) {
    loop {
        let command = command.load(Ordering::Relaxed);
        if command == STOP {
            return;
        }
        let max_wait = if command == FINISH { Duration::ZERO } else { STOP_INTERVAL };
        match changes.recv_timeout(max_wait) {
            Poll::Ready(Some(change)) => listener(change),
            Poll::Pending if command == CONTINUE => {}
            // The stream has ended; or the command is `FINISH`, and no further change has arrived.
            Poll::Ready(None) | Poll::Pending => return,
        }
    }
}

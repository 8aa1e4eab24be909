//! Listeners that are called for each change.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result, Stream};

use crate::change::Change;

/// How often a listener that waits for a change looks whether it is to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// A listener of [`MikobaseExt::after_save`](crate::MikobaseExt::after_save), with its thread. Dropping it
/// stops the listener.
#[must_use = "dropping it stops the listener"]
pub struct AfterSave {
    /// When the listener ends: [`CONTINUE`], [`FINISH`] or [`STOP`].
    end: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

/// The listener continues.
const CONTINUE: u8 = 0;
/// It ends after the changes that have arrived.
const FINISH: u8 = 1;
/// It ends at once.
const STOP: u8 = 2;

impl AfterSave {
    pub(crate) fn start(
        changes: Stream<Change>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<Self> {
        let end = Arc::new(AtomicU8::new(CONTINUE));
        let ends = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name("after-save".to_owned())
            .spawn(move || run(changes, listener, &ends))
            .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no thread for a listener", fault))?;
        Ok(Self { end, thread: Some(thread) })
    }

    /// Whether the listener has ended: its stream has, as when the server is gone, or it has panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Calls the listener for the changes that have arrived, and then stops it. The changes of an engine in
    /// this process arrive with their commit; changes of a server may still be on their way.
    pub fn finish(mut self) {
        self.end(FINISH);
    }

    /// Waits until the listener has ended, unless it is the caller.
    fn end(&mut self, how: u8) {
        self.end.store(how, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() {
            // The message of a panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for AfterSave {
    /// Waits until the running call of the listener has ended, unless it is this call.
    fn drop(&mut self) {
        self.end(STOP);
    }
}

impl fmt::Debug for AfterSave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterSave").field("has_ended", &self.has_ended()).finish_non_exhaustive()
    }
}

/// Calls the listener for each change until it is to stop, or the stream has ended.
fn run(mut changes: Stream<Change>, mut listener: impl FnMut(Result<Change>), end: &AtomicU8) {
    loop {
        let how = end.load(Ordering::Relaxed);
        if how == STOP {
            return;
        }
        let interval = if how == FINISH { Duration::ZERO } else { STOP_INTERVAL };
        match changes.recv_timeout(interval) {
            Poll::Ready(Some(change)) => listener(change),
            Poll::Pending if how == CONTINUE => {}
            Poll::Ready(None) | Poll::Pending => return,
        }
    }
}

//! Listeners that are called for each change.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AfterSave {
    pub(crate) fn start(
        changes: Stream<Change>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<Self> {
        let stops = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stops);
        let thread = thread::Builder::new()
            .name("after-save".to_owned())
            .spawn(move || run(changes, listener, &flag))
            .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no thread for a listener", fault))?;
        Ok(Self { stops, thread: Some(thread) })
    }

    /// Whether the listener has ended: its stream has, as when the server is gone, or it has panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for AfterSave {
    /// Waits until the running call of the listener has ended, unless it is this call.
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() {
            // The message of a panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for AfterSave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterSave").field("has_ended", &self.has_ended()).finish_non_exhaustive()
    }
}

/// Calls the listener for each change until it is to stop, or the stream has ended.
fn run(mut changes: Stream<Change>, mut listener: impl FnMut(Result<Change>), stops: &AtomicBool) {
    while !stops.load(Ordering::Relaxed) {
        match changes.recv_timeout(STOP_INTERVAL) {
            Poll::Ready(Some(change)) => listener(change),
            Poll::Ready(None) => return,
            Poll::Pending => {}
        }
    }
}

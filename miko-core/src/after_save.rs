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
/// stops the listener. A hook must neither drop nor finish it: both wait for a running call of the listener,
/// and if that uses the database, it waits for the lock under which the hook runs.
#[must_use = "dropping it stops the listener"]
pub struct AfterSave {
    /// The last command to the listener: [`CONTINUE`], [`FINISH`] or [`STOP`].
    command: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

/// The listener continues.
const CONTINUE: u8 = 0;
/// The listener ends after its calls for the changes that wait for it.
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
    /// this process arrive with their commit; changes of a server may still be on their way. If a call of the
    /// listener is running, what arrives until its end counts too. If the listener waits for a change, it may
    /// wait up to 100 ms longer, and a change that it then gets counts as well. What arrives during later
    /// calls does not count, such as the changes that the listener makes in them. In a call of the listener
    /// itself, this method stops the listener as a drop does: after that call.
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
        match command.load(Ordering::Relaxed) {
            STOP => return,
            FINISH => return take_arrived(changes).into_iter().for_each(listener),
            _ => {}
        }
        match changes.recv_timeout(STOP_INTERVAL) {
            Poll::Ready(Some(change)) => listener(change),
            Poll::Ready(None) => return,
            Poll::Pending => {}
        }
    }
}

/// Takes the changes that wait in the stream, and ends the stream. All are taken before the listener gets the
/// first: the calls for them take time, and may themselves make changes.
fn take_arrived(mut changes: Stream<Change>) -> Vec<Result<Change>> {
    let next = || match changes.try_recv() {
        Poll::Ready(change) => change,
        Poll::Pending => None,
    };
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use serde_json::json;

    use super::*;
    use crate::engine::SqliteEngine;
    use crate::extension::MikobaseExt;

    #[test]
    fn a_listener_that_is_finished_is_not_called_for_what_it_writes_then() {
        const MAX_CALLS: usize = 100;
        let db = Arc::new(SqliteEngine::in_memory().unwrap());
        let (send_command, command) = mpsc::channel::<Arc<AtomicU8>>();
        let (send_start, first_call) = mpsc::channel();
        let (send_call, calls) = mpsc::channel();
        let writer = Arc::clone(&db);
        let mut count = 0;
        let listener = move |_| {
            // Each call writes a record of the target. The first call waits until `finish` was called.
            if let Ok(command) = command.recv() {
                send_start.send(()).unwrap();
                while command.load(Ordering::Relaxed) != FINISH {
                    thread::yield_now();
                }
            }
            send_call.send(()).unwrap();
            count += 1;
            if count < MAX_CALLS {
                writer.create("a.b/c", &json!({})).unwrap();
            }
        };
        let after_save = db.after_save("a.b/c", listener).unwrap();
        for _ in 0..3 {
            db.create("a.b/c", &json!({})).unwrap();
        }
        send_command.send(Arc::clone(&after_save.command)).unwrap();
        drop(send_command);
        first_call.recv().unwrap();
        after_save.finish();
        // The three changes that have arrived before `finish`, and what the first call has written.
        assert_eq!(calls.iter().count(), 4);
    }
}

//! Which server runs in this thread, and whether it runs a call.
//!
//! A method may call a proxy of another server: the thread that runs the method waits for the answer, as for
//! any other work of the method. A call to the server of the same thread would never be answered, because the
//! thread waits. Such calls are refused.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

thread_local! {
    /// The Unix sockets of the server of this thread: its own, and those of other protocols.
    static SOCKETS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread runs code of the served object.
    static RUNS_A_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Records that this thread serves the sockets at these paths.
pub(crate) fn set_sockets(paths: Vec<PathBuf>) {
    SOCKETS.set(paths);
}

/// Runs code of the object that the server of this thread serves: a call, the source of a stream, a `Drop`.
pub(crate) fn run<R>(call: impl FnOnce() -> R) -> R {
    struct RestoreOnDrop {
        previous: bool,
    }
    impl Drop for RestoreOnDrop {
        fn drop(&mut self) {
            RUNS_A_CALL.set(self.previous);
        }
    }
    let _restore = RestoreOnDrop { previous: RUNS_A_CALL.replace(true) };
    call()
}

/// Whether this thread runs a call of its server, or other code of the served object: see [`run`].
pub(crate) fn runs_a_call() -> bool {
    RUNS_A_CALL.get()
}

/// Whether the server of this thread listens on the socket at `path`, which may also be a link to the socket.
pub(crate) fn listens_at(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|socket| (socket.dev(), socket.ino())).ok();
    SOCKETS.with_borrow(|sockets| {
        sockets.iter().any(|own| own == path || identity(own).is_some_and(|own| Some(own) == identity(path)))
    })
}

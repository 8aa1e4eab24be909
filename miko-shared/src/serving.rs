//! Which server runs a call in this thread.
//!
//! A method may call a proxy of another server: the thread of its server waits for that, as for any other
//! work of the method. A call to the server that is running it would wait for itself.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

thread_local! {
    /// The Unix sockets of the server of this thread: its own, and those of other protocols.
    static SOCKETS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    /// Whether code of the served object runs.
    static RUNS_A_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Records that this thread serves the sockets at these paths.
pub(crate) fn set_sockets(paths: Vec<PathBuf>) {
    SOCKETS.set(paths);
}

/// Runs code of the object that the server of this thread serves: a call, the source of a stream, a `Drop`.
pub(crate) fn run<R>(call: impl FnOnce() -> R) -> R {
    struct Running {
        outer: bool,
    }
    impl Drop for Running {
        fn drop(&mut self) {
            RUNS_A_CALL.set(self.outer);
        }
    }
    let _running = Running { outer: RUNS_A_CALL.replace(true) };
    call()
}

/// Whether this thread runs a call of its server.
pub(crate) fn runs_a_call() -> bool {
    RUNS_A_CALL.get()
}

/// Whether the server of this thread listens at `path`, by whatever name.
pub(crate) fn listens_at(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|socket| (socket.dev(), socket.ino())).ok();
    SOCKETS.with_borrow(|sockets| {
        sockets.iter().any(|own| own == path || identity(own).is_some_and(|own| Some(own) == identity(path)))
    })
}

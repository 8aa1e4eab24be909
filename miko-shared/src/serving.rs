//! Which server runs in this thread, and whether the thread runs a call of that server at present.
//!
//! A method may call a proxy of another server: the thread that runs the method waits for the answer, as for
//! any other work of the method. A call to the server of the same thread would never be answered, because the
//! thread waits. Such a call is refused if it is made over a Unix socket. Over TCP it is not recognized, and
//! waits until its deadline.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

thread_local! {
    /// The paths of the Unix sockets of the server of this thread: of its own socket, and of those of other
    /// protocols. Empty if no server runs in this thread, or one that listens on TCP only.
    static SOCKETS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread runs code of the implementation at present.
    static RUNS_A_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Records that this thread serves the sockets at these paths.
pub(crate) fn set_sockets(paths: Vec<PathBuf>) {
    SOCKETS.set(paths);
}

/// Runs code of the object that the server of this thread serves: a call, the source of a stream, a `Drop`.
pub(crate) fn run<R>(code: impl FnOnce() -> R) -> R {
    struct RestoreOnDrop {
        previous: bool,
    }
    impl Drop for RestoreOnDrop {
        fn drop(&mut self) {
            RUNS_A_CALL.set(self.previous);
        }
    }
    let _restore = RestoreOnDrop { previous: RUNS_A_CALL.replace(true) };
    code()
}

/// Whether this thread runs a call of its server, or other code of the implementation: see [`run`].
pub(crate) fn runs_a_call() -> bool {
    RUNS_A_CALL.get()
}

/// Whether the server of this thread listens on the socket at `path`, or on the socket to which `path` is a
/// link.
pub(crate) fn listens_at(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|socket| (socket.dev(), socket.ino())).ok();
    let is_same_file = |own: &Path| identity(own).is_some_and(|found| Some(found) == identity(path));
    SOCKETS.with_borrow(|sockets| sockets.iter().any(|own| own == path || is_same_file(own)))
}

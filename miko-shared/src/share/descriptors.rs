//! The limit on file descriptors: a share needs some per worker, and is refused before the first fork if they
//! do not suffice.

use std::fs;

use miko_rpc::{Error, ErrorId, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything else: the control socket, files that the program opens meanwhile, SQLite's
/// files.
const RESERVE: u64 = 32;

/// Raises the soft limit on descriptors, if it is too low, until it is dropped.
pub(super) struct DescriptorLimit {
    /// The soft and the hard limit before, if the soft limit was raised.
    before: Option<(u64, u64)>,
}

impl DescriptorLimit {
    /// Ensures descriptors for `workers` live workers, each of which takes `each` in the parent.
    ///
    /// # Errors
    /// `internal`, if the hard limit does not allow it.
    pub(super) fn for_workers(workers: usize, each: usize) -> Result<Self> {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(Self { before: None }) };
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
        let needed =
            (workers as u64).saturating_mul(each as u64).saturating_add(open).saturating_add(RESERVE);
        if needed <= soft {
            return Ok(Self { before: None });
        }
        if needed > hard || setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_err() {
            return Err(Error::new(
                ErrorId::INTERNAL,
                format!(
                    "{workers} workers at once need {needed} file descriptors, and this process may have \
                     {hard}: raise the limit (`ulimit -n`), or start fewer at once by `max_concurrent`"
                ),
            )
            .with("needed", needed)
            .with("allowed", hard));
        }
        Ok(Self { before: Some((soft, hard)) })
    }
}

impl DescriptorLimit {
    /// Restores the previous limit.
    pub(super) fn restore(&mut self) {
        if let Some((soft, hard)) = self.before.take() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        self.restore();
    }
}

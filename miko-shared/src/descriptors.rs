//! The limit on file descriptors. A share needs some per worker, and is refused before the first fork if they
//! do not suffice. A server needs some per connection, and takes no more connections than there are
//! descriptors for: else a connection would never be answered, and files could not be opened.

use std::fs;

use miko_rpc::{Error, ErrorId, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors for everything else: the control socket, files that the program opens meanwhile, SQLite's
/// files.
const RESERVE: u64 = 32;

/// The most descriptors that one connection of a server takes: its own, and those that tell of the end of the
/// connection and of its process.
const PER_CONNECTION: u64 = 3;

/// Raises the soft limit on descriptors, if it is too low, until it is dropped.
pub(crate) struct DescriptorLimit {
    /// The soft and the hard limit before, if the soft limit was raised.
    before: Option<(u64, u64)>,
}

impl DescriptorLimit {
    /// Ensures descriptors for `workers` live workers, each of which takes `each` in the parent, and a
    /// connection in the server, which has the same limit.
    ///
    /// # Errors
    /// `internal`, if the hard limit does not allow it.
    pub(crate) fn for_workers(workers: usize, each: usize) -> Result<Self> {
        let needed =
            (workers as u64).saturating_mul(PER_CONNECTION.max(each as u64)).saturating_add(in_use());
        let raised = Self::raise_to(needed);
        match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((soft, hard)) if soft < needed => Err(Error::new(
                ErrorId::INTERNAL,
                format!(
                    "{workers} workers at once need {needed} file descriptors, and this process may have \
                     {hard}: raise the limit (`ulimit -n`), or start fewer at once by `max_concurrent`"
                ),
            )
            .with("needed", needed)
            .with("allowed", hard)),
            _ => Ok(raised),
        }
    }

    /// Ensures descriptors for `connections` of a server, or as many as the hard limit allows. Returns the
    /// number of connections that they suffice for, too.
    pub(crate) fn for_connections(connections: usize) -> (Self, usize) {
        let in_use = in_use();
        let raised =
            Self::raise_to((connections as u64).saturating_mul(PER_CONNECTION).saturating_add(in_use));
        let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return (raised, connections) };
        let possible = (soft.saturating_sub(in_use) / PER_CONNECTION).max(1);
        if possible < connections as u64 {
            warn!(
                allowed = possible,
                wanted = connections,
                "fewer connections, for want of file descriptors"
            );
        }
        (raised, connections.min(usize::try_from(possible).unwrap_or(usize::MAX)))
    }

    /// Raises the soft limit to `needed`, if it is lower, or else as far as the hard limit allows.
    fn raise_to(needed: u64) -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok().filter(|(soft, _)| *soft < needed);
        let raised =
            |(_, hard): &(u64, u64)| setrlimit(Resource::RLIMIT_NOFILE, needed.min(*hard), *hard).is_ok();
        Self { before: before.filter(raised) }
    }

    /// Restores the previous limit.
    pub(crate) fn restore(&mut self) {
        if let Some((soft, hard)) = self.before.take() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

/// The number of descriptors that are open, and of those that everything else may need.
fn in_use() -> u64 {
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    open.saturating_add(RESERVE)
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_takes_as_many_connections_as_it_may_have_descriptors_for() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let (raised, connections) = DescriptorLimit::for_connections(usize::MAX);
        assert!(connections as u64 <= hard / PER_CONNECTION, "{connections}");
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
        drop(raised);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (soft, hard));
        assert_eq!(DescriptorLimit::for_connections(1).1, 1);
    }
}

//! The limit on file descriptors. A share needs some descriptors per worker, and is refused before the first
//! fork if the limit does not allow them. A server needs some descriptors per connection, and admits only as
//! many connections as there are descriptors for. If it admitted more, further clients would never get an
//! answer, and files could not be opened.

use std::fs;

use miko_rpc::{Error, ErrorId, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// The descriptors that are kept free for everything else: the control socket between parent and server,
/// files that the program opens later, SQLite's files.
const RESERVE: u64 = 32;

/// The most descriptors that one connection of a server takes: the socket, a second descriptor of the socket
/// that is watched for room to write, and the pidfd of the peer process.
const PER_CONNECTION: u64 = 3;

/// Keeps the soft limit on descriptors raised, if it was too low, until this value is dropped.
pub(crate) struct DescriptorLimit {
    /// The soft and the hard limit before the soft limit was raised; `None` if it was not raised, or was
    /// restored.
    before: Option<(u64, u64)>,
}

impl DescriptorLimit {
    /// Ensures descriptors for `workers` simultaneous workers. Each worker takes `per_worker` descriptors in
    /// the parent, and [`PER_CONNECTION`] in the server. The two processes have separate descriptors and the
    /// same limit, so only the larger of the two numbers counts.
    ///
    /// # Errors
    /// `internal`, if the hard limit does not allow so many descriptors.
    pub(crate) fn for_workers(workers: usize, per_worker: usize) -> Result<Self> {
        let needed = (workers as u64)
            .saturating_mul(PER_CONNECTION.max(per_worker as u64))
            .saturating_add(open_and_reserved());
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

    /// Ensures descriptors for `connections` connections of a server, or for as many as the hard limit
    /// allows. The returned number is how many connections the descriptors suffice for: at most
    /// `connections`, and at least 1.
    pub(crate) fn for_connections(connections: usize) -> (Self, usize) {
        let taken = open_and_reserved();
        let raised =
            Self::raise_to((connections as u64).saturating_mul(PER_CONNECTION).saturating_add(taken));
        let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return (raised, connections) };
        let possible = (soft.saturating_sub(taken) / PER_CONNECTION).max(1);
        if possible < connections as u64 {
            warn!(
                allowed = possible,
                wanted = connections,
                "fewer connections, for want of file descriptors"
            );
        }
        (raised, connections.min(usize::try_from(possible).unwrap_or(usize::MAX)))
    }

    /// Raises the soft limit if it is below `needed`: to `needed`, or to the hard limit if that is lower.
    fn raise_to(needed: u64) -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok().filter(|(soft, _)| *soft < needed);
        let try_raise =
            |(_, hard): &(u64, u64)| setrlimit(Resource::RLIMIT_NOFILE, needed.min(*hard), *hard).is_ok();
        Self { before: before.filter(try_raise) }
    }

    /// Restores the earlier soft limit at once. Dropping the value then has no further effect.
    pub(crate) fn restore(&mut self) {
        if let Some((soft, hard)) = self.before.take() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

/// The number of descriptors that are open now, plus the [`RESERVE`].
fn open_and_reserved() -> u64 {
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

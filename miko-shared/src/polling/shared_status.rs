//! The status that a server publishes to its workers:
//!
//! - the CPU on which the server runs;
//! - whether the server is busy: whether it has used much of a CPU lately (`server/load.rs`);
//! - whether clients must not spin, because they have crowded the server out: they have kept it from running
//!   on a core (`server/load.rs`);
//! - which workers wait for the answer to a call that is parked at a gate (`server/parked_calls.rs`).
//!
//! The status is a few integers in memory shared by all processes of a share. The values are hints only, and
//! correctness does not depend on them: a client that reads a stale value waits a little longer.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use nix::sched::sched_getcpu;

use crate::shared_memory::{Shareable, SharedMemory};

/// Stands for an unknown CPU; no CPU has this number.
const NO_CPU: usize = usize::MAX;

/// The number of workers, those with the lowest indices, of which the server publishes whether they wait with
/// a parked call.
const TRACKED_WORKERS: usize = 1024;

/// The status that a server publishes to its workers.
pub(crate) struct SharedStatus {
    page: SharedMemory<StatusPage>,
    /// How many clients, the workers of the share, run at a time.
    clients: usize,
    /// How many CPUs the clients and the server may use.
    cpus: usize,
}

/// The content of the shared memory. Any process of the share can write any bytes to it, so it holds no
/// `AtomicBool`, for which most bytes are invalid.
struct StatusPage {
    /// The CPU on which the server ran last, or [`NO_CPU`].
    cpu: AtomicUsize,
    /// Nonzero while the server is busy.
    busy: AtomicU32,
    /// Nonzero while clients must not spin, because they have crowded the server out.
    crowded: AtomicU32,
    /// The number of workers that wait with a parked call.
    parked: AtomicUsize,
    /// Which of the first [`TRACKED_WORKERS`] workers wait with a parked call: a bit for each.
    parked_workers: [AtomicU64; TRACKED_WORKERS / 64],
}

// SAFETY: all fields are atomic integers.
unsafe impl Shareable for StatusPage {}

impl SharedStatus {
    /// A status shared with all processes that this process forks from now on. `clients` of them run at a
    /// time, on `cpus` CPUs, at least two: a share that may use one CPU only has no status.
    ///
    /// # Errors
    /// If the memory cannot be allocated.
    pub(crate) fn new(clients: usize, cpus: usize) -> nix::Result<Self> {
        let shared_status = Self { page: SharedMemory::new()?, clients, cpus };
        shared_status.page.cpu.store(NO_CPU, Relaxed);
        Ok(shared_status)
    }

    /// The number of clients that run at a time.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// How many workers wait with a parked call.
    fn parked(&self) -> usize {
        self.page.parked.load(Relaxed)
    }

    /// Whether there is a CPU for each client that does not wait with a parked call.
    pub(crate) fn has_cpu_per_client(&self) -> bool {
        self.clients.saturating_sub(self.parked()) <= self.cpus
    }

    /// Whether there is a CPU for the server, besides one for each client that does not wait with a parked
    /// call.
    ///
    /// While calls are parked, one client less is counted. The reason: one of the clients that do not wait is
    /// the one whose parked call was answered last, and it runs only for a moment before its next call.
    pub(crate) fn has_cpu_for_server(&self) -> bool {
        let parked = self.parked();
        self.clients.saturating_sub(parked) < self.cpus + usize::from(parked > 0)
    }

    /// Whether clients take turns: there are more clients than CPUs, but so many of them wait with a parked
    /// call that each of the others has a CPU.
    pub(crate) fn clients_take_turns(&self) -> bool {
        self.clients > self.cpus && self.has_cpu_per_client()
    }

    /// Publishes whether `worker` waits with a parked call, and the number `parked` of all workers that do.
    pub(crate) fn publish_parked(&self, worker: usize, is_parked: bool, parked: usize) {
        self.page.parked.store(parked, Relaxed);
        if let Some(bits) = self.page.parked_workers.get(worker / 64) {
            let bit = 1 << (worker % 64);
            // Only the server writes the bits, so separate loads and stores lose no change.
            let others = bits.load(Relaxed) & !bit;
            bits.store(others | if is_parked { bit } else { 0 }, Relaxed);
        }
    }

    /// Whether a worker waits with a parked call. `false` for other clients, and for workers beyond
    /// [`TRACKED_WORKERS`].
    pub(crate) fn is_parked(&self, worker: Option<usize>) -> bool {
        worker.is_some_and(|worker| {
            let bits = self.page.parked_workers.get(worker / 64);
            bits.is_some_and(|bits| bits.load(Relaxed) & (1 << (worker % 64)) != 0)
        })
    }

    /// Publishes the CPU of this thread as the CPU of the server.
    pub(crate) fn publish_cpu(&self) {
        let here = sched_getcpu().unwrap_or(NO_CPU);
        // Clients read the page constantly. Only changes are written, so that the cache line stays in the
        // caches of all CPUs.
        if self.page.cpu.load(Relaxed) != here {
            self.page.cpu.store(here, Relaxed);
        }
    }

    /// Publishes whether the server is busy.
    pub(crate) fn publish_busy(&self, busy: bool) {
        if self.page.busy.load(Relaxed) != u32::from(busy) {
            self.page.busy.store(u32::from(busy), Relaxed);
        }
    }

    /// Publishes whether clients must not spin, because they have crowded the server out.
    pub(crate) fn publish_crowded(&self, crowded: bool) {
        if self.page.crowded.load(Relaxed) != u32::from(crowded) {
            self.page.crowded.store(u32::from(crowded), Relaxed);
        }
    }

    /// Whether clients must not spin, because they have crowded the server out.
    pub(super) fn is_crowded(&self) -> bool {
        self.page.crowded.load(Relaxed) != 0
    }

    /// Whether the server is busy.
    pub(super) fn is_busy(&self) -> bool {
        self.page.busy.load(Relaxed) != 0
    }

    /// Whether this thread runs on the CPU that the server published last.
    pub(super) fn is_on_this_cpu(&self) -> bool {
        sched_getcpu() == Ok(self.page.cpu.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn the_published_cpu_is_compared_with_that_of_the_reader() {
        // Pinned to one CPU, so that the scheduler does not move this thread in between.
        let this_thread = Pid::from_raw(0);
        let here = sched_getcpu().unwrap();
        let mut only_here = CpuSet::new();
        only_here.set(here).unwrap();
        let before = sched_getaffinity(this_thread).unwrap();
        sched_setaffinity(this_thread, &only_here).unwrap();

        let shared_status = SharedStatus::new(1, 2).unwrap();
        assert!(!shared_status.is_on_this_cpu(), "no CPU was published yet");
        shared_status.publish_cpu();
        assert!(shared_status.is_on_this_cpu());
        shared_status.page.cpu.store(here + 1, Relaxed);
        assert!(!shared_status.is_on_this_cpu());

        sched_setaffinity(this_thread, &before).unwrap();
    }

    #[test]
    fn a_server_is_busy_while_it_publishes_so() {
        let shared_status = SharedStatus::new(1, 2).unwrap();
        assert!(!shared_status.is_busy());
        shared_status.publish_busy(true);
        assert!(shared_status.is_busy());
        shared_status.publish_busy(false);
        assert!(!shared_status.is_busy());
    }

    #[test]
    fn clients_and_server_are_compared_with_the_number_of_cpus() {
        let with = |clients| {
            let shared_status = SharedStatus::new(clients, 8).unwrap();
            (shared_status.has_cpu_per_client(), shared_status.has_cpu_for_server())
        };
        assert_eq!(with(7), (true, true));
        assert_eq!(with(8), (true, false));
        assert_eq!(with(9), (false, false));
        assert_eq!(with(usize::MAX), (false, false));
    }
}

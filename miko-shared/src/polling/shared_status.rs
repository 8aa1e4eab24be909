//! What a server shows its workers of itself: on which CPU it runs, and whether it is busy.
//!
//! It is two numbers in memory that all processes of a share have in common. They are hints and nothing depends on them: whoever
//! reads them a moment too late waits a little longer.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use nix::sched::sched_getcpu;

use crate::shared_memory::{Shareable, SharedMemory};

/// No CPU has this number.
const NO_CPU: usize = usize::MAX;

/// What a server shows its workers of itself.
pub(crate) struct SharedStatus {
    page: SharedMemory<StatusPage>,
    clients: usize,
    /// How many CPUs there are for them and the server.
    cpus: usize,
}

/// What is in the memory. Any process of the share can write anything to it, so that it has no `AtomicBool`.
struct StatusPage {
    cpu: AtomicUsize,
    /// Not zero if the server is busy.
    busy: AtomicU32,
}

// SAFETY: both fields are atomic integers.
unsafe impl Shareable for StatusPage {}

impl SharedStatus {
    /// One for this process and all that it forks from now on, of which so many watch it at a time, on so many CPUs.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new(clients: usize, cpus: usize) -> nix::Result<Self> {
        let shared_status = Self { page: SharedMemory::new()?, clients, cpus };
        shared_status.page.cpu.store(NO_CPU, Relaxed);
        Ok(shared_status)
    }

    /// How many watch it at a time.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// Is there a CPU for each of them?
    pub(super) fn has_cpu_per_client(&self) -> bool {
        self.clients <= self.cpus
    }

    /// Is there one for each of them and for the server?
    pub(crate) fn has_cpu_for_server(&self) -> bool {
        self.clients < self.cpus
    }

    /// Says that the server is where this thread is.
    pub(crate) fn publish_cpu(&self) {
        let here = sched_getcpu().unwrap_or(NO_CPU);
        // Others read it all the time: it is written when it changes only.
        if self.page.cpu.load(Relaxed) != here {
            self.page.cpu.store(here, Relaxed);
        }
    }

    /// Says whether the server is busy.
    pub(crate) fn publish_busy(&self, busy: bool) {
        if self.page.busy.load(Relaxed) != u32::from(busy) {
            self.page.busy.store(u32::from(busy), Relaxed);
        }
    }

    /// Has the server much to do?
    pub(super) fn is_busy(&self) -> bool {
        self.page.busy.load(Relaxed) != 0
    }

    /// Was the server on the CPU of this thread when it was seen last?
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
    fn a_server_is_seen_where_it_is() {
        // On one CPU, so that nobody moves this thread in between.
        let this_thread = Pid::from_raw(0);
        let here = sched_getcpu().unwrap();
        let mut only_here = CpuSet::new();
        only_here.set(here).unwrap();
        let before = sched_getaffinity(this_thread).unwrap();
        sched_setaffinity(this_thread, &only_here).unwrap();

        let shared_status = SharedStatus::new(1, 2).unwrap();
        assert!(!shared_status.is_on_this_cpu(), "nobody has seen it anywhere");
        shared_status.publish_cpu();
        assert!(shared_status.is_on_this_cpu());
        shared_status.page.cpu.store(here + 1, Relaxed);
        assert!(!shared_status.is_on_this_cpu());

        sched_setaffinity(this_thread, &before).unwrap();
    }

    #[test]
    fn a_server_is_busy_as_long_as_it_says_so() {
        let shared_status = SharedStatus::new(1, 2).unwrap();
        assert!(!shared_status.is_busy());
        shared_status.publish_busy(true);
        assert!(shared_status.is_busy());
        shared_status.publish_busy(false);
        assert!(!shared_status.is_busy());
    }

    #[test]
    fn so_many_have_cpus_as_there_are() {
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

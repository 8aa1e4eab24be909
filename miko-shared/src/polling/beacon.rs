//! What a server shows its workers of itself: on which CPU it runs, and whether it is busy.
//!
//! It is two numbers in memory that all processes of a share have in common. They are hints and nothing depends on them: whoever
//! reads them a moment too late waits a little longer.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use nix::sched::sched_getcpu;

use crate::shared_memory::{Shareable, SharedMemory};

/// No CPU has this number.
const NOWHERE: usize = usize::MAX;

/// What a server shows its workers of itself.
pub(crate) struct Beacon {
    light: SharedMemory<Light>,
    watchers: usize,
    /// How many CPUs there are for them and the server.
    cpus: usize,
}

/// What is in the memory. Any process of the share can write anything to it, so that it has no `AtomicBool`.
struct Light {
    cpu: AtomicUsize,
    /// Not zero if the server is busy.
    busy: AtomicU32,
}

// SAFETY: both fields are atomic integers.
unsafe impl Shareable for Light {}

impl Beacon {
    /// One for this process and all that it forks from now on, of which so many watch it at a time, on so many CPUs.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new(watchers: usize, cpus: usize) -> nix::Result<Self> {
        let beacon = Self { light: SharedMemory::new()?, watchers, cpus };
        beacon.light.cpu.store(NOWHERE, Relaxed);
        Ok(beacon)
    }

    /// How many watch it at a time.
    pub(super) fn watchers(&self) -> usize {
        self.watchers
    }

    /// Is there a CPU for each of them?
    pub(super) fn all_have_cpus(&self) -> bool {
        self.watchers <= self.cpus
    }

    /// Is there one for each of them and for the server?
    pub(crate) fn server_has_cpu(&self) -> bool {
        self.watchers < self.cpus
    }

    /// Says that the server is where this thread is.
    pub(crate) fn show_place(&self) {
        let here = sched_getcpu().unwrap_or(NOWHERE);
        // Others read it all the time: it is written when it changes only.
        if self.light.cpu.load(Relaxed) != here {
            self.light.cpu.store(here, Relaxed);
        }
    }

    /// Says whether the server is busy.
    pub(crate) fn show_busy(&self, busy: bool) {
        if self.light.busy.load(Relaxed) != u32::from(busy) {
            self.light.busy.store(u32::from(busy), Relaxed);
        }
    }

    /// Has the server much to do?
    pub(super) fn is_busy(&self) -> bool {
        self.light.busy.load(Relaxed) != 0
    }

    /// Was the server on the CPU of this thread when it was seen last?
    pub(super) fn is_here(&self) -> bool {
        sched_getcpu() == Ok(self.light.cpu.load(Relaxed))
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

        let beacon = Beacon::new(1, 2).unwrap();
        assert!(!beacon.is_here(), "nobody has seen it anywhere");
        beacon.show_place();
        assert!(beacon.is_here());
        beacon.light.cpu.store(here + 1, Relaxed);
        assert!(!beacon.is_here());

        sched_setaffinity(this_thread, &before).unwrap();
    }

    #[test]
    fn a_server_is_busy_as_long_as_it_says_so() {
        let beacon = Beacon::new(1, 2).unwrap();
        assert!(!beacon.is_busy());
        beacon.show_busy(true);
        assert!(beacon.is_busy());
        beacon.show_busy(false);
        assert!(!beacon.is_busy());
    }

    #[test]
    fn so_many_have_cpus_as_there_are() {
        let with = |watchers| {
            let beacon = Beacon::new(watchers, 8).unwrap();
            (beacon.all_have_cpus(), beacon.server_has_cpu())
        };
        assert_eq!(with(7), (true, true));
        assert_eq!(with(8), (true, false));
        assert_eq!(with(9), (false, false));
        assert_eq!(with(usize::MAX), (false, false));
    }
}

//! Decides whether and how long a client spins before it blocks for a reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity, sched_yield};
use nix::unistd::Pid;

use super::{Backoff, SharedStatus};

/// The longest time for which a client spins (its spin window), if it is the only client. It is longer than
/// most calls, and longer than the 60 µs that pass until a client that was woken runs.
const BASE_WINDOW: Duration = Duration::from_micros(200);

/// The time that each further client adds to the window. The server answers the clients one after another,
/// and needs about this long per client while no client spins.
const WINDOW_PER_CLIENT: Duration = Duration::from_micros(50);

/// The upper bound of the window, however many clients there are.
const MAX_WINDOW: Duration = Duration::from_millis(5);

/// A client that is on the server's core when it is about to spin migrates to another core once in this many
/// times, and blocks without spinning the other times. While clients take turns
/// ([`SharedStatus::clients_take_turns`]), it migrates every time.
const MIGRATE_EVERY: u32 = 8;

/// The spinning policy of one client: it spins only if the status of the server and the results of earlier
/// windows make a reply within the window likely.
pub(crate) struct AdaptiveSpin {
    /// The status that the server publishes. A client without it never spins.
    shared_status: Option<Arc<SharedStatus>>,
    /// The index of the worker that this client belongs to. Other clients have none.
    worker: Option<usize>,
    /// The length of a spin window.
    window_length: Duration,
    backoff: Backoff,
    /// How often this client was about to spin on the server's core, modulo [`MIGRATE_EVERY`].
    collisions: u32,
}

impl AdaptiveSpin {
    /// The policy of a client that reads `shared_status`.
    pub(crate) fn new(shared_status: Option<Arc<SharedStatus>>, worker: Option<usize>) -> Self {
        let clients = shared_status.as_ref().map_or(1, |shared_status| shared_status.clients());
        let window_length = window_length(clients);
        Self { shared_status, worker, window_length, backoff: Backoff::default(), collisions: 0 }
    }

    /// Opens a spin window, if a reply within it is likely. Otherwise returns `None`: the caller blocks
    /// without spinning. The caller reports the result of the window to [`record`](Self::record), unless its
    /// call is parked meanwhile.
    pub(crate) fn begin(&mut self) -> Option<SpinWindow> {
        let shared_status = self.shared_status.as_ref()?;
        let busy = shared_status.is_busy();
        // The backoff comes last, because `should_try` counts skipped attempts.
        if shared_status.is_crowded()
            || self.is_parked()
            || !(busy || shared_status.has_cpu_per_client())
            || !self.backoff.should_try()
        {
            return None;
        }
        // If the server is not busy and the clients need all cores, there is no free core to migrate to, and
        // this client may spin on the core of the server. In any other case it migrates or blocks.
        if (busy || shared_status.has_cpu_for_server()) && shared_status.is_on_this_cpu() {
            self.collisions = (self.collisions + 1) % MIGRATE_EVERY;
            // If clients take turns, most of them sleep with a parked call and need no core. This client
            // slept until the answer to its last call, and the kernel then woke it on the core of the server.
            // Other cores are free, so it pays to migrate each time.
            let should_migrate = self.collisions == 1 || shared_status.clients_take_turns();
            // Migrating fails if the system forbids to change the affinity.
            let has_migrated = should_migrate && migrate().is_ok();
            if !has_migrated || shared_status.is_on_this_cpu() {
                return None;
            }
        }
        let now = Instant::now();
        Some(SpinWindow { until: now + self.window_length, now })
    }

    /// Whether the call of this client is parked, so that no answer is expected soon.
    pub(crate) fn is_parked(&self) -> bool {
        self.shared_status.as_ref().is_some_and(|shared_status| shared_status.is_parked(self.worker))
    }

    /// Records whether spinning has found a reply. A reply after the end of the window counts as a failure:
    /// another process has occupied the core meanwhile.
    pub(crate) fn record(&mut self, window: &SpinWindow, found: bool) {
        self.backoff.record(found && window.is_open());
    }
}

/// The length of the spin window of each client, if there are `clients` of them.
fn window_length(clients: usize) -> Duration {
    let others = u32::try_from(clients.saturating_sub(1)).unwrap_or(u32::MAX);
    (BASE_WINDOW + WINDOW_PER_CLIENT.saturating_mul(others)).min(MAX_WINDOW)
}

/// The time in which a client spins.
pub(crate) struct SpinWindow {
    /// The end of the window.
    until: Instant,
    /// The time when the clock was last read.
    now: Instant,
}

impl SpinWindow {
    /// Yields the core to every runnable process, and reads the clock. The caller then polls.
    pub(crate) fn yield_cpu(&mut self) {
        // `sched_yield` cannot fail on Linux.
        let _ = sched_yield();
        self.now = Instant::now();
    }

    /// Whether the window was open when the clock was last read.
    pub(crate) fn is_open(&self) -> bool {
        self.now < self.until
    }
}

/// Moves this thread to another CPU; does nothing if its affinity allows no other. To move it, removes the
/// current CPU from the affinity. Restores the affinity at once, so the scheduler may move the thread back
/// later.
fn migrate() -> nix::Result<()> {
    let this_thread = Pid::from_raw(0);
    let all = sched_getaffinity(this_thread)?;
    let mut others = all;
    others.unset(sched_getcpu()?)?;
    if (0..CpuSet::count()).any(|cpu| others.is_set(cpu) == Ok(true)) {
        sched_setaffinity(this_thread, &others)?;
        sched_setaffinity(this_thread, &all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a busy server that has not published its CPU.
    fn shared_status() -> Option<Arc<SharedStatus>> {
        let shared_status = SharedStatus::new(1, 2).unwrap();
        shared_status.publish_busy(true);
        Some(Arc::new(shared_status))
    }

    /// Waits `waits` times for a reply that arrives at once (`found`) or never; returns how often the client
    /// spun.
    fn count_spins(adaptive_spin: &mut AdaptiveSpin, waits: usize, found: bool) -> usize {
        let spins =
            |_: &usize| adaptive_spin.begin().map(|window| adaptive_spin.record(&window, found)).is_some();
        (0..waits).filter(spins).count()
    }

    #[test]
    fn a_client_without_a_shared_status_never_spins() {
        assert_eq!(count_spins(&mut AdaptiveSpin::new(None, None), 100, true), 0);
    }

    #[test]
    fn more_clients_than_cpus_spin_only_while_the_server_is_busy() {
        let shared_status = Arc::new(SharedStatus::new(20, 2).unwrap());
        let mut adaptive_spin = AdaptiveSpin::new(Some(Arc::clone(&shared_status)), Some(7));
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 0);
        shared_status.publish_busy(true);
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 100);
    }

    #[test]
    fn clients_whose_calls_are_parked_leave_their_cpus_to_the_others() {
        let shared_status = Arc::new(SharedStatus::new(20, 2).unwrap());
        let mut adaptive_spin = AdaptiveSpin::new(Some(Arc::clone(&shared_status)), Some(7));
        // 20 clients and 2 CPUs. The workers 8 to 25 are parked one after the other; this client is worker 7.
        for parked in 1..=18 {
            assert_eq!(count_spins(&mut adaptive_spin, 1, true), 0, "more run than there are CPUs");
            shared_status.publish_parked(parked + 7, true, parked);
        }
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 100);
        shared_status.publish_parked(7, true, 19);
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 0);
        shared_status.publish_parked(7, false, 18);
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 100);
    }

    #[test]
    fn no_client_spins_while_spinning_crowds_the_server_out() {
        let shared_status = Arc::new(SharedStatus::new(1, 2).unwrap());
        let mut adaptive_spin = AdaptiveSpin::new(Some(Arc::clone(&shared_status)), None);
        for (crowded, spins) in [(false, 100), (true, 0), (false, 100)] {
            shared_status.publish_crowded(crowded);
            assert_eq!(count_spins(&mut adaptive_spin, 100, true), spins);
        }
    }

    #[test]
    fn spinning_continues_while_it_succeeds_and_backs_off_when_it_fails() {
        let mut adaptive_spin = AdaptiveSpin::new(shared_status(), None);
        assert_eq!(count_spins(&mut adaptive_spin, 100, true), 100);
        // The four failures are followed by 1, 4, 16 and 64 waits without a spin. The 86 waits end within the
        // last 64.
        assert_eq!(count_spins(&mut adaptive_spin, 86, false), 4);
    }

    #[test]
    fn the_window_grows_with_the_number_of_clients_up_to_its_bound() {
        assert_eq!(window_length(0), window_length(1));
        assert!(window_length(1) < window_length(2) && window_length(2) < window_length(20));
        assert_eq!(window_length(usize::MAX), MAX_WINDOW);
    }

    #[test]
    fn a_reply_after_the_window_counts_as_a_failure() {
        let mut adaptive_spin = AdaptiveSpin::new(shared_status(), None);
        let mut window = adaptive_spin.begin().unwrap();
        assert!(window.is_open());
        window.until = window.now;
        window.yield_cpu();
        assert!(!window.is_open());
        adaptive_spin.record(&window, true);
        assert!(adaptive_spin.begin().is_none());
    }

    #[test]
    fn migrating_leaves_the_affinity_unchanged() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        migrate().unwrap();
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }
}

//! Adaptive polling: spin briefly before blocking, to avoid wake-ups.
//!
//! A client that blocks gives up its core, and the server has to wake the client when it answers. On a
//! virtual machine, whose cores halt when idle, a busy server spends a quarter of its time per call on waking
//! the client. The kernel also prefers to wake a process on the core of the waker, because a waker usually
//! blocks soon afterwards. A busy server does not block, so the woken client preempts the server. A client
//! therefore spins (polls again and again) for a while before it blocks ([`AdaptiveSpin`]), under six rules.
//! Only the processes of a share can read the status of its server, so other clients never spin.
//!
//! - **It yields.** Between two polls a client yields the core to every runnable process. Spinning therefore
//!   takes no CPU time from others, and twenty clients on one core take turns without any of them blocking.
//! - **It avoids the server's core.** The server publishes in a [`SharedStatus`] on which CPU it runs and
//!   whether it is busy. If the server is busy, or the clients leave a CPU free for it, a client on the CPU
//!   of the server migrates to another CPU or blocks at once.
//! - **It spins only while the server is busy,** if there are more clients than CPUs. At other times most
//!   clients compute. A client that competes with computing processes gets the core sooner if it blocks,
//!   since the scheduler prefers processes that have slept.
//! - **It stops if the server waits for a core.** Other processes then need the cores, and spinning clients
//!   are always ready to run. The server measures how long it waits. If it waits for long, it publishes that
//!   it is crowded out, and no client spins.
//! - **It backs off** ([`Backoff`]) where spinning fails: where calls take long, or where another process
//!   occupies the core.
//! - **It does not spin while its call is parked**: the answer comes only after calls of other clients. A
//!   client whose call is parked is not counted where the other rules compare clients with CPUs.
//!
//! A server that waits for calls polls too, if there is a core that no worker needs
//! ([`SharedStatus::has_cpu_for_server`]). In a share that may use one CPU only, neither side polls.

mod adaptive_spin;
mod backoff;
mod shared_status;

pub(crate) use adaptive_spin::AdaptiveSpin;
pub(crate) use backoff::Backoff;
pub(crate) use shared_status::SharedStatus;

/// The number of CPUs that this process may use, according to its affinity mask and its control group.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

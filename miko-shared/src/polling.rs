//! Looking again before blocking, so that nobody has to be woken.
//!
//! A process that blocks gives its core away, and whoever answers it pays for waking it: on a virtual machine, whose cores halt
//! when they are idle, that is a quarter of what a busy server does for a call. And the kernel likes to wake a process on the
//! core of whoever wakes it, since that one mostly goes to sleep then. A busy server does not: it is pushed off its core.
//! So a client looks again for a while ([`AdaptiveSpin`]), under three rules.
//!
//! - **It gives way.** Between two looks it lets everybody run who is ready to. That keeps no core from anybody, and twenty clients
//!   on one core take turns without one of them going to sleep.
//! - **It keeps off the core of the server.** The server shows by a [`SharedStatus`] where it is and whether it is busy. A client that finds itself
//!   there moves to another core. Of more clients than there are CPUs none looks again unless the server is busy: they do
//!   something else most of the time then, and whoever wants to run among those who compute is better off asleep, since the kernel
//!   prefers who has slept.
//! - **It leaves off what is in vain** ([`Backoff`]): where answers take long, or somebody who computes has the core.
//!
//! A server that waits for calls polls as well, where there is a core for it and each of its workers. In a process that may use one CPU
//! only, nobody polls.

mod adaptive_spin;
mod backoff;
mod shared_status;

pub(crate) use adaptive_spin::AdaptiveSpin;
pub(crate) use backoff::Backoff;
pub(crate) use shared_status::SharedStatus;

/// How many CPUs this process may use, as its affinity and its control group say.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

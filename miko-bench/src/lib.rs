//! How fast a shared Mikobase is, beside its peers in the same run.
//!
//! A [`Plan`] says what to measure; [`run`] measures it and gives a [`Report`], which is JSON, a Markdown table
//! ([`markdown`]) or an SVG chart ([`chart`]).
//!
//! ```text
//! for each setting (1 or 20 workers, on one CPU or on all):
//!     start every peer and its crew: N forked workers, each with a connection of its own
//!     for each round, for each workload, for each peer:      <- interleaved
//!         every worker of the crew calls as fast as it can, from one agreed moment to another
//! ```
//!
//! So a slow moment of the machine falls on all alike, and a ratio is taken within a round before the median is taken of
//! the rounds. All crews but one sleep at any moment.
//!
//! | subject | where |
//! | --- | --- |
//! | what is measured, how often, how long | [`plan`], [`workload`] |
//! | the records that everybody stores | `sample` |
//! | the processes: crews, servers, the CPUs they run on | `crew`, `worker`, `process` |
//! | a peer each, short enough to be checked by eye | `peer/` and `peers/` |
//! | what comes out | [`report`], [`statistics`], [`goal`], [`markdown`], [`chart`] |
//!
//! The process that calls [`run`] must have one thread: it forks.

pub mod chart;
mod crew;
pub mod goal;
mod lifetime;
pub mod markdown;
mod peer;
pub mod plan;
mod process;
pub mod report;
mod run;
mod sample;
pub mod statistics;
mod worker;
pub mod workload;

pub use miko_shared::BoxError;
pub use peer::{names as peers, terms};
pub use plan::{Cpus, Plan, Setting};
pub use report::Report;
pub use run::run;
pub use workload::Workload;

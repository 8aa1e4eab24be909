//! Benchmarks of a shared Mikobase and its peers in one run.
//!
//! A [`Plan`] says what to measure; [`run`] measures it and returns a [`Report`], which can be written as
//! JSON, as a Markdown table ([`markdown`]) or as an SVG chart ([`chart`]).
//!
//! ```text
//! for each setting (1 or 20 workers, on one CPU or on all):
//!     start every peer and its crew: N forked workers, each with a connection of its own
//!     for each round, for each workload, for each peer:      <- interleaved
//!         every worker of the crew calls as fast as it can, from a common start to a common end
//! ```
//!
//! The interleaving makes noise of the machine affect all peers. A ratio is computed within each round; the
//! result is the median of the ratios. Only one crew works at a time, while the others sleep.
//!
//! | subject | where |
//! | --- | --- |
//! | what is measured, how often, how long | [`plan`], [`workload`] |
//! | the records that all peers store | `sample` |
//! | the processes: crews, servers, their CPUs | `crew`, `worker`, `process` |
//! | HTTP, from the side of a worker | `http_client` |
//! | the time of an empty share; the memory of its server | `lifetime`, `memory` |
//! | the peers, one file each | `peer/` and `peers/` |
//! | the results | [`report`], [`statistics`], [`goal`], [`markdown`], [`chart`] |
//!
//! The process that calls [`run`] must have one thread, since it forks.

pub mod chart;
mod crew;
pub mod goal;
mod http_client;
mod lifetime;
pub mod markdown;
mod memory;
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

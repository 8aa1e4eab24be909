//! Histories of concurrent operations, and a checker that they are strictly serializable.
//!
//! Workers perform generated operations (`workload`, `perform`) on a shared Mikobase and record them
//! (`recorder`), until they are done or are killed (`crew`). The parent collects the operations of all
//! workers (`run`) and checks that they could have been executed one after another (`checker`). The checker
//! itself is tested on histories with known anomalies (`known`) and on generated ones (`generated`).

mod checker;
mod crew;
mod dependencies;
mod generated;
mod graph;
mod known;
mod operation;
mod perform;
mod recorder;
mod run;
mod versions;
mod violation;
mod workload;

pub use generated::CASES as GENERATED;
pub use known::CASES as KNOWN;
pub use recorder::CASES as RECORDS;
pub use run::CASES as RUNS;

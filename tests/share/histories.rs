//! A checker that a history of concurrent operations is strictly serializable (`checker`). It is tested on
//! histories with known anomalies (`known`) and on generated ones (`workload`, `generated`).

mod checker;
mod dependencies;
mod generated;
mod graph;
mod known;
mod operation;
mod versions;
mod violation;
mod workload;

pub use generated::CASES as GENERATED;
pub use known::CASES as KNOWN;

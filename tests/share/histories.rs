//! A checker that a history of concurrent operations is strictly serializable (`checker`). It is tested on
//! histories with known anomalies (`known`).

mod checker;
mod dependencies;
mod graph;
mod known;
mod operation;
mod versions;
mod violation;

pub use known::CASES as KNOWN;

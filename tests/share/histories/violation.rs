//! The anomalies of a history, by the names of the field.

use std::fmt;

use super::graph::{Dependency, Edge};
use super::operation::Operation;

/// A kind of anomaly. The names in parentheses are those of Adya.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anomaly {
    /// A read contradicts earlier micro-operations of its own operation, or sees a later one.
    InternalInconsistency,
    /// A value is twice in a list.
    DuplicateElement,
    /// A value was read that no operation wrote.
    UnknownValue,
    /// A value was read of an operation that had no effect (G1a), also called a dirty read.
    AbortedRead,
    /// A value was read that its operation replaced, or appended to (G1b).
    IntermediateRead,
    /// Two reads of a list agree with no order of its appends.
    IncompatibleOrder,
    /// A completed append is in no list that was read, though one was read afterwards.
    LostAppend,
    /// A cycle of writes (G0).
    DirtyWrite,
    /// A cycle of writes and reads of what was written (G1c).
    CircularInformationFlow,
    /// Two operations read one version of a key, and both replaced it.
    LostUpdate,
    /// An operation saw one part of what another wrote, and not the other part.
    FracturedRead,
    /// A cycle with one read of what is replaced afterwards (G-single).
    ReadSkew,
    /// A cycle with several such reads (G2).
    WriteSkew,
    /// A read did not see a write that had completed before it began.
    StaleRead,
    /// Another contradiction to the order in time.
    RealTimeViolation,
}

/// An anomaly of a history, with the operations that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub anomaly: Anomaly,
    /// Their indices in the history.
    pub operations: Vec<u32>,
    explanation: String,
}

impl Violation {
    pub fn new(anomaly: Anomaly, history: &[Operation], reason: &str, operations: &[u32]) -> Self {
        let mut explanation = reason.to_owned();
        for index in operations {
            explanation += &format!("\n  T{index} = {}", history[*index as usize]);
        }
        Self { anomaly, operations: operations.to_vec(), explanation }
    }

    /// The edges are those of a cycle, in order.
    pub fn of_cycle(history: &[Operation], cycle: &[Edge]) -> Self {
        let operations: Vec<u32> = cycle.iter().map(|edge| edge.from).collect();
        let reason = format!("a cycle of {} operations", operations.len());
        let mut violation = Self::new(classify(cycle), history, &reason, &operations);
        for Edge { from, to, dependency, object } in cycle {
            let object = object.map(|object| object.to_string());
            let line = match (dependency, object) {
                (Dependency::WriteWrite, Some(object)) => format!("T{from} wrote {object} before T{to}"),
                (Dependency::WriteRead, Some(object)) => format!("T{to} read what T{from} wrote to {object}"),
                (Dependency::WriteWriteInTime, Some(object)) => {
                    format!("T{from} wrote {object} before T{to}, as the times show at which both were seen")
                }
                (_, Some(object)) => format!("T{from} read {object} as it was before T{to} wrote it"),
                (_, None) => format!("T{from} completed before T{to} was invoked"),
            };
            violation.explanation += &format!("\n  {line}");
        }
        violation
    }
}

fn classify(cycle: &[Edge]) -> Anomaly {
    let count = |kinds: &[Dependency]| cycle.iter().filter(|edge| kinds.contains(&edge.dependency)).count();
    let (writes, reads) = (count(&[Dependency::WriteWrite]), count(&[Dependency::WriteRead]));
    let missed = count(&[Dependency::ReadWrite, Dependency::ReadWriteInTime]);
    let in_time = count(&[Dependency::ReadWriteInTime, Dependency::RealTime, Dependency::WriteWriteInTime]);
    let of_one_key = cycle.iter().all(|edge| edge.object == cycle[0].object);
    match (writes, reads, missed, in_time) {
        (0, 0, 1, 1..) => Anomaly::StaleRead,
        (.., 1..) => Anomaly::RealTimeViolation,
        (_, 0, 0, _) => Anomaly::DirtyWrite,
        (.., 0, _) => Anomaly::CircularInformationFlow,
        (_, 0, ..) if of_one_key => Anomaly::LostUpdate,
        (0, 1, 1, _) => Anomaly::FracturedRead,
        (_, _, 1, _) => Anomaly::ReadSkew,
        _ => Anomaly::WriteSkew,
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.anomaly, self.explanation)
    }
}

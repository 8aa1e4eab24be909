//! Checks that a history is strictly serializable: that its operations could have been executed one after
//! another, each at a moment between its invocation and its completion.
//!
//! The method is that of Elle (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", 2020). A list that was read shows the order of the appends to it. From the orders follow
//! dependencies between operations. A history with a cycle of dependencies has no serial order. The time of a
//! check is that of sorting the history.

use super::dependencies;
use super::graph::Dependency;
use super::operation::Operation;
use super::versions::Versions;
use super::violation::Violation;

/// What a sound history was checked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub operations: usize,
    pub write_write: usize,
    pub write_read: usize,
    pub read_write: usize,
}

/// Checks a history, whose operations may be in any order.
///
/// # Errors
/// One anomaly, if there are any: of those that show in a single key, or else a cycle with the simplest kinds
/// of dependencies and the fewest operations.
pub fn check(history: &[Operation]) -> Result<Summary, Violation> {
    let versions = Versions::collect(history)?;
    let graph = dependencies::find(&versions);
    if graph.cycle(Dependency::WriteWriteInTime).is_some() {
        let cycle = Dependency::SEARCHES.into_iter().find_map(|most| graph.cycle(most));
        return Err(Violation::of_cycle(history, &cycle.expect("the graph has a cycle")));
    }
    let count = |kinds: [Dependency; 2]| kinds.into_iter().map(|kind| graph.count(kind)).sum();
    Ok(Summary {
        operations: history.len(),
        write_write: count([Dependency::WriteWrite, Dependency::WriteWriteInTime]),
        write_read: graph.count(Dependency::WriteRead),
        read_write: count([Dependency::ReadWrite, Dependency::ReadWriteInTime]),
    })
}

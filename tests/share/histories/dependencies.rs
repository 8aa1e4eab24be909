//! Which operations of a history come before which others in every serial order.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::graph::{Dependency, Edge, Graph};
use super::operation::{Object, Outcome, Value};
use super::versions::{List, Register, Versions};

/// All dependencies, by keys and in time.
pub fn find(versions: &Versions<'_>) -> Graph {
    let mut dependencies = Dependencies { versions, edges: Vec::new() };
    for (key, list) in &versions.lists {
        dependencies.add_list(Object::List(*key), list);
    }
    for (key, register) in &versions.registers {
        dependencies.add_register(Object::Register(*key), register);
    }
    let operations = versions.history.len() as u32;
    let moments = dependencies.add_times(operations);
    Graph::new(operations, operations + moments, dependencies.edges)
}

struct Dependencies<'v, 'h> {
    versions: &'v Versions<'h>,
    edges: Vec<Edge>,
}

/// A value that a register had.
struct Version {
    /// `None` for the initial state.
    writer: Option<u32>,
    readers: Vec<u32>,
    /// A time at which it had been written, with certainty.
    written_by: u64,
    /// A time after which it was still the value, or became it, with certainty.
    current_after: u64,
    /// Later versions, with certainty: all others that are known to be later come after one of these.
    next: Vec<usize>,
    /// Whether times show that they are later, and no operation that read this version and wrote another.
    is_in_time: bool,
    /// Versions that are later since times show that they are later than the version which this one replaced.
    after_replaced: Vec<usize>,
}

impl Dependencies<'_, '_> {
    fn add(&mut self, from: u32, to: u32, dependency: Dependency, object: Object) {
        self.edges.push(Edge { from, to, dependency, object: Some(object) });
    }

    /// The appends that were read have the order of the longest list. Those of committed operations that no
    /// read has seen come after them, in an order that is not known.
    fn add_list(&mut self, object: Object, list: &List<'_>) {
        let writes = &self.versions.writes;
        let writers: Vec<u32> = list.order.iter().map(|value| writes[&(object, *value)].operation).collect();
        let is_unseen = |(operation, value): &&(u32, Value)| {
            self.versions.is_committed[*operation as usize] && !writes[&(object, *value)].is_seen
        };
        let unseen: Vec<u32> = list.appends.iter().filter(is_unseen).map(|(writer, _)| *writer).collect();
        for pair in writers.windows(2) {
            self.add(pair[0], pair[1], Dependency::WriteWrite, object);
        }
        if let Some(last) = writers.last() {
            unseen.iter().for_each(|next| self.add(*last, *next, Dependency::WriteWrite, object));
        }
        for (reader, values) in &list.reads {
            if let Some(last) = values.len().checked_sub(1) {
                self.add(writers[last], *reader, Dependency::WriteRead, object);
            }
            let next = writers.get(values.len()).map_or(unseen.as_slice(), std::slice::from_ref);
            next.iter().for_each(|next| self.add(*reader, *next, Dependency::ReadWrite, object));
        }
    }

    fn add_register(&mut self, object: Object, register: &Register) {
        let all = self.versions_of(register);
        for version in &all {
            let (write, read) = match version.is_in_time {
                true => (Dependency::WriteWriteInTime, Dependency::ReadWriteInTime),
                false => (Dependency::WriteWrite, Dependency::ReadWrite),
            };
            for next in version.next.iter().filter_map(|next| all[*next].writer) {
                version.writer.iter().for_each(|writer| self.add(*writer, next, write, object));
                version.readers.iter().for_each(|reader| self.add(*reader, next, read, object));
            }
            for later in version.after_replaced.iter().filter_map(|later| all[*later].writer) {
                let (write, read) = (Dependency::WriteWriteInTime, Dependency::ReadWriteInTime);
                version.writer.iter().for_each(|writer| self.add(*writer, later, write, object));
                version.readers.iter().for_each(|reader| self.add(*reader, later, read, object));
            }
            for reader in &version.readers {
                let writer = version.writer.iter();
                writer.for_each(|writer| self.add(*writer, *reader, Dependency::WriteRead, object));
            }
        }
    }

    /// The values that a register had. An operation that read one and wrote another shows that the second
    /// follows the first. Without such an operation, a value comes before those that were current after a
    /// time at which it had been written.
    fn versions_of(&self, register: &Register) -> Vec<Version> {
        let invoked = |operation: u32| self.versions.history[operation as usize].invoked;
        let completed = |operation: u32| match &self.versions.history[operation as usize] {
            unknown if unknown.outcome == Outcome::Unknown => u64::MAX,
            known => known.completed,
        };
        let version = |writer, written_by, current_after| {
            let (readers, next, after_replaced) = (Vec::new(), Vec::new(), Vec::new());
            Version { writer, readers, written_by, current_after, next, is_in_time: false, after_replaced }
        };
        let mut all = vec![version(None, 0, 0)];
        let (mut of_value, mut of_writer) = (HashMap::from([(None, 0)]), HashMap::new());
        for (writer, value) in &register.writes {
            if self.versions.is_committed[*writer as usize] {
                of_value.insert(Some(*value), all.len());
                of_writer.insert(*writer, all.len());
                all.push(version(Some(*writer), completed(*writer), invoked(*writer)));
            }
        }
        for (reader, value) in &register.reads {
            let version = &mut all[of_value[value]];
            version.readers.push(*reader);
            version.written_by = version.written_by.min(completed(*reader));
            version.current_after = version.current_after.max(invoked(*reader));
            version.next.extend(of_writer.get(reader));
        }
        let mut by_time: Vec<usize> = (1..all.len()).collect();
        by_time.sort_by_key(|index| all[*index].current_after);
        add_after_replaced(&mut all, &by_time);
        for index in 0..all.len() {
            if all[index].next.is_empty() {
                all[index].next = next_in_time(&all, index, &by_time);
                all[index].is_in_time = index > 0;
            }
        }
        all
    }

    /// An operation that completed before another was invoked comes before it. Each moment at which an
    /// invocation follows completions is a virtual node: the completed operations lead to it, and it leads to
    /// the next moment and to the operations that are invoked until then. Returns the number of moments.
    fn add_times(&mut self, operations: u32) -> u32 {
        let mut events: Vec<(u64, bool, u32)> = Vec::new();
        for (operation, index) in self.versions.history.iter().zip(0..) {
            events.push((operation.invoked, false, index));
            if operation.outcome != Outcome::Unknown {
                events.push((operation.completed, true, index));
            }
        }
        // Invocations before completions at the same time: such operations overlap.
        events.sort_unstable();
        let (mut moments, mut follows_completion) = (0, false);
        for (_, is_completion, operation) in events {
            let mut add = |from, to| {
                self.edges.push(Edge { from, to, dependency: Dependency::RealTime, object: None });
            };
            if is_completion && !follows_completion {
                if moments > 0 {
                    add(operations + moments - 1, operations + moments);
                }
                moments += 1;
            }
            if is_completion {
                add(operation, operations + moments - 1);
            } else if moments > 0 {
                add(operations + moments - 1, operation);
            }
            follows_completion = is_completion;
        }
        moments
    }
}

/// A version that an operation has read and replaced is followed by the new one at once. So what times show
/// to be later than the first is later than the second, too. Called before versions are ordered by time.
fn add_after_replaced(all: &mut [Version], by_time: &[usize]) {
    let replacing: HashSet<usize> = all.iter().flat_map(|version| version.next.iter().copied()).collect();
    for first in (0..all.len()).filter(|index| !replacing.contains(index)) {
        let (mut index, mut later) = (first, BTreeSet::new());
        while let [next] = all[index].next[..] {
            later.extend(next_in_time(all, index, by_time));
            later.remove(&next);
            all[next].after_replaced = later.iter().copied().collect();
            index = next;
        }
    }
}

/// The versions that follow one by time.
fn next_in_time(all: &[Version], index: usize, by_time: &[usize]) -> Vec<usize> {
    let (mut next, mut end) = (Vec::new(), u64::MAX);
    let begin = by_time.partition_point(|later| all[*later].current_after <= all[index].written_by);
    for later in by_time[begin..].iter().filter(|later| **later != index) {
        if all[*later].current_after > end {
            break;
        }
        next.push(*later);
        end = end.min(all[*later].written_by);
    }
    next
}

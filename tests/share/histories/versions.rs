//! What the operations of a history wrote to each key and read of it, and the anomalies that show in one key.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::operation::{Key, MicroOp, Object, Operation, Outcome, Value};
use super::violation::Anomaly::{self, *};
use super::violation::Violation;

/// The write of a value. Operations are indices into the history.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    pub operation: u32,
    /// Whether its operation wrote to the key for the last time.
    is_last: bool,
    /// Whether an operation that counts has read it.
    pub is_seen: bool,
}

/// The reads and writes of a list.
#[derive(Debug, Default)]
pub struct List<'h> {
    /// The longest list that was read: the order of its appends.
    pub order: &'h [Value],
    /// The operations with what they saw before they appended to the list themselves.
    pub reads: Vec<(u32, &'h [Value])>,
    /// Committed operations with what they saw after their own appends.
    reads_of_own: Vec<(u32, &'h [Value])>,
    pub appends: Vec<(u32, Value)>,
}

/// The reads and writes of a register.
#[derive(Debug, Default)]
pub struct Register {
    /// The operations with what they saw before they wrote to the register themselves.
    pub reads: Vec<(u32, Option<Value>)>,
    /// The last write of each operation.
    pub writes: Vec<(u32, Value)>,
}

/// A history, by keys.
pub struct Versions<'h> {
    pub history: &'h [Operation],
    pub lists: BTreeMap<Key, List<'h>>,
    pub registers: BTreeMap<Key, Register>,
    pub writes: HashMap<(Object, Value), Write>,
    /// The operations that took effect: those that succeeded, and of the unknown ones those whose writes
    /// were seen.
    pub is_committed: Vec<bool>,
    /// The newest values that operations saw before they wrote to a key themselves.
    newest_values: Vec<(Object, u32, Value)>,
}

/// What an operation knows of a key.
#[derive(Default)]
struct Local<'h> {
    list: Option<&'h [Value]>,
    /// Its own appends since it read the list.
    appended: Vec<Value>,
    register: Option<Option<Value>>,
    last_write: Option<Value>,
}

type Locals<'h> = HashMap<Object, Local<'h>>;

type Result<T> = std::result::Result<T, Violation>;

impl<'h> Versions<'h> {
    /// # Panics
    /// If a value was written twice to one key: such a history cannot be checked.
    pub fn collect(history: &'h [Operation]) -> Result<Self> {
        let is_committed = history.iter().map(|operation| operation.outcome == Outcome::Ok).collect();
        let (lists, registers, writes) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        let newest_values = Vec::new();
        let mut versions = Self { history, lists, registers, writes, is_committed, newest_values };
        let mut locals = HashMap::new();
        for index in 0..history.len() as u32 {
            locals.clear();
            for micro_op in &history[index as usize].micro_ops {
                versions.add(index, micro_op, &mut locals)?;
            }
        }
        versions.check_lists()?;
        versions.check_newest_values()?;
        versions.check_lost_appends()?;
        Ok(versions)
    }

    fn fail<T>(&self, anomaly: Anomaly, object: Object, value: Option<Value>, by: &[u32]) -> Result<T> {
        let value = value.map(|value| format!("{value} in ")).unwrap_or_default();
        Err(Violation::new(anomaly, self.history, &format!("{value}{object}"), by))
    }

    fn add(&mut self, index: u32, micro_op: &'h MicroOp, locals: &mut Locals<'h>) -> Result<()> {
        let object = micro_op.object();
        let local = locals.entry(object).or_default();
        let is_consistent = match micro_op {
            MicroOp::Append(key, value) => {
                self.lists.entry(*key).or_default().appends.push((index, *value));
                local.appended.push(*value);
                self.add_write(index, object, *value, local);
                true
            }
            MicroOp::Write(key, value) => {
                let writes = &mut self.registers.entry(*key).or_default().writes;
                writes.pop_if(|(operation, _)| *operation == index);
                writes.push((index, *value));
                local.register = Some(Some(*value));
                self.add_write(index, object, *value, local);
                true
            }
            MicroOp::ReadList(key, values) => {
                let list = self.lists.entry(*key).or_default();
                let seen = values.strip_suffix(local.appended.as_slice());
                if let (None, Some(seen)) = (local.list, seen) {
                    list.reads.push((index, seen));
                    self.newest_values.extend(seen.last().map(|value| (object, index, *value)));
                }
                if !local.appended.is_empty() && self.history[index as usize].outcome == Outcome::Ok {
                    list.reads_of_own.push((index, values));
                }
                local.appended.clear();
                let before = local.list.replace(values);
                seen.is_some_and(|seen| before.is_none_or(|before| before == seen))
            }
            MicroOp::ReadRegister(key, value) => {
                if local.register.is_none() {
                    self.registers.entry(*key).or_default().reads.push((index, *value));
                    self.newest_values.extend(value.map(|value| (object, index, value)));
                }
                *local.register.get_or_insert(*value) == *value
            }
        };
        if is_consistent { Ok(()) } else { self.fail(InternalInconsistency, object, None, &[index]) }
    }

    fn add_write(&mut self, operation: u32, object: Object, value: Value, local: &mut Local<'h>) {
        let write = Write { operation, is_last: true, is_seen: false };
        let other = self.writes.insert((object, value), write);
        assert!(other.is_none(), "{value} is written twice to {object}");
        if let Some(before) = local.last_write.replace(value)
            && let Some(write) = self.writes.get_mut(&(object, before))
        {
            write.is_last = false;
        }
    }

    /// Finds the order of each list, with which all reads must agree.
    fn check_lists(&mut self) -> Result<()> {
        let mut lists = std::mem::take(&mut self.lists);
        for (key, list) in &mut lists {
            let object = Object::List(*key);
            let reads = || list.reads.iter().chain(&list.reads_of_own);
            let longest = reads().max_by_key(|(_, values)| values.len()).copied();
            let Some((longest_reader, order)) = longest else { continue };
            if let Some((reader, values)) = reads().find(|(_, values)| !order.starts_with(values)) {
                self.check_elements(object, *reader, values)?;
                self.check_elements(object, longest_reader, order)?;
                return self.fail(IncompatibleOrder, object, None, &[*reader, longest_reader]);
            }
            self.check_elements(object, longest_reader, order)?;
            list.order = order;
        }
        self.lists = lists;
        Ok(())
    }

    /// Checks that the elements were written, once, and not by operations that failed.
    fn check_elements(&mut self, object: Object, reader: u32, values: &[Value]) -> Result<()> {
        let mut distinct = HashSet::new();
        for value in values {
            if !distinct.insert(*value) {
                return self.fail(DuplicateElement, object, Some(*value), &[reader]);
            }
            self.see(object, reader, *value)?;
        }
        Ok(())
    }

    /// Marks a value as seen. Its operation has taken effect, or that it was seen is an anomaly.
    fn see(&mut self, object: Object, reader: u32, value: Value) -> Result<Write> {
        let Some(write) = self.writes.get_mut(&(object, value)) else {
            return self.fail(UnknownValue, object, Some(value), &[reader]);
        };
        write.is_seen = true;
        let write = *write;
        if self.history[write.operation as usize].outcome == Outcome::Failed {
            return self.fail(AbortedRead, object, Some(value), &[write.operation, reader]);
        }
        self.is_committed[write.operation as usize] = true;
        Ok(write)
    }

    fn check_newest_values(&mut self) -> Result<()> {
        for (object, reader, value) in std::mem::take(&mut self.newest_values) {
            let write = self.see(object, reader, value)?;
            if write.operation == reader {
                return self.fail(InternalInconsistency, object, Some(value), &[reader]);
            }
            if !write.is_last {
                return self.fail(IntermediateRead, object, Some(value), &[write.operation, reader]);
            }
        }
        Ok(())
    }

    fn check_lost_appends(&self) -> Result<()> {
        let at = |operation: u32| &self.history[operation as usize];
        for (key, list) in &self.lists {
            let last_read =
                list.reads.iter().map(|(reader, _)| *reader).max_by_key(|reader| at(*reader).invoked);
            let Some(reader) = last_read else { continue };
            for (writer, value) in &list.appends {
                let is_done =
                    at(*writer).outcome == Outcome::Ok && at(*writer).completed < at(reader).invoked;
                if is_done && !self.writes[&(Object::List(*key), *value)].is_seen {
                    return self.fail(LostAppend, Object::List(*key), Some(*value), &[*writer, reader]);
                }
            }
        }
        Ok(())
    }
}

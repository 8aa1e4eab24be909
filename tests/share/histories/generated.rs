//! The checker accepts histories of a serial model, and finds what was changed in them.

use std::collections::HashMap;

use super::checker::{Summary, check};
use super::operation::{Key, MicroOp, Object, Operation, Outcome, Value};
use super::workload::{ISOLATED, Plan, Step};
use crate::harness::{Case, is_long};
use crate::random::{self, Random};

pub const CASES: &[Case] = &[
    ("generated_histories_of_a_serial_model_are_accepted", accepted),
    ("a_list_without_its_newest_appends_is_found", || changed(forget_appends)),
    ("a_register_with_an_older_value_is_found", || changed(return_older_value)),
    ("a_list_in_another_order_is_found", || changed(swap_elements)),
];

const OPERATIONS: usize = 80;

fn rounds() -> usize {
    if is_long() { 100_000 } else { 300 }
}

fn accepted() {
    let mut random = Random::new(random::given_seed().unwrap_or_else(random::fresh_seed));
    let mut sum = Summary::default();
    for _ in 0..rounds() {
        let history = serial_history(&mut random, OPERATIONS, OPERATIONS);
        let summary = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
        sum.write_read += summary.write_read;
        sum.read_write += summary.read_write;
    }
    assert!(sum.write_read > 10 * rounds() && sum.read_write > 10 * rounds(), "{sum:?}");
}

/// Changes histories so that they have an anomaly, which must be found.
fn changed(change: fn(&mut [Operation], &mut Random) -> bool) {
    let mut random = Random::new(random::given_seed().unwrap_or_else(random::fresh_seed));
    let mut count = 0;
    for _ in 0..rounds() {
        let mut history = serial_history(&mut random, OPERATIONS, OPERATIONS);
        if change(&mut history, &mut random) {
            count += 1;
            let lines: Vec<String> = history.iter().map(Operation::to_string).collect();
            assert!(check(&history).is_err(), "it was accepted:\n{}", lines.join("\n"));
        }
    }
    assert!(count > rounds() / 4, "{count} of {} histories could be changed", rounds());
}

/// The state of the model: lists and registers.
#[derive(Default)]
struct Model {
    lists: HashMap<Key, Vec<Value>>,
    registers: HashMap<Key, Value>,
}

impl Model {
    fn take(&mut self, step: Step, micro_ops: &mut Vec<MicroOp>) {
        let read = |model: &Self, key| MicroOp::ReadRegister(key, model.registers.get(&key).copied());
        match step {
            Step::Append(key, value) => {
                self.lists.entry(key).or_default().push(value);
                micro_ops.push(MicroOp::Append(key, value));
            }
            Step::ReadList(key) => {
                micro_ops.push(MicroOp::ReadList(key, self.lists.get(&key).cloned().unwrap_or_default()));
            }
            Step::Write(key, value) => {
                self.registers.insert(key, value);
                micro_ops.push(MicroOp::Write(key, value));
            }
            Step::Swap(key, value) => {
                micro_ops.push(read(self, key));
                self.take(Step::Write(key, value), micro_ops);
            }
            Step::ReadRegister(key) => micro_ops.push(read(self, key)),
        }
    }

    fn undo(&mut self, plan: &Plan, before: &HashMap<Key, Option<Value>>) {
        for write in plan.writes().iter().rev() {
            match write {
                MicroOp::Append(key, _) => {
                    self.lists.entry(*key).or_default().pop();
                }
                MicroOp::Write(key, _) => {
                    self.registers.remove(key);
                    self.registers.extend(before[key].map(|value| (*key, value)));
                }
                _ => {}
            }
        }
    }
}

/// Operations that take effect one after another, with times around these moments. A new set of keys is used
/// for every `per_window` operations.
pub fn serial_history(random: &mut Random, operations: usize, per_window: usize) -> Vec<Operation> {
    const KEYS: u32 = 4;
    /// How long an operation takes at most before and after it takes effect, in steps of the model.
    const MAX_DELAY: usize = 10;
    let (mut model, mut last_value) = (Model::default(), 0);
    let mut history = Vec::with_capacity(operations);
    for number in 0..operations {
        let first_key = (number / per_window) as u32 * KEYS;
        let plan = Plan::generate(random, ISOLATED, first_key..first_key + KEYS, &mut || {
            last_value += 1;
            last_value
        });
        let written = plan.writes().into_iter().filter_map(|write| match write.object() {
            Object::Register(key) => Some((key, model.registers.get(&key).copied())),
            Object::List(_) => None,
        });
        let before: HashMap<Key, Option<Value>> = written.collect();
        let mut micro_ops = Vec::new();
        plan.steps.iter().for_each(|step| model.take(*step, &mut micro_ops));
        let (outcome, takes_effect) = match random.below(20) {
            0 => (Outcome::Unknown, true),
            1 => (Outcome::Unknown, false),
            2 => (Outcome::Failed, false),
            _ => (Outcome::Ok, true),
        };
        if !takes_effect {
            model.undo(&plan, &before);
        }
        if outcome == Outcome::Unknown && random.one_in(2) {
            micro_ops = plan.writes();
        }
        let mut delay = || random.below(MAX_DELAY * 100) as u64;
        let moment = (number + MAX_DELAY) as u64 * 100;
        let (process, invoked, completed) = (number as u32, moment - delay(), moment + delay());
        history.push(Operation { process, invoked, completed, outcome, micro_ops });
    }
    history
}

/// The successful operations that access an object once, by a read, and the places of these micro-operations.
/// What another operation has read may be anything, if it has not taken effect.
fn sole_reads(history: &[Operation], object: Object) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let succeeded = |(_, operation): &(usize, &Operation)| operation.outcome == Outcome::Ok;
    for (index, operation) in history.iter().enumerate().filter(succeeded) {
        let accesses: Vec<usize> =
            (0..operation.micro_ops.len()).filter(|at| operation.micro_ops[*at].object() == object).collect();
        if let [at] = accesses[..]
            && matches!(operation.micro_ops[at], MicroOp::ReadList(..) | MicroOp::ReadRegister(..))
        {
            places.push((index, at));
        }
    }
    places
}

/// The successful operations that completed before a time, with the last value that they wrote to an object.
fn completed_writes(history: &[Operation], object: Object, time: u64) -> Vec<(&Operation, Value)> {
    let done = |operation: &&Operation| operation.outcome == Outcome::Ok && operation.completed < time;
    let last_write = |operation: &Operation| {
        operation.micro_ops.iter().rev().find_map(|micro_op| match micro_op {
            MicroOp::Append(_, value) | MicroOp::Write(_, value) if micro_op.object() == object => {
                Some(*value)
            }
            _ => None,
        })
    };
    history.iter().filter(done).filter_map(|operation| Some((operation, last_write(operation)?))).collect()
}

fn a_read(history: &[Operation], object: Object, random: &mut Random) -> Option<(usize, usize)> {
    let reads = sole_reads(history, object);
    if reads.is_empty() { None } else { Some(*random.pick(&reads)) }
}

/// Removes the end of a list that was read, from an append that had completed on.
fn forget_appends(history: &mut [Operation], random: &mut Random) -> bool {
    let object = Object::List(random.below(4) as Key);
    let Some((index, at)) = a_read(history, object, random) else { return false };
    let writes = completed_writes(history, object, history[index].invoked);
    if writes.is_empty() {
        return false;
    }
    let (_, forgotten) = *random.pick(&writes);
    let MicroOp::ReadList(_, values) = &mut history[index].micro_ops[at] else { return false };
    let length = values.iter().position(|value| *value == forgotten).unwrap();
    values.truncate(length);
    true
}

/// Replaces the value that a register had by one that was overwritten before.
fn return_older_value(history: &mut [Operation], random: &mut Random) -> bool {
    let object = Object::Register(random.below(4) as Key);
    let Some((index, at)) = a_read(history, object, random) else { return false };
    let writes = completed_writes(history, object, history[index].invoked);
    let older: Vec<Value> = writes
        .iter()
        .filter(|(write, _)| writes.iter().any(|(later, _)| write.completed < later.invoked))
        .map(|(_, value)| *value)
        .collect();
    if older.is_empty() {
        return false;
    }
    let MicroOp::ReadRegister(_, value) = &mut history[index].micro_ops[at] else { return false };
    *value = Some(*random.pick(&older));
    true
}

/// Swaps two elements of a list that another operation has read as well.
fn swap_elements(history: &mut [Operation], random: &mut Random) -> bool {
    let object = Object::List(random.below(4) as Key);
    let lengths: Vec<((usize, usize), usize)> = sole_reads(history, object)
        .into_iter()
        .map(|(index, at)| match &history[index].micro_ops[at] {
            MicroOp::ReadList(_, values) => ((index, at), values.len()),
            _ => unreachable!("a list is read as a list"),
        })
        .filter(|(_, length)| *length >= 2)
        .collect();
    let [((index, at), length), _, ..] = lengths[..] else { return false };
    let MicroOp::ReadList(_, values) = &mut history[index].micro_ops[at] else { return false };
    let first = random.below(length.min(lengths[1].1) - 1);
    values.swap(first, first + 1);
    true
}

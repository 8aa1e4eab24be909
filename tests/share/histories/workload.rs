//! Generated operations: what they access, and by which calls.

use std::ops::Range;

use super::operation::{Key, MicroOp, Object, Value};
use crate::random::Random;

/// What an operation is to do at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Append(Key, Value),
    ReadList(Key),
    Write(Key, Value),
    /// Writes, and reads the value before.
    Swap(Key, Value),
    ReadRegister(Key),
}

impl Step {
    fn any(random: &mut Random, keys: &Range<Key>, next_value: &mut dyn FnMut() -> Value) -> Self {
        let key = random_key(random, keys);
        match random.below(8) {
            0..3 => Self::Append(key, next_value()),
            3 => Self::Write(key, next_value()),
            4 => Self::Swap(key, next_value()),
            _ => Self::read(random, keys),
        }
    }

    fn read(random: &mut Random, keys: &Range<Key>) -> Self {
        let key = random_key(random, keys);
        if random.one_in(2) { Self::ReadList(key) } else { Self::ReadRegister(key) }
    }

    pub fn object(self) -> Object {
        match self {
            Self::Append(key, _) | Self::ReadList(key) => Object::List(key),
            Self::Write(key, _) | Self::Swap(key, _) | Self::ReadRegister(key) => Object::Register(key),
        }
    }

    pub fn key(self) -> Key {
        let (Object::List(key) | Object::Register(key)) = self.object();
        key
    }

    /// What the step writes.
    pub fn write(self) -> Option<MicroOp> {
        match self {
            Self::Append(key, value) => Some(MicroOp::Append(key, value)),
            Self::Write(key, value) | Self::Swap(key, value) => Some(MicroOp::Write(key, value)),
            Self::ReadList(_) | Self::ReadRegister(_) => None,
        }
    }
}

fn random_key(random: &mut Random, keys: &Range<Key>) -> Key {
    keys.start + random.below(keys.len()) as Key
}

/// By which calls an operation takes its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A call for its only step.
    Call,
    /// An atomic batch.
    Batch,
    /// An atomic batch whose last request fails.
    FailingBatch,
    /// Reads by pks.
    ReadMany,
    /// Reads by a select with a condition.
    Select,
    /// Reads by the stream of a select.
    Stream,
    /// A transaction with a call for each step.
    Transaction,
    /// A transaction whose steps but the first are in a nested one.
    NestedTransaction,
    /// A transaction that is rolled back.
    RolledBack,
    /// A read, then a write that requires that the record was not changed in between.
    Optimistic,
    /// A call for each step: not isolated.
    Separate,
    /// A read of a register, then a write to it, whatever has happened in between: not isolated.
    ReadThenUpdate,
    /// A batch that is not atomic and whose last request fails: it has an effect, though it failed.
    FailingLooseBatch,
}

/// The methods of operations that are isolated.
pub const ISOLATED: &[Method] = &[
    Method::Call,
    Method::Call,
    Method::Batch,
    Method::Batch,
    Method::FailingBatch,
    Method::ReadMany,
    Method::Select,
    Method::Stream,
    Method::Optimistic,
    Method::Transaction,
    Method::Transaction,
    Method::NestedTransaction,
    Method::RolledBack,
];

/// An operation to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub method: Method,
    pub steps: Vec<Step>,
}

impl Plan {
    /// A random operation on these keys, which are those of lists and of registers. `next_value` returns
    /// values that no other operation writes.
    pub fn generate(
        random: &mut Random,
        methods: &[Method],
        keys: Range<Key>,
        next_value: &mut dyn FnMut() -> Value,
    ) -> Self {
        let method = *random.pick(methods);
        let steps = match method {
            Method::Call => vec![Step::any(random, &keys, next_value)],
            Method::Batch
            | Method::FailingBatch
            | Method::Transaction
            | Method::NestedTransaction
            | Method::RolledBack
            | Method::Separate
            | Method::FailingLooseBatch => {
                (0..2 + random.below(2)).map(|_| Step::any(random, &keys, next_value)).collect()
            }
            Method::ReadMany | Method::Select | Method::Stream => {
                let steps: Vec<Step> = (0..2 + random.below(4)).map(|_| Step::read(random, &keys)).collect();
                // Each key once: a select returns a record once.
                let is_first = |(index, step): &(usize, &Step)| !steps[..*index].contains(step);
                steps.iter().enumerate().filter(is_first).map(|(_, step)| *step).collect()
            }
            Method::ReadThenUpdate => {
                let key = random_key(random, &keys);
                vec![Step::ReadRegister(key), Step::Write(key, next_value())]
            }
            Method::Optimistic => match Step::read(random, &keys) {
                Step::ReadList(key) => vec![Step::ReadList(key), Step::Append(key, next_value())],
                read => vec![read, Step::Write(read.key(), next_value())],
            },
        };
        Self { method, steps }
    }

    /// What the operation writes, in order.
    pub fn writes(&self) -> Vec<MicroOp> {
        self.steps.iter().filter_map(|step| step.write()).collect()
    }
}

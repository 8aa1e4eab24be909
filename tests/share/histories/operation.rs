//! The operations of a history, and their notation: a line each.
//!
//! ```text
//! 3  10..20  ok  append 1 5, list 1 [4 5], read 2 nil, write 2 7
//! ```
//!
//! is an operation of process 3 that was invoked at 10 and completed at 20. It appended 5 to list 1, read
//! list 1, read that register 2 had no value, and wrote 7 to it. Lists and registers have separate keys.

use std::fmt;
use std::str::FromStr;

pub type Key = u32;

/// A value that is appended or written. No two writes to one key have the same value.
pub type Value = u32;

/// What a micro-operation accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    List(Key),
    Register(Key),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(key) => write!(f, "list {key}"),
            Self::Register(key) => write!(f, "register {key}"),
        }
    }
}

/// One access of an operation to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MicroOp {
    Append(Key, Value),
    ReadList(Key, Vec<Value>),
    Write(Key, Value),
    ReadRegister(Key, Option<Value>),
}

/// What the process was told about its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Ok,
    /// It had no effect.
    Failed,
    /// It may have taken effect, or may still: its process was killed, or received no answer.
    Unknown,
}

/// A transaction: micro-operations that take effect at one moment, or not at all. What it has read counts
/// with any outcome, since a Mikobase shows no uncommitted state to a transaction that fails later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub process: u32,
    /// A time of a clock that all processes share, in nanoseconds, before the first call was sent.
    pub invoked: u64,
    /// The time after the last answer was received. Without meaning for an unknown outcome.
    pub completed: u64,
    pub outcome: Outcome,
    /// In the order in which they were executed.
    pub micro_ops: Vec<MicroOp>,
}

impl MicroOp {
    pub fn object(&self) -> Object {
        match self {
            Self::Append(key, _) | Self::ReadList(key, _) => Object::List(*key),
            Self::Write(key, _) | Self::ReadRegister(key, _) => Object::Register(*key),
        }
    }
}

impl fmt::Display for MicroOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(key, value) => write!(f, "append {key} {value}"),
            Self::Write(key, value) => write!(f, "write {key} {value}"),
            Self::ReadRegister(key, Some(value)) => write!(f, "read {key} {value}"),
            Self::ReadRegister(key, None) => write!(f, "read {key} nil"),
            Self::ReadList(key, values) => {
                write!(f, "list {key} [")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl FromStr for MicroOp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.splitn(3, ' ');
        let mut next = || words.next().ok_or_else(|| format!("incomplete: {text}"));
        let (name, key, operand) = (next()?, number(next()?)?, next()?);
        Ok(match name {
            "append" => Self::Append(key, number(operand)?),
            "write" => Self::Write(key, number(operand)?),
            "read" if operand == "nil" => Self::ReadRegister(key, None),
            "read" => Self::ReadRegister(key, Some(number(operand)?)),
            "list" => {
                let list = operand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let values = list.ok_or_else(|| format!("no list: {text}"))?;
                Self::ReadList(key, values.split_whitespace().map(number).collect::<Result<_, _>>()?)
            }
            _ => return Err(format!("unknown micro-operation: {text}")),
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}

/// Writes micro-operations with commas between them.
pub struct Joined<'o>(pub &'o [MicroOp]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, micro_op) in self.0.iter().enumerate() {
            write!(f, "{}{micro_op}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Reads micro-operations with commas between them.
pub fn parse_micro_ops(text: &str) -> Result<Vec<MicroOp>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, invoked, completed, outcome, micro_ops } = self;
        match outcome {
            Outcome::Ok => write!(f, "{process}  {invoked}..{completed}  ok  ")?,
            Outcome::Failed => write!(f, "{process}  {invoked}..{completed}  failed  ")?,
            Outcome::Unknown => write!(f, "{process}  {invoked}..  unknown  ")?,
        }
        Joined(micro_ops).fmt(f)
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let incomplete = || format!("incomplete: {line}");
        let (process, rest) = line.trim().split_once(' ').ok_or_else(incomplete)?;
        let (times, rest) = rest.trim_start().split_once(' ').ok_or_else(incomplete)?;
        let (invoked, completed) = times.split_once("..").ok_or_else(incomplete)?;
        let (outcome, micro_ops) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
        let outcome = match outcome {
            "ok" => Outcome::Ok,
            "failed" => Outcome::Failed,
            "unknown" => Outcome::Unknown,
            _ => return Err(format!("unknown outcome: {line}")),
        };
        let completed = if outcome == Outcome::Unknown { 0 } else { number(completed)? };
        let (process, invoked) = (number(process)?, number(invoked)?);
        Ok(Self { process, invoked, completed, outcome, micro_ops: parse_micro_ops(micro_ops)? })
    }
}

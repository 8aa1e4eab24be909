//! Records the operations of a process in a file, which survives the process.
//!
//! An operation is two lines: what it is to write, before it is invoked, and its outcome, after its
//! completion. An operation without the second line has an unknown outcome.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use super::operation::{Joined, MicroOp, Operation, Outcome, parse_micro_ops};
use crate::harness::Case;

pub const CASES: &[Case] =
    &[("a_file_of_a_process_that_was_killed_ends_with_an_unknown_outcome", killed_process)];

pub struct Recorder {
    file: File,
}

impl Recorder {
    /// The file is named after the process, whose number is unique in the history.
    pub fn create(folder: &Path, process: u32) -> io::Result<Self> {
        Ok(Self { file: File::create_new(folder.join(process.to_string()))? })
    }

    /// Records that an operation is invoked.
    pub fn invoke(&mut self, writes: &[MicroOp]) -> io::Result<()> {
        self.write(&format!("{} {}\n", now(), Joined(writes)))
    }

    /// Records that the operation is completed.
    pub fn complete(&mut self, outcome: Outcome, micro_ops: &[MicroOp]) -> io::Result<()> {
        let outcome = match outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        };
        self.write(&format!("{outcome} {} {}\n", now(), Joined(micro_ops)))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())
    }
}

/// The time of a clock that all processes share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Adds the operations that a process has recorded, if it has started.
pub fn read_history(folder: &Path, process: u32, history: &mut Vec<Operation>) {
    let Ok(text) = fs::read_to_string(folder.join(process.to_string())) else { return };
    // A process that was killed may have written a part of its last line.
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    for line in lines {
        let (first, rest) = line.split_once(' ').unwrap();
        if let Ok(invoked) = first.parse() {
            let (outcome, micro_ops) = (Outcome::Unknown, parse_micro_ops(rest).unwrap());
            history.push(Operation { process, invoked, completed: 0, outcome, micro_ops });
            continue;
        }
        let (completed, micro_ops) = rest.split_once(' ').unwrap();
        let operation = history.last_mut().unwrap();
        operation.completed = completed.parse().unwrap();
        operation.micro_ops = parse_micro_ops(micro_ops).unwrap();
        operation.outcome = match first {
            "ok" => Outcome::Ok,
            "failed" => Outcome::Failed,
            "unknown" => Outcome::Unknown,
            other => panic!("no outcome: {other}"),
        };
    }
}

/// The file of a process may end after any byte.
fn killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let append = |value| vec![MicroOp::Append(7, value)];
    let mut recorder = Recorder::create(folder.path(), 3).unwrap();
    for (value, outcome) in [(1, Outcome::Ok), (2, Outcome::Failed)] {
        recorder.invoke(&append(value)).unwrap();
        recorder.complete(outcome, &append(value)).unwrap();
    }
    let path = folder.path().join("3");
    let text = fs::read_to_string(&path).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end + 1).collect();
    for length in 0..=text.len() {
        fs::write(&path, &text[..length]).unwrap();
        let mut history = Vec::new();
        read_history(folder.path(), 3, &mut history);
        let lines = ends.iter().filter(|end| **end <= length).count();
        let expected = [
            vec![],
            vec![(1, Outcome::Unknown)],
            vec![(1, Outcome::Ok)],
            vec![(1, Outcome::Ok), (2, Outcome::Unknown)],
            vec![(1, Outcome::Ok), (2, Outcome::Failed)],
        ];
        let found: Vec<_> =
            history.iter().map(|operation| (operation.micro_ops.clone(), operation.outcome)).collect();
        let expected: Vec<_> =
            expected[lines].iter().map(|(value, outcome)| (append(*value), *outcome)).collect();
        assert_eq!(found, expected, "{length} of {} bytes", text.len());
    }
}

//! Workers perform operations on a shared Mikobase, and some are killed meanwhile. Their history is checked.

use std::fs;
use std::time::Duration;

use super::checker::check;
use super::crew::{CALLS_PER_STALL, Crew, FINAL_READS, WORKERS};
use super::operation::{Key, Operation, Outcome};
use super::recorder::read_history;
use super::violation::Anomaly;
use super::workload::{ISOLATED, Method};
use crate::harness::{Case, is_long};
use crate::random::{self, Random};

pub const CASES: &[Case] = &[
    ("a_history_in_memory_is_strictly_serializable", || sound("mikobase.uno/sqlite/memory", 1)),
    ("a_history_of_a_worldlet_is_strictly_serializable", || sound("mikobase.uno/worldlet", 1)),
    ("a_history_of_a_file_whose_server_is_killed_is_strictly_serializable", || sound("crew.db", 4)),
    ("a_history_of_a_worldlet_file_whose_server_is_killed_is_strictly_serializable", || {
        sound("crew.json", 4)
    }),
    ("a_history_with_calls_that_exceed_their_deadline_is_strictly_serializable", stalls),
    ("operations_in_several_calls_are_found_to_be_not_isolated", separate_calls),
    ("a_read_then_an_update_are_found_to_lose_updates", read_then_update),
    ("a_batch_that_is_not_atomic_is_found_to_be_seen_though_it_failed", loose_batch),
];

/// The number of operations of all workers on one set of keys.
const OPERATIONS_PER_KEYS: usize = 100;

/// The number of lists and of registers that are in use at once.
const KEYS_IN_USE: Key = 4;

/// Operations of workers on a Mikobase, which is shared once or several times.
struct Run {
    /// A backend URL, or the name of a file.
    backend: &'static str,
    methods: &'static [Method],
    operations: usize,
    /// The number of shares, one after another. The servers of all but the last are killed.
    shares: usize,
    kills_workers: bool,
    /// Whether the server stalls at times, for longer than the deadline of calls.
    stalls: bool,
}

fn sound(backend: &'static str, shares: usize) {
    // Together ten thousand. A worldlet file is written as a whole by each commit.
    let (few, many) = match backend {
        "crew.json" => (1_000, 200_000),
        "crew.db" => (2_000, 1_000_000),
        "mikobase.uno/worldlet" => (2_000, 1_000_000),
        _ => (5_000, 1_000_000),
    };
    let (operations, shares) = if is_long() { (many, 10 * shares - 9) } else { (few, shares) };
    let run = Run { backend, methods: ISOLATED, operations, shares, kills_workers: true, stalls: false };
    let history = run.record();
    let summary = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    let count = |outcome| history.iter().filter(|operation| operation.outcome == outcome).count();
    let (failed, unknown) = (count(Outcome::Failed), count(Outcome::Unknown));
    println!("{summary:?}, {failed} failed, {unknown} unknown");
    assert!(history.len() >= operations, "{} operations", history.len());
    // Kills come by time, operations by the speed of the machine.
    let killed = (operations / 2_000).min(50);
    assert!(failed > operations / 20 && unknown > killed, "{failed} failed, {unknown} unknown");
    assert!(summary.write_read > operations / 2 && summary.read_write > operations / 2, "{summary:?}");
}

/// The server does not answer at times, before or after it has run a call.
fn stalls() {
    let (backend, operations) = ("mikobase.uno/sqlite/memory", if is_long() { 100_000 } else { 2_000 });
    let run = Run { backend, methods: ISOLATED, operations, shares: 1, kills_workers: false, stalls: true };
    let history = run.record();
    check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    let unknown = history.iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
    assert!(unknown >= operations / CALLS_PER_STALL, "{unknown} unknown");
}

/// The anomaly that is found in the history of workers that are not isolated.
fn anomaly_of(methods: &'static [Method]) -> Anomaly {
    let backend = "mikobase.uno/sqlite/memory";
    let operations = 2_000;
    let run = Run { backend, methods, operations, shares: 1, kills_workers: false, stalls: false };
    let violation = check(&run.record()).unwrap_err();
    println!("{violation}");
    violation.anomaly
}

fn separate_calls() {
    use Anomaly::{
        CircularInformationFlow, DirtyWrite, FracturedRead, IntermediateRead, InternalInconsistency,
    };
    let anomaly = anomaly_of(&[Method::Separate]);
    let expected =
        [DirtyWrite, CircularInformationFlow, FracturedRead, InternalInconsistency, IntermediateRead];
    assert!(expected.contains(&anomaly), "{anomaly:?}");
}

fn read_then_update() {
    assert_eq!(anomaly_of(&[Method::ReadThenUpdate]), Anomaly::LostUpdate);
}

fn loose_batch() {
    assert_eq!(anomaly_of(&[Method::FailingLooseBatch, Method::ReadMany]), Anomaly::AbortedRead);
}

impl Run {
    /// Runs the workers. Returns their history, which ends with reads of all keys.
    fn record(&self) -> Vec<Operation> {
        // In memory, if possible: a killed process loses nothing that it has written, also without a disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let histories = folder.path().join("histories");
        fs::create_dir(&histories).unwrap();
        let mut random = Random::new(random::given_seed().unwrap_or_else(random::fresh_seed));
        let path = folder.path().join(self.backend);
        let is_file = !self.backend.contains('/');
        let (mut history, mut first_process, mut killed_servers) = (Vec::<Operation>::new(), 1, 0);
        for share in 0..self.shares {
            let is_last = share + 1 == self.shares;
            let done = history.len();
            let wanted =
                if is_last { self.operations.saturating_sub(done) } else { self.operations / self.shares };
            let crew = Crew {
                backend: if is_file { path.to_str().unwrap() } else { self.backend },
                methods: self.methods,
                keys: self.keys(),
                creates_keys: !is_file || !path.exists(),
                keys_in_use: KEYS_IN_USE,
                first_key: (done / OPERATIONS_PER_KEYS) as Key * KEYS_IN_USE,
                operations_per_keys: OPERATIONS_PER_KEYS,
                histories: &histories,
                seed: random.next(),
                first_process,
                // Without kills, all workers are connected before the server stalls, as a rule.
                operations_per_worker: (wanted / WORKERS / if self.kills_workers { 2 } else { 1 })
                    .clamp(1, 2_000),
                kills_workers: self.kills_workers,
                stalls: self.stalls,
            };
            let workers = crew.size(wanted);
            if is_last {
                crew.run_to_the_end(workers);
            } else {
                let delay = Duration::from_micros(random.below(400_000) as u64);
                killed_servers += usize::from(crew.run_until_killed(workers, delay));
            }
            let processes = first_process..first_process + workers as u32;
            first_process = processes.end;
            processes.for_each(|process| read_history(&histories, process, &mut history));
        }
        assert!(killed_servers > 0 || self.shares == 1, "no server was killed while it was used");
        read_history(&histories, FINAL_READS, &mut history);
        history
    }

    /// The number of lists and of registers. The operations of workers that are killed are made up for by
    /// others, which may use further keys.
    fn keys(&self) -> Key {
        (3 * self.operations / OPERATIONS_PER_KEYS / 2 + 2) as Key * KEYS_IN_USE
    }
}

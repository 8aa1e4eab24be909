//! Replicas and live queries beside twenty workers: whatever they have read, it was the state of the database
//! at that `seq`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::Poll;

use mikobase::prelude::*;
use mikobase::{Remote, Stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use serde_json::Value;

use crate::harness::Case;
use crate::random::Random;
use crate::support::Event;

pub const CASES: &[Case] = &[
    ("what_subscribers_have_read_was_the_state_at_every_seq_in_memory", || {
        at_every_seq("mikobase.uno/sqlite/memory")
    }),
    ("what_subscribers_have_read_was_the_state_at_every_seq_with_history", || {
        at_every_seq("mikobase.uno/sqlite/memory?temporal=true")
    }),
    ("what_subscribers_have_read_was_the_state_at_every_seq_in_a_file", || at_every_seq("counters.db")),
    ("what_subscribers_have_read_was_the_state_at_every_seq_in_a_worldlet_file", || {
        at_every_seq("counters.json")
    }),
];

const CLASS: &str = "a.b/counter";
/// A record of this class for each writer that is done.
const DONE: &str = "a.b/done";
const WORKERS: usize = 20;
const WRITERS: usize = 12;
const REPLICAS: usize = 4;
/// Those after them watch results, but for the last two, which are killed on the way.
const KILLED: usize = 2;

/// The values of `n` by pk.
type State = BTreeMap<String, i64>;

/// What a worker has read: the number of a transaction, what it has read, and a hash of that.
type Observed = Vec<(i64, Observer, u64)>;

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
enum Observer {
    Replica,
    /// The result of the select with this number.
    Select(usize),
}

/// The selects that are watched. The pk decides between equal ones, so that a state tells their order.
fn selects() -> [Value; 3] {
    let by_number = json!([["n", {"reverse": true}], [{"record": "pk"}]]);
    [
        json!({"action": "select", "class": CLASS, "sorts": by_number, "limit": 3}),
        json!({"action": "select", "class": CLASS, "sorts": by_number, "offset": 2, "limit": 5}),
        json!({"action": "select", "class": CLASS, "path": ["n", {"lt": 0}], "sort": [{"record": "pk"}]}),
    ]
}

/// The result of a select, as pks and values of `n`.
fn selected(state: &State, select: usize) -> Vec<(String, i64)> {
    let mut records: Vec<_> = state.iter().map(|(pk, n)| (pk.clone(), *n)).collect();
    if select == 2 {
        records.retain(|(_, n)| *n < 0);
        return records;
    }
    records.sort_by(|(pk, n), (other_pk, other)| other.cmp(n).then(pk.cmp(other_pk)));
    let (offset, limit) = [(0, 3), (2, 5)][select];
    records.into_iter().skip(offset).take(limit).collect()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn number(record: &Record) -> i64 {
    record.bucket.get("n").unwrap().unwrap().as_i64().unwrap()
}

/// Single writes, transactions that are committed, and such that are not.
fn write(db: &MikobaseClient, random: &mut Random) -> mikobase::Result<()> {
    let mut own: Vec<String> = Vec::new();
    for n in 0..25_i64 {
        match random.below(6) {
            0 | 1 => own.push(db.create(CLASS, &json!({"n": n}))?),
            2 if own.len() > 3 => drop(db.delete(&own.swap_remove(random.below(own.len())))?),
            3 => {
                let low = json!({"class": CLASS, "path": ["n", {"lt": random.below(20)}]});
                let edits = json!([{"path": ["n"], "increment": n - 20}]);
                db.q0(json!({"action": "edit", "where": low, "limit": 4, "edits": edits}))?;
            }
            4 => {
                let is_kept = random.one_in(2);
                let created = db.transaction(|tx: &Remote<dyn Transaction>| {
                    own.iter().try_for_each(|pk| tx.increment(pk, ["n"], 1).map(drop))?;
                    let created = [tx.create(CLASS, &json!({"n": -n}))?, tx.create(CLASS, &json!({"n": n}))?];
                    if is_kept {
                        tx.commit()?
                    }
                    Ok(created)
                })?;
                own.extend(created.into_iter().filter(|_| is_kept));
            }
            _ => own.iter().try_for_each(|pk| db.increment(pk, ["n"], 1).map(drop))?,
        }
    }
    Ok(())
}

fn all_writers_are_done(db: &MikobaseClient) -> mikobase::Result<bool> {
    Ok(db.by_class(DONE)?.into_iter().count() == WRITERS)
}

/// A replica that follows the changes, and goes on after what it has missed.
struct Replica {
    changes: Stream<Change>,
    state: State,
    /// The state after the last whole transaction, and its number.
    whole: Option<(i64, State)>,
}

impl Replica {
    fn begin(db: &MikobaseClient) -> mikobase::Result<Self> {
        let changes = db.changes(CLASS.into(), ChangeOptions::snapshot())?;
        Ok(Self { changes, state: State::new(), whole: None })
    }

    /// Goes on after the last whole transaction, on a new stream.
    fn resume(&mut self, db: &MikobaseClient) -> mikobase::Result<()> {
        match &self.whole {
            None => *self = Self::begin(db)?,
            Some((seq, state)) => {
                self.changes = db.changes(CLASS.into(), ChangeOptions::after(*seq).leaving())?;
                self.state = state.clone();
            }
        }
        Ok(())
    }

    /// Reads what has arrived, and calls `each` after each transaction.
    fn read(&mut self, db: &MikobaseClient, mut each: impl FnMut(i64, &State)) -> mikobase::Result<()> {
        while let Poll::Ready(change) = self.changes.try_recv() {
            let change = match change.expect("the share runs") {
                Err(error) if error.is(ErrorId::LAGGED) => {
                    self.resume(db)?;
                    continue;
                }
                change => change?,
            };
            match &change.record {
                Some(record) => drop(self.state.insert(change.pk, number(record))),
                None => drop(self.state.remove(&change.pk)),
            }
            if change.last {
                each(change.seq, &self.state);
                self.whole = Some((change.seq, self.state.clone()));
            }
        }
        Ok(())
    }
}

/// Follows the changes of all records; comes, goes, and resumes.
fn follow(db: &MikobaseClient, random: &mut Random) -> mikobase::Result<Observed> {
    let mut observed = Vec::new();
    let mut replica = Replica::begin(db)?;
    loop {
        let is_end = all_writers_are_done(db)?;
        replica.read(db, |seq, state| observed.push((seq, Observer::Replica, hash(state))))?;
        if is_end {
            return Ok(observed);
        }
        match random.below(20) {
            0 => replica = Replica::begin(db)?,
            1 | 2 => replica.resume(db)?,
            // It reads nothing while the others go on.
            3 => (0..100).try_for_each(|_| db.record_by_pk("none").map(drop))?,
            _ => {}
        }
    }
}

/// Watches the result of each select.
fn watch(db: &MikobaseClient, random: &mut Random) -> mikobase::Result<Observed> {
    let mut observed = Vec::new();
    let begin = |select: usize| db.watch(selects()[select].clone());
    let mut queries = (0..selects().len()).map(begin).collect::<mikobase::Result<Vec<_>>>()?;
    loop {
        let is_end = all_writers_are_done(db)?;
        for (select, query) in queries.iter_mut().enumerate() {
            while let Poll::Ready(step) = query.try_recv() {
                step.expect("the share runs")?;
                let result: Vec<_> = query.records().iter().map(|r| (r.pk.clone(), number(r))).collect();
                observed.push((query.seq(), Observer::Select(select), hash(&result)));
            }
        }
        if is_end {
            return Ok(observed);
        }
        match random.below(20) {
            0 => {
                let select = random.below(queries.len());
                queries[select] = begin(select)?;
            }
            1 => (0..100).try_for_each(|_| db.record_by_pk("none").map(drop))?,
            _ => {}
        }
    }
}

/// Subscribes, and is killed in its first run with all that it has subscribed to.
fn be_killed(db: &MikobaseClient, run: usize) -> mikobase::Result<Observed> {
    let mut replica = Replica::begin(db)?;
    let _query = db.watch(selects()[1].clone())?;
    let _asleep = db.listen(CLASS)?;
    while replica.state.len() < 30 && !all_writers_are_done(db)? {
        replica.read(db, |_, _| {})?;
    }
    if run == 0 {
        kill(getpid(), Signal::SIGKILL).expect("it can kill itself");
    }
    Ok(Observed::new())
}

/// `backend` is a URL, or the name of a file.
fn at_every_seq(backend: &str) {
    let seed = crate::random::given_seed().unwrap_or_else(crate::random::fresh_seed);
    let seeds = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(backend);
    let backend = if backend.contains('/') { backend } else { file.to_str().unwrap() };
    let uds = Uds::new().unwrap().backend(backend).unwrap();
    let begin = Event::new();
    // A queue that is small enough to be too small at times.
    let uds = uds.change_queue(20_000).restart(KILLED);
    let share = uds
        .spawn(WORKERS, |db, worker| {
            let mut random = Random::quiet(seeds.clone().next().wrapping_add(worker.index() as u64));
            let index = worker.index();
            if index < WRITERS {
                begin.wait();
                let written = write(db, &mut random);
                // The others end also if it has failed.
                db.create(DONE, &json!({}))?;
                return Ok(written.map(|()| Observed::new())?);
            }
            Ok(match index - WRITERS {
                replica if replica < REPLICAS => follow(db, &mut random)?,
                _ if index < WORKERS - KILLED => watch(db, &mut random)?,
                _ => be_killed(db, worker.run())?,
            })
        })
        .unwrap();
    let db = share.db().unwrap();
    let mut replica = Replica::begin(db).unwrap();
    let mut states = BTreeMap::new();
    (0..WRITERS).for_each(|_| begin.notify());
    loop {
        let is_end = all_writers_are_done(db).unwrap();
        replica.read(db, |seq, state| drop(states.insert(seq, state.clone()))).unwrap();
        if is_end {
            break;
        }
    }
    let present = db.by_class(CLASS).unwrap().into_iter().map(|record| (record.pk.clone(), number(&record)));
    assert_eq!(replica.state, present.collect::<State>());
    drop(replica);
    let report = share.join().unwrap();
    let failed: Vec<_> = report.last_runs().filter_map(|run| run.outcome.fault()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(report.workers().len(), WORKERS + KILLED, "each of those was killed once");
    let observed: Observed =
        report.last_runs().flat_map(|run| run.returned().unwrap_or(&Vec::new()).clone()).collect();
    assert!(observed.len() > 100, "{}", observed.len());
    for (seq, observer, hashed) in observed {
        // What was read before the first transaction has the number of an earlier one.
        let state = states.range(..=seq).next_back().map_or_else(State::new, |(_, state)| state.clone());
        let expected = match observer {
            Observer::Replica => hash(&state),
            Observer::Select(select) => hash(&selected(&state, select)),
        };
        assert_eq!(hashed, expected, "{observer:?} at {seq}");
    }
}

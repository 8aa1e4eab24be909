//! A property test runs sequences of calls and groups of calls. Some calls fail or panic, and storage fails
//! at times. The test compares the store with a model: the store has exactly the writes of the calls that
//! were answered. The other tests are single cases of groups, deferred commits, a full store, and
//! transactions of callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Gate, GateMode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::commit::Commit;
use crate::engine::store::Store;
use crate::engine::store::transaction::user_transaction::TransactionId;
use crate::mode::Mode;
use crate::query;
use crate::record::Record;
use crate::response::{Response, Results};
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::naive::{InjectedFailure, NaiveStorage};
use crate::storage::row::State;
use crate::storage::sqlite::Sqlite;

/// A call: it inserts rows, updates rows that are there, and ends.
#[derive(Debug, Clone)]
struct Call {
    sharing: CommitSharing,
    /// The number of rows that the call inserts.
    rows: usize,
    /// Each number chooses a row to update.
    updates: Vec<usize>,
    end: CallEnd,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CallEnd {
    Answer,
    Error,
    Panic,
}

#[derive(Debug, Clone)]
enum Step {
    Call(Call),
    /// `panics` is whether the group is abandoned after its calls, as by a panic.
    Group {
        calls: Vec<GroupCall>,
        panics: bool,
    },
}

#[derive(Debug, Clone)]
enum GroupCall {
    Write(Call),
    /// Opens a stream, which commits the writes of the group so far.
    Stream,
    /// A read that fails so that storage rolls back the transaction.
    FailedRead,
}

/// A sequence of steps.
#[derive(Debug, Clone)]
struct Scenario {
    may_defer_commit: bool,
    /// Each step has the failures of storage that happen during it: one item for each `apply`, and whether
    /// each `commit` fails. Further calls of both succeed.
    steps: Vec<(Step, Vec<Option<InjectedFailure>>, Vec<bool>)>,
}

fn call() -> impl Strategy<Value = Call> {
    let sharing = prop_oneof![
        3 => Just(CommitSharing::Deferrable),
        3 => Just(CommitSharing::Groupable),
        1 => Just(CommitSharing::Separate),
    ];
    let end = prop_oneof![4 => Just(CallEnd::Answer), 1 => Just(CallEnd::Error), 1 => Just(CallEnd::Panic)];
    let updates = prop::collection::vec(any::<usize>(), 0..3);
    (sharing, 0..3_usize, updates, end).prop_map(|(sharing, rows, updates, end)| Call {
        sharing,
        rows,
        updates,
        end,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let group_call = prop_oneof![
        6 => call().prop_map(GroupCall::Write), 1 => Just(GroupCall::Stream), 1 => Just(GroupCall::FailedRead)
    ];
    prop_oneof![
        2 => call().prop_map(Step::Call),
        1 => (prop::collection::vec(group_call, 0..6), prop::bool::weighted(0.1))
            .prop_map(|(calls, panics)| Step::Group { calls, panics }),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let failure = prop_oneof![
        6 => Just(None),
        1 => Just(Some(InjectedFailure::Incomplete)),
        1 => Just(Some(InjectedFailure::RolledBack)),
    ];
    let apply_failures = prop::collection::vec(failure, 0..12);
    let commit_failures = prop::collection::vec(prop::bool::weighted(0.3), 0..6);
    let steps = prop::collection::vec((step(), apply_failures, commit_failures), 1..12);
    (any::<bool>(), steps).prop_map(|(may_defer_commit, mut steps)| {
        for (step, apply_failures, commit_failures) in &mut steps {
            // With deferred commits, the store aborts the process if storage loses its transaction, if a
            // commit fails, or if `apply` fails again while a write is undone. So these failures are left
            // out.
            if may_defer_commit {
                apply_failures.retain(|failure| !matches!(failure, Some(InjectedFailure::RolledBack)));
                apply_failures.truncate(1);
                commit_failures.clear();
            }
            // If a group panics, no failures are injected: the model does not know which writes would then be
            // undone.
            if let Step::Group { panics: true, calls } = step {
                apply_failures.clear();
                commit_failures.clear();
                calls.retain(|call| !matches!(call, GroupCall::FailedRead));
            }
        }
        Scenario { may_defer_commit, steps }
    })
}

/// A write of one row by a call.
#[derive(Debug, Clone)]
enum Written {
    Inserted(String),
    Updated(String),
}

/// The store, and the model of what the store must have.
struct Run {
    store: Store<NaiveStorage>,
    /// The writes of each call that was answered.
    answered: Vec<Vec<Written>>,
    /// All pks that calls have inserted, answered or not.
    inserted: Vec<String>,
    /// The number of calls so far.
    calls: usize,
}

impl Run {
    fn new(may_defer_commit: bool) -> Self {
        let is_temporal = false;
        let mut storage = NaiveStorage::new(is_temporal);
        storage.may_defer_commit = may_defer_commit;
        let mut store = Store::on(storage, Mode::ReadWrite).unwrap();
        store.observe_commits();
        Self { store, answered: Vec::new(), inserted: Vec::new(), calls: 0 }
    }

    /// Makes a call. Returns what it has written, if it was answered.
    fn call(&mut self, call: &Call) -> Option<Vec<Written>> {
        self.calls += 1;
        // As when the store is locked for a call: after a failed read, the writes of the group are applied
        // again.
        self.store.restore_group();
        // The rows that the call can see. These reads fill the record cache, also with states that are lost
        // if the group fails later.
        let visible: Vec<String> =
            self.inserted.iter().filter(|pk| self.store.record(pk).unwrap().is_some()).cloned().collect();
        let pks = (0..call.rows).map(|row| format!("call {} row {row}", self.calls));
        let mut writes: Vec<Written> = pks.map(Written::Inserted).collect();
        let updated =
            call.updates.iter().filter_map(|choice| visible.get(choice.checked_rem(visible.len())?).cloned());
        writes.extend(updated.map(Written::Updated));
        let number = self.calls;
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.store.write(call.sharing, |store| {
                writes.iter().try_for_each(|written| match written {
                    Written::Inserted(pk) => insert(store, pk),
                    Written::Updated(pk) => update(store, pk, number),
                })?;
                match call.end {
                    CallEnd::Answer => Ok(()),
                    CallEnd::Error => Err(Error::new(ErrorId::INTERNAL, "this call fails")),
                    CallEnd::Panic => panic!("this call panics"),
                }
            })
        }));
        let inserted = writes.iter().filter_map(|written| match written {
            Written::Inserted(pk) => Some(pk.clone()),
            Written::Updated(_) => None,
        });
        self.inserted.extend(inserted);
        matches!(done, Ok(Ok(()))).then_some(writes)
    }

    /// Checks that reads by pk, which may come from the record cache, return what storage has.
    fn check_reads(&self) {
        for pk in &self.inserted {
            let stored = self.store.storage.find(pk).unwrap();
            assert_eq!(self.store.find(pk).unwrap(), stored);
            let stored_record = stored.and_then(|(_, row)| row.view().map(Record::from));
            assert_eq!(self.store.record(pk).unwrap(), stored_record);
        }
    }

    fn group(&mut self, calls: &[GroupCall], panics: bool) {
        assert!(self.store.begin_group());
        let mut answers = Vec::new();
        // The number of calls whose writes stay if the group panics. A stream or a separate write commits all
        // calls before it. A separate write also commits itself.
        let mut committed = 0;
        for (index, call) in calls.iter().enumerate() {
            self.store.begin_call(index);
            if let GroupCall::Stream | GroupCall::Write(Call { sharing: CommitSharing::Separate, .. }) = call
            {
                committed = index;
            }
            answers.push(match call {
                GroupCall::Write(call) => self.call(call).unwrap_or_default(),
                GroupCall::Stream => {
                    let _ = self.store.transaction.commit_group_so_far(&mut self.store.storage);
                    Vec::new()
                }
                GroupCall::FailedRead => {
                    // The effect of such a read on storage.
                    self.store.storage.roll_back();
                    Vec::new()
                }
            });
            if let GroupCall::Write(Call { sharing: CommitSharing::Separate, .. }) = call {
                committed = index + 1;
            }
        }
        if panics {
            self.store.abandon_group();
            answers.truncate(committed);
        } else if let Err(failure) = self.store.end_group() {
            assert!(failure.error.is(ErrorId::STORAGE_FULL), "{failure:?}");
            answers.truncate(failure.call);
        }
        self.answered.extend(answers.into_iter().filter(|writes| !writes.is_empty()));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(call) => {
                let answer = self.call(call);
                self.answered.extend(answer.filter(|writes| !writes.is_empty()));
            }
            Step::Group { calls, panics } => self.group(calls, *panics),
        }
    }

    /// The rows that the store must have, in order of their numbers.
    fn expected_rows(&self) -> Vec<(RowId, CommitSeq, String)> {
        let mut rows: Vec<(RowId, CommitSeq, String)> = Vec::new();
        let mut commit = CommitSeq::default();
        for written in self.answered.iter().flatten() {
            commit = commit.next();
            match written {
                Written::Inserted(pk) => {
                    let last = rows.last().map_or(RowId::default(), |(id, ..)| *id);
                    rows.push((last.next(), commit, pk.clone()));
                }
                Written::Updated(updated) => {
                    rows.iter_mut().filter(|(.., pk)| pk == updated).for_each(|row| row.1 = commit);
                }
            }
        }
        rows
    }

    /// The pks that each answered call has changed.
    fn expected_changes(&self) -> Vec<Vec<String>> {
        let distinct = |writes: &Vec<Written>| {
            let mut pks: Vec<String> = Vec::new();
            for Written::Inserted(pk) | Written::Updated(pk) in writes {
                if !pks.contains(pk) {
                    pks.push(pk.clone());
                }
            }
            pks
        };
        self.answered.iter().map(distinct).collect()
    }

    /// The rows that the store has, in order of their numbers.
    fn rows(&self) -> Vec<(RowId, CommitSeq, String)> {
        let mut rows = Vec::new();
        let mut last = RowId::default();
        while let Some((id, row)) = self.store.storage.next_row(last, CommitSeq::default()).unwrap() {
            last = id;
            rows.push((id, row.commit, row.pk));
        }
        rows
    }
}

/// Updates the row with this pk as a part of the running write.
fn update<T: Storage>(store: &mut Store<T>, pk: &str, number: usize) -> Result<()> {
    let request = json!({"action": "update", "pk": pk, "bucket": {"call": number}});
    store.run_in_transaction(query::parse(request)?.0).map(drop)
}

/// Inserts a row with this pk as a part of the running write.
fn insert<T: Storage>(store: &mut Store<T>, pk: &str) -> Result<()> {
    let mut write = WriteSet::default();
    let state = State { bucket: "{}".to_owned(), stack: "{}".to_owned(), extras: None };
    store.stage_insert(Some(pk.to_owned()), state, &mut write)?;
    store.apply(write).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_store_has_the_writes_of_answered_calls(scenario in scenario()) {
        let mut run = Run::new(scenario.may_defer_commit);
        let mut observed: Vec<Vec<String>> = Vec::new();
        for (step, apply_failures, commit_failures) in &scenario.steps {
            run.store.storage.apply_failures = apply_failures.iter().copied().collect();
            run.store.storage.commit_failures = commit_failures.iter().copied().collect();
            run.step(step);
            run.store.storage.apply_failures.clear();
            run.store.storage.commit_failures.clear();
            prop_assert_eq!(run.rows(), run.expected_rows(), "after {:?}", step);
            run.check_reads();
            let pks = |commit: Commit| commit.changes.into_iter().map(|change| change.pk).collect();
            observed.extend(run.store.take_commits().into_iter().map(pks));
            prop_assert_eq!(&observed, &run.expected_changes(), "after {:?}", step);
        }
    }
}

#[test]
fn a_call_that_is_lost_in_part_says_how_many_of_its_writes_are_committed() {
    struct Case {
        /// The number of writes of each call.
        writes: &'static [usize],
        /// Whether the first write of a call is committed at once, as by a stream.
        commits_first: bool,
        /// Which commits fail at the end: the commit of the group, then the commits of the writes one by one.
        commit_failures: &'static [bool],
        /// The first call that is expected to fail.
        lost: usize,
        /// How many writes of that call are expected to be committed; `None` if none: the error then has no
        /// detail `committed`.
        committed: Option<usize>,
    }
    let cases = [
        Case {
            writes: &[1, 3],
            commits_first: false,
            commit_failures: &[true, false, false, false, true],
            lost: 1,
            committed: Some(2),
        },
        Case {
            writes: &[1, 3],
            commits_first: false,
            commit_failures: &[true, false, true],
            lost: 1,
            committed: None,
        },
        Case {
            writes: &[2, 0],
            commits_first: true,
            commit_failures: &[true, true],
            lost: 0,
            committed: Some(1),
        },
    ];
    for Case { writes, commits_first, commit_failures, lost, committed } in cases {
        let mut run = Run::new(false);
        assert!(run.store.begin_group());
        for (call, count) in writes.iter().enumerate() {
            run.store.begin_call(call);
            for write in 0..*count {
                run.call(&Call {
                    sharing: CommitSharing::Groupable,
                    rows: 1,
                    updates: Vec::new(),
                    end: CallEnd::Answer,
                })
                .unwrap();
                if commits_first && write == 0 {
                    run.store.transaction.commit_group_so_far(&mut run.store.storage).unwrap();
                }
            }
        }
        run.store.storage.commit_failures = commit_failures.iter().copied().collect();
        let failure = run.store.end_group().unwrap_err();
        assert_eq!(failure.call, lost);
        let detail = failure.error.items()[0].details.get("committed");
        assert_eq!(detail.cloned(), committed.map(Value::from), "{writes:?}");
    }
}

fn create(store: &mut Store<Sqlite>, bucket: Value) -> Result<Results> {
    store.run(query::parse(json!({"action": "create", "class": "a.b/ship", "bucket": bucket}))?.0)
}

/// A store of ships: they have a unique name, an indexed type and a home.
fn fleet() -> Store<Sqlite> {
    let is_temporal = false;
    let mut store = Store::on(Sqlite::in_memory(is_temporal).unwrap(), Mode::ReadWrite).unwrap();
    let ship = json!({"fields": {
        "name": {"class": "string", "unique": true},
        "type": {"class": "string", "index": true},
        "home": {"class": "puck.uno/reference"},
    }});
    let schema = json!({"classes": {"a.b/ship": ship}});
    store.write(CommitSharing::Separate, |store| store.import_schema(schema)).unwrap();
    store
}

#[test]
fn a_failed_create_leaves_nothing_and_the_creates_whose_commit_was_deferred_stay() {
    let mut store = fleet();
    create(&mut store, json!({"name": "Defiant", "type": "escort"})).unwrap();
    let before = store.storage.counts();
    for (bucket, expected) in [
        (json!({"name": "Defiant", "type": "escort"}), ErrorId::UNIQUE_VIOLATION),
        (json!({"name": "Voyager", "type": "escort", "home": "nowhere"}), ErrorId::REFERENCE_NOT_FOUND),
    ] {
        let error = create(&mut store, bucket).unwrap_err();
        assert!(error.is(expected), "{error}");
        assert_eq!(store.storage.counts(), before);
    }
    create(&mut store, json!({"name": "Voyager"})).unwrap();
    assert!(store.storage.in_transaction(), "the commit is deferred");
}

fn create_many(store: &mut Store<Sqlite>, buckets: Vec<Value>) -> Result<Vec<String>> {
    store.create_many("a.b/ship", buckets.into_iter().map(Into::into).collect())
}

#[test]
fn failed_creates_of_one_call_leave_nothing_when_the_commit_is_deferred() {
    let mut store = fleet();
    create(&mut store, json!({"name": "Defiant", "type": "escort"})).unwrap();
    let before = store.storage.counts();
    let voyager = json!({"name": "Voyager", "type": "escort"});
    for (refused, expected) in [
        (json!({"name": "Defiant"}), ErrorId::UNIQUE_VIOLATION),
        (json!({"name": "Voyager"}), ErrorId::UNIQUE_VIOLATION),
        (json!({"name": "Sao Paulo", "home": "nowhere"}), ErrorId::REFERENCE_NOT_FOUND),
        (json!("no object"), ErrorId::INVALID_REQUEST),
    ] {
        let error = create_many(&mut store, vec![voyager.clone(), refused]).unwrap_err();
        assert!(error.is(expected), "{error}");
        assert_eq!(store.storage.counts(), before);
    }
    create_many(&mut store, vec![voyager, json!({"name": "Sao Paulo"})]).unwrap();
    assert!(store.storage.in_transaction(), "the commit is deferred");
    // The first create, and five calls of two creates each: calls that have failed count, too.
    assert!(matches!(store.transaction.scope, OpenScope::Deferred { writes: 11, .. }));
}

#[test]
fn deferred_writes_are_committed_when_they_reach_the_limit() {
    let mut store = fleet();
    for number in 0..=MIN_DEFERRED_LIMIT {
        create(&mut store, json!({"name": number.to_string()})).unwrap();
    }
    assert!(matches!(store.transaction.scope, OpenScope::Deferred { writes: 1, .. }));
}

#[test]
fn a_deferred_write_counts_once_more_for_each_page_of_its_records_also_if_it_fails() {
    let mut store = fleet();
    let created = create(&mut store, json!({"name": "x".repeat(3 * PAGE_SIZE)})).unwrap();
    let pk = Response::from(created).into_pk().unwrap();
    let counted = |store: &Store<Sqlite>| match store.transaction.scope {
        OpenScope::Deferred { writes, .. } => writes,
        _ => panic!("the writes of one record are deferred"),
    };
    for (field, value, is_valid) in
        [("type", "a", true), ("home", "no record has this pk", false), ("type", "b", true)]
    {
        let before = counted(&store);
        let edits = json!([{"path": [field], "set": value}]);
        let edit = query::parse(json!({"action": "edit", "pk": pk, "edits": edits})).unwrap().0;
        assert_eq!(store.run(edit).is_ok(), is_valid);
        // 1 for the write, and the three pages of the record before the edit and after it.
        assert_eq!(counted(&store) - before, 1 + 2 * 3, "{field}");
    }
}

#[test]
fn a_write_to_a_full_store_fails_and_changes_nothing() {
    let mut store = fleet();
    store.storage.limit_free_pages(2);
    let before = store.storage.counts();
    let error = store
        .write(CommitSharing::Groupable, |store| {
            (0..1000).try_for_each(|number| insert(store, &format!("{number}")))
        })
        .unwrap_err();
    assert!(error.is(ErrorId::STORAGE_FULL), "{error}");
    assert_eq!(store.storage.counts(), before);
}

/// Begins a transaction of a caller.
fn begin(store: &mut Store<Sqlite>) -> TransactionId {
    let id = store.add_transaction(None).unwrap();
    open(store, id);
    id
}

/// Opens a transaction, which has its turn to write at once.
fn open<T: Storage>(store: &mut Store<T>, id: TransactionId) {
    let turn = Gate::new().enter(GateMode::Exclusive, Duration::ZERO).unwrap();
    store.open_transaction(id, turn).unwrap();
}

/// Storage may lose a transaction also before the first write: an error in a read can end it.
#[test]
fn the_first_write_of_a_transaction_begins_one_in_storage_also_after_a_loss() {
    let mut store = fleet();
    let id = begin(&mut store);
    // This failed write begins a transaction in storage and leaves nothing in it. Storage then loses that
    // transaction.
    let missing = query::parse(json!({"action": "delete", "pk": "nobody"})).unwrap().0;
    store.run(missing).unwrap_err();
    store.storage.roll_back();
    store.resume_transaction(id).unwrap();
    create(&mut store, json!({"name": "Defiant"})).unwrap();
    assert!(store.storage.in_transaction());
    let written = store.storage.counts();
    store.storage.roll_back();
    store.resume_transaction(id).unwrap();
    assert_eq!(store.storage.counts(), written, "the writes of the transaction were replayed");
    let numbers_before = store.last.get();
    store.roll_back_transaction(id);
    assert_ne!(store.storage.counts(), written);
    assert_ne!(store.last.get(), numbers_before, "the numbers of rows are given back");
    create(&mut store, json!({"name": "Defiant"})).unwrap();
}

#[test]
fn records_that_a_transaction_has_changed_are_cached_if_it_is_committed_and_not_if_its_commit_fails() {
    let mut run = Run::new(false);
    let written =
        Call { sharing: CommitSharing::Groupable, rows: 1, updates: Vec::new(), end: CallEnd::Answer };
    run.call(&written).unwrap();
    let pk = run.inserted[0].clone();
    let id = run.store.add_transaction(None).unwrap();
    for (number, fails) in [(1, false), (2, true), (3, false)] {
        let before = run.store.record(&pk).unwrap();
        open(&mut run.store, id);
        for step in 0..2 {
            let sharing = CommitSharing::Groupable;
            run.store.write(sharing, |store| update(store, &pk, 10 * number + step)).unwrap();
        }
        run.store.storage.commit_failures = [fails].into();
        assert_eq!(run.store.commit_transaction(id).is_err(), fails);
        assert_eq!(run.store.record_cache.get(&pk, |_| ()).is_some(), !fails);
        run.check_reads();
        assert_eq!(run.store.record(&pk).unwrap() == before, fails);
    }
}

#[test]
fn a_write_that_finds_its_transaction_lost_by_storage_applies_the_earlier_writes_first() {
    let mut store = fleet();
    begin(&mut store);
    let records = |store: &Store<Sqlite>| store.storage.counts()[0];
    let before = records(&store);
    create(&mut store, json!({"name": "Defiant"})).unwrap();
    // As an error of a read at the beginning of the next call would do.
    store.storage.roll_back();
    create(&mut store, json!({"name": "Voyager"})).unwrap();
    assert_eq!(records(&store), before + 2);
}

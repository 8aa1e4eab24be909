//! Live queries: the result of a select that is kept up to date, step by step.

use std::task::Poll;

use miko_core::{
    ErrorId, LiveQuery, Mikobase, MikobaseExt, Record, ResultChange, ResultChangeKind, Transaction,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::support::{Local, cases, db};

const CLASS: &str = "a.b/thing";
const OTHER: &str = "a.b/other";

fn create(db: &Local, n: i64) -> String {
    db.create(CLASS, &json!({"n": n})).unwrap()
}

/// The three records with the largest `n`.
pub(crate) fn largest() -> Value {
    json!({"class": CLASS, "sort": ["n", {"reverse": true}], "limit": 3})
}

/// The values of `n` in a result.
pub(crate) fn numbers(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.bucket.get("n").unwrap().unwrap().as_i64().unwrap()).collect()
}

/// The next step as kind, pk, `from` and `index`.
fn step(query: &mut LiveQuery) -> Vec<(ResultChangeKind, String, Option<u64>, Option<u64>)> {
    let step = query.recv().unwrap().unwrap();
    assert_eq!(step.iter().filter(|change| change.last).count(), 1);
    assert!(step.iter().all(|change| change.seq == query.seq()));
    step.into_iter().map(|change| (change.kind, change.pk, change.from, change.index)).collect()
}

#[test]
fn a_step_lists_the_records_that_enter_leave_move_and_change() {
    use ResultChangeKind::{Change, Enter, Leave, Move};
    let db = db();
    let [five, three, one] = [5, 3, 1].map(|n| create(&db, n));
    let mut query = db.watch(largest()).unwrap();
    assert_eq!(numbers(query.records()), [5, 3, 1]);

    let four = create(&db, 4);
    assert_eq!(step(&mut query), [(Leave, one.clone(), Some(2), None), (Enter, four.clone(), None, Some(1))]);
    assert_eq!(numbers(query.records()), [5, 4, 3]);

    db.patch(&three, &json!({"n": 6})).unwrap();
    assert_eq!(step(&mut query), [(Move, three.clone(), Some(2), Some(0))]);

    db.patch(&four, &json!({"n": 4, "note": "x"})).unwrap();
    assert_eq!(step(&mut query), [(Change, four.clone(), Some(2), Some(2))]);
    assert_eq!(query.records()[2].bucket.get("note").unwrap(), Some(json!("x")));

    db.delete(&five).unwrap();
    assert_eq!(step(&mut query), [(Leave, five, Some(1), None), (Enter, one.clone(), None, Some(2))]);

    // A record beyond the limit is not reported.
    create(&db, 0);
    db.patch(&one, &json!({"n": 7})).unwrap();
    assert_eq!(step(&mut query), [(Move, one, Some(2), Some(0))]);
    assert_eq!(numbers(query.records()), [7, 6, 4]);
    assert!(query.try_recv().is_pending());
}

#[test]
fn a_committed_transaction_is_one_step_and_a_rolled_back_one_is_none() {
    let db = db();
    let mut query = db.watch(largest()).unwrap();
    db.transaction(|tx| {
        (0..5).for_each(|n| drop(tx.create(CLASS, &json!({"n": n})).unwrap()));
        assert!(query.try_recv().is_pending());
        tx.commit()?;
        tx.create(CLASS, &json!({"n": 100}))?;
        Ok(())
    })
    .unwrap();
    assert_eq!(step(&mut query).len(), 3);
    assert_eq!(numbers(query.records()), [4, 3, 2]);
    assert!(query.try_recv().is_pending());
}

#[test]
fn a_live_query_begins_with_its_result_and_marks_its_end() {
    let db = db();
    let kinds = |select: Value, count| -> Vec<_> {
        let changes = db.watch_select(select).unwrap();
        changes.take(count).map(|change| change.unwrap()).map(|change| (change.kind, change.index)).collect()
    };
    let select = json!({"action": "select", "class": CLASS, "offset": 1});
    assert_eq!(kinds(select.clone(), 1), [(ResultChangeKind::Synced, None)]);
    (0..3).for_each(|n| drop(create(&db, n)));
    let present = |index| (ResultChangeKind::Present, Some(index));
    assert_eq!(kinds(select, 3), [present(0), present(1), (ResultChangeKind::Synced, None)]);
}

#[test]
fn a_redefined_class_changes_the_result() {
    let db = db();
    let define = |parents: Value| {
        let classes =
            json!({CLASS: {"misc_fields": true}, OTHER: {"misc_fields": true, "inherits": parents}});
        db.import_schema(json!({ "classes": classes })).unwrap();
    };
    define(json!([]));
    let other = db.create(OTHER, &json!({"n": 1})).unwrap();
    let mut query = db.watch(largest()).unwrap();
    define(json!([CLASS]));
    assert_eq!(step(&mut query), [(ResultChangeKind::Enter, other.clone(), None, Some(0))]);
    define(json!([]));
    assert_eq!(step(&mut query), [(ResultChangeKind::Leave, other, Some(0), None)]);
}

/// Such a poll leaves the writes of the transaction in storage. Other reads of another caller roll them back
/// there, which would take quadratic time here.
#[test]
fn a_live_query_without_news_may_be_polled_beside_an_open_transaction() {
    let db = db();
    let mut query = db.watch(largest()).unwrap();
    let tx = db.begin().unwrap();
    for n in 0..50 {
        tx.create(OTHER, &json!({"n": n})).unwrap();
        assert!(query.try_recv().is_pending());
    }
    tx.commit().unwrap();
    assert!(query.try_recv().is_pending());
}

#[test]
fn live_queries_of_invalid_selects_are_refused() {
    let db = db();
    let refused = |select: Value| db.watch(select).unwrap_err();
    for key in ["history", "cutoff"] {
        let value = if key == "history" { json!(true) } else { json!("2026-01-01T00:00:00Z") };
        let error = refused(json!({"class": CLASS, key: value}));
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
        assert_eq!(error.items()[0].details["pointer"], format!("/{key}"));
    }
    for key in ["after", "expand", "search"] {
        let error = refused(json!({"class": CLASS, key: "x"}));
        assert_eq!(error.items()[0].details["unknown_fields"], json!([key]));
    }
    assert!(refused(json!({"action": "create", "class": CLASS, "bucket": {}})).is(ErrorId::INVALID_REQUEST));
    let tx = db.begin().unwrap();
    assert!(tx.watch(largest()).unwrap_err().is(ErrorId::INVALID_REQUEST));
}

#[test]
fn a_live_query_shows_no_write_of_an_open_transaction() {
    let db = db();
    create(&db, 1);
    let mut early = db.watch(largest()).unwrap();
    create(&db, 2);
    let tx = db.begin().unwrap();
    tx.create(CLASS, &json!({"n": 3})).unwrap();
    let late = db.watch(largest()).unwrap();
    assert_eq!(numbers(late.records()), [2, 1]);
    assert_eq!(step(&mut early).len(), 1);
    assert_eq!(numbers(early.records()), [2, 1]);
    tx.create(CLASS, &json!({"n": 4})).unwrap();
    tx.commit().unwrap();
    for mut query in [early, late] {
        query.recv().unwrap().unwrap();
        assert_eq!(numbers(query.records()), [4, 3, 2]);
    }
}

/// A step of a scenario: a write, or something that a reader does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Write(Vec<Write>, How),
    /// Defines the class `OTHER` with the parent `CLASS`, or without a parent.
    Redefine(bool),
    /// This reader begins to watch this select.
    Begin(usize, usize),
    /// This reader reads at most so many steps.
    Read(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    Alone,
    Batch,
    Transaction { commits: bool },
}

#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Creates a record with this `n`, of the class `OTHER` or `CLASS`.
    Create(i64, bool),
    /// Sets `n` of a record.
    Set(Index, i64),
    Delete(Index),
    /// Sets `n` of all records whose `n` is below the first number to the second one.
    SetAll(i64, i64),
}

const READERS: usize = 3;

/// The selects that are watched.
fn selects() -> [Value; 7] {
    [
        json!({"class": CLASS, "sort": ["n"], "limit": 3}),
        json!({"class": CLASS, "sort": ["n", {"reverse": true}], "offset": 1, "limit": 2}),
        json!({"class": CLASS, "sorts": [["n"], [{"record": "updated_at"}, {"reverse": true}]]}),
        json!({
            "path": ["n", {"gte": 4}], "sort": [{"record": "updated_at"}, {"reverse": true}], "offset": 1,
        }),
        json!({"class": OTHER}),
        json!({"class": CLASS, "limit": 2}),
        json!({"any": [{"class": OTHER}, {"path": ["n", {"lt": 3}]}], "sort": ["n"], "limit": 0}),
    ]
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let write = || {
        prop_oneof![
            3 => (0..8_i64, any::<bool>()).prop_map(|(n, other)| Write::Create(n, other)),
            4 => (any::<Index>(), 0..8_i64).prop_map(|(record, n)| Write::Set(record, n)),
            2 => any::<Index>().prop_map(Write::Delete),
            1 => (0..8_i64, 0..8_i64).prop_map(|(below, n)| Write::SetAll(below, n)),
        ]
    };
    let how = prop_oneof![
        Just(How::Alone),
        Just(How::Batch),
        any::<bool>().prop_map(|commits| How::Transaction { commits })
    ];
    prop_oneof![
        10 => (vec(write(), 1..5), how).prop_map(|(writes, how)| Action::Write(writes, how)),
        1 => any::<bool>().prop_map(Action::Redefine),
        3 => (0..READERS, 0..selects().len()).prop_map(|(reader, select)| Action::Begin(reader, select)),
        5 => (0..READERS, 0..4_usize).prop_map(|(reader, count)| Action::Read(reader, count)),
    ]
}

/// The parts of a result that are compared.
type Shown = Vec<(String, String, String)>;

fn shown(records: &[Record]) -> Shown {
    let shown = |record: &Record| {
        (record.pk.clone(), record.bucket.as_str().to_owned(), record.updated_at.to_string())
    };
    records.iter().map(shown).collect()
}

/// A reader of a live query.
struct Reader {
    query: LiveQuery,
    /// The index of its select in [`selects`].
    select: usize,
    /// The index of its result among those in the [`History`] of its select.
    position: usize,
}

/// The results that each select has had, each one different from the one before.
struct History(Vec<Vec<Shown>>);

impl History {
    /// Adds the current result of each select, if it has changed.
    fn add_results(&mut self, db: &(impl Mikobase + ?Sized)) {
        for (select, results) in selects().into_iter().zip(&mut self.0) {
            let records: Vec<Record> = db.iter(select).unwrap().map(Result::unwrap).collect();
            let result = shown(&records);
            if results.last() != Some(&result) {
                results.push(result);
            }
        }
    }
}

impl Reader {
    /// Checks that a step leads to a later result: to the next one, if no step has the changes of several
    /// commits.
    fn check(&mut self, history: &History, is_coalesced: bool) {
        let results = &history.0[self.select];
        let later = &results[self.position + 1..];
        let result = shown(self.query.records());
        let skipped = later.iter().position(|later| *later == result);
        let skipped = skipped.unwrap_or_else(|| panic!("no later result is {result:?}: {later:?}"));
        assert!(skipped == 0 || is_coalesced, "the step skipped a result");
        self.position += 1 + skipped;
    }
}

/// The request of a write; `None` if it needs a record and there is none.
fn request(write: &Write, pks: &[String]) -> Option<Value> {
    let pk = |record: &Index| (!pks.is_empty()).then(|| pks[record.index(pks.len())].clone());
    Some(match write {
        Write::Create(n, other) => {
            json!({"action": "create", "class": if *other { OTHER } else { CLASS }, "bucket": {"n": n}})
        }
        Write::Set(record, n) => json!({"action": "patch", "pk": pk(record)?, "bucket": {"n": n}}),
        Write::Delete(record) => json!({"action": "delete", "pk": pk(record)?}),
        Write::SetAll(below, n) => {
            json!({"action": "patch", "where": {"path": ["n", {"lt": below}]}, "bucket": {"n": n}})
        }
    })
}

/// The pks of all existing records.
fn present_pks(db: &(impl Mikobase + ?Sized)) -> Vec<String> {
    db.iter(json!({"path": ["n", {"gte": 0}]})).unwrap().map(|record| record.unwrap().pk).collect()
}

/// Runs writes one by one, and calls `written` after each.
fn write(db: &(impl Mikobase + ?Sized), writes: &[Write], mut written: impl FnMut()) {
    for write in writes {
        if let Some(request) = request(write, &present_pks(db)) {
            db.q0(request).unwrap();
            written();
        }
    }
}

/// Runs a scenario, and checks each step of each reader. `may_coalesce` says whether a step may have the
/// changes of several commits.
pub(crate) fn run_scenario(db: &(impl Mikobase + ?Sized), actions: &[Action], may_coalesce: bool) {
    let mut history = History(vec![Vec::new(); selects().len()]);
    let mut readers: [Option<Reader>; READERS] = Default::default();
    let define = |is_subclass: bool| {
        let parents = if is_subclass { json!([CLASS]) } else { json!([]) };
        let classes =
            json!({CLASS: {"misc_fields": true}, OTHER: {"misc_fields": true, "inherits": parents}});
        db.import_schema(json!({ "classes": classes })).unwrap();
    };
    define(false);
    history.add_results(db);
    // After a redefinition the select runs again, and its result has all commits since the last step.
    let is_coalesced = may_coalesce || actions.iter().any(|action| matches!(action, Action::Redefine(_)));
    let read = |readers: &mut [Option<Reader>; READERS], reader: usize, max: usize, history: &History| {
        let Some(reader) = &mut readers[reader] else { return };
        for _ in 0..max {
            let Poll::Ready(step) = reader.query.try_recv() else { return };
            let step: Vec<ResultChange> = step.unwrap().unwrap();
            assert!(!step.is_empty());
            reader.check(history, is_coalesced);
        }
    };
    for action in actions {
        match action {
            Action::Write(writes, How::Alone) => write(db, writes, || history.add_results(db)),
            Action::Write(writes, How::Batch) => {
                let pks = present_pks(db);
                let mut batch: Vec<Value> = Vec::new();
                // Deletes are left out: a later request of the batch could be for a record that an earlier
                // one has deleted.
                for write in writes.iter().filter(|write| !matches!(write, Write::Delete(_))) {
                    batch.extend(request(write, &pks));
                }
                db.batch(batch, true).unwrap();
                history.add_results(db);
            }
            Action::Write(writes, How::Transaction { commits }) => {
                let tx = db.begin().unwrap();
                write(&*tx, writes, || {});
                if *commits {
                    tx.commit().unwrap();
                }
                drop(tx);
                history.add_results(db);
            }
            Action::Redefine(is_subclass) => {
                define(*is_subclass);
                history.add_results(db);
            }
            Action::Begin(reader, select) => {
                let query = db.watch(selects()[*select].clone()).unwrap();
                let position = history.0[*select].len() - 1;
                assert_eq!(shown(query.records()), history.0[*select][position]);
                readers[*reader] = Some(Reader { query, select: *select, position });
            }
            Action::Read(reader, count) => read(&mut readers, *reader, *count, &history),
        }
    }
    for index in 0..READERS {
        read(&mut readers, index, usize::MAX, &history);
        if let Some(reader) = &readers[index] {
            let last = history.0[reader.select].last();
            assert_eq!(Some(&shown(reader.query.records())), last, "the reader is not up to date");
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_result_is_that_of_its_select_at_every_seq(actions in vec(action(), 1..40)) {
        run_scenario(&*db(), &actions, false);
    }
}

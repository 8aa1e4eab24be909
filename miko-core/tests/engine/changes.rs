//! Changes: each subscriber gets what is committed, whole transactions in order, once.

use std::collections::BTreeMap;
use std::task::Poll;

use miko_core::{
    AfterSave, Change, ChangeKind, ChangeOptions, ErrorId, Mikobase, MikobaseExt, Stream, Target, Transaction,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, cases, db};

const CLASS: &str = "a.b/thing";
const SUBCLASS: &str = "a.b/special";

/// The next changes, as kind, pk and fields.
fn next(changes: &mut Stream<Change>, count: usize) -> Vec<(ChangeKind, String, Value)> {
    let read = |change: Change| (change.kind, change.pk, change.fields.to_map().unwrap().into());
    (0..count).map(|_| read(changes.recv().unwrap().unwrap())).collect()
}

/// Checks that nothing has arrived: the next change is one that is made now.
fn expect_nothing(db: &Local, changes: &mut Stream<Change>) {
    let pk = db.create(CLASS, &json!({"n": 100})).unwrap();
    assert_eq!(next(changes, 1)[0].1, pk);
}

fn define(db: &Local) {
    let subclass = json!({"inherits": [CLASS], "misc_fields": true});
    db.import_schema(json!({"classes": {CLASS: {"misc_fields": true}, SUBCLASS: subclass}})).unwrap();
}

#[test]
fn a_change_has_the_old_and_new_values_of_the_fields_that_differ() {
    let db = db();
    let mut changes = db.listen(CLASS).unwrap();
    let pk = db.create(CLASS, &json!({"n": 1, "s": "x"})).unwrap();
    db.update(&pk, &json!({"n": 2, "t": null})).unwrap();
    db.delete(&pk).unwrap();
    let expected = [
        (ChangeKind::Create, json!({"n": {"new": 1}, "s": {"new": "x"}})),
        (ChangeKind::Update, json!({"n": {"old": 1, "new": 2}, "t": {"new": null}, "s": {"old": "x"}})),
        (ChangeKind::Delete, json!({"n": {"old": 2}, "t": {"old": null}})),
    ];
    for (kind, fields) in expected {
        let change = changes.recv().unwrap().unwrap();
        assert_eq!((change.kind, change.fields.to_map().unwrap().into()), (kind, fields));
        assert_eq!((change.pk.as_str(), change.class.as_str(), change.last), (pk.as_str(), CLASS, true));
        assert_eq!(change.record.is_some(), kind != ChangeKind::Delete);
        assert_eq!(changes.last_seq(), change.seq.unsigned_abs());
    }
}

#[test]
fn a_target_is_a_pk_a_class_or_a_condition() {
    let db = db();
    define(&db);
    let create = |class: &str, n: i64| db.create(class, &json!({"n": n})).unwrap();
    let (one, special) = (create(CLASS, 1), create(SUBCLASS, 1));
    let mut of_pk = db.listen(Target::pk(&one)).unwrap();
    let mut of_class = db.listen(CLASS).unwrap();
    let mut of_subclass = db.listen(SUBCLASS).unwrap();
    let large = json!({"class": CLASS, "path": ["n", {"gte": 5}]});
    let mut of_condition = db.listen(large.clone()).unwrap();
    let mut leaving = db.changes(large.into(), ChangeOptions::default().leaving()).unwrap();

    db.create("a.b/other", &json!({"n": 9})).unwrap();
    for (pk, n) in [(&one, 7), (&special, 8), (&one, 2), (&one, 3)] {
        db.update(pk, &json!({"n": n})).unwrap();
    }
    db.delete(&one).unwrap();
    db.delete(&special).unwrap();

    let received = |changes: &mut Stream<Change>, count| {
        next(changes, count).into_iter().map(|(kind, pk, _)| (kind, pk)).collect::<Vec<_>>()
    };
    let event = |kind, pk: &String| (kind, pk.clone());
    use ChangeKind::{Delete, Leave, Update};
    let updates = [event(Update, &one), event(Update, &one), event(Update, &one), event(Delete, &one)];
    assert_eq!(received(&mut of_pk, 4), updates);
    let all = [event(Update, &one), event(Update, &special), event(Update, &one), event(Update, &one)];
    assert_eq!(received(&mut of_class, 4), all);
    assert_eq!(received(&mut of_class, 2), [event(Delete, &one), event(Delete, &special)]);
    assert_eq!(received(&mut of_subclass, 2), [event(Update, &special), event(Delete, &special)]);
    let inside = [event(Update, &one), event(Update, &special), event(Delete, &special)];
    assert_eq!(received(&mut of_condition, 3), inside);
    let inside = [event(Update, &one), event(Update, &special), event(Leave, &one), event(Delete, &special)];
    assert_eq!(received(&mut leaving, 4), inside);
    expect_nothing(&db, &mut of_condition);
}

#[test]
fn a_record_that_gets_another_class_leaves_the_old_one() {
    let db = db();
    let pk = db.create(CLASS, &json!({"n": 1})).unwrap();
    let mut old = db.changes(CLASS.into(), ChangeOptions::default().leaving()).unwrap();
    let mut new = db.listen("a.b/other").unwrap();
    db.q0(json!({"action": "update", "pk": pk, "class": "a.b/other", "bucket": {"n": 1}})).unwrap();
    let (old, new) = (old.recv().unwrap().unwrap(), new.recv().unwrap().unwrap());
    assert_eq!((old.kind, new.kind), (ChangeKind::Leave, ChangeKind::Update));
    assert_eq!((old.class, new.class, new.fields.as_str()), ("a.b/other".into(), "a.b/other".into(), "{}"));
}

#[test]
fn the_changes_of_a_transaction_arrive_together_after_its_commit() {
    let db = db();
    let pk = db.create(CLASS, &json!({"n": 0})).unwrap();
    let mut changes = db.listen(CLASS).unwrap();
    db.transaction(|tx| tx.update(&pk, &json!({"n": -1}))).unwrap();
    let tx = db.begin().unwrap();
    tx.update(&pk, &json!({"n": 1})).unwrap();
    let created = tx.create(CLASS, &json!({"n": 2})).unwrap();
    tx.transaction(|inner| inner.delete(&pk)).unwrap();
    // This read rolls the writes of the open transaction back in storage; the next call applies them again.
    assert_eq!(db.by_class(CLASS).unwrap().count(), 1);
    tx.update(&pk, &json!({"n": 3})).unwrap();
    let created_and_deleted = tx.create(CLASS, &json!({"n": 4})).unwrap();
    tx.delete(&created_and_deleted).unwrap();
    assert!(matches!(changes.try_recv(), Poll::Pending), "nothing is committed");
    tx.commit().unwrap();
    tx.update(&pk, &json!({"n": 5})).unwrap();
    tx.roll_back().unwrap();
    drop(tx);

    let committed: Vec<Change> = (0..2).map(|_| changes.recv().unwrap().unwrap()).collect();
    assert_eq!(committed[0].seq, committed[1].seq);
    assert_eq!([committed[0].last, committed[1].last], [false, true]);
    let fields = committed.iter().map(|change| (change.pk.clone(), change.fields.as_str().to_owned()));
    let expected = [(pk.clone(), r#"{"n":{"old":0,"new":3}}"#), (created, r#"{"n":{"new":2}}"#)];
    assert_eq!(fields.collect::<Vec<_>>(), expected.map(|(pk, fields)| (pk, fields.to_owned())));

    let update = |n: i64| json!({"action": "update", "pk": pk, "bucket": {"n": n}});
    db.batch(vec![update(6), json!({"action": "delete", "pk": "nobody"})], true).unwrap_err();
    db.batch(vec![update(7), update(8)], true).unwrap();
    db.batch(vec![update(9), json!({"action": "delete", "pk": "nobody"}), update(10)], false).unwrap();
    let updates: Vec<_> = next(&mut changes, 3).into_iter().map(|(_, _, fields)| fields).collect();
    let step = |old: i64, new: i64| json!({"n": {"old": old, "new": new}});
    assert_eq!(updates, [step(3, 8), step(8, 9), step(9, 10)]);
    expect_nothing(&db, &mut changes);
}

#[test]
fn invalid_subscriptions_are_refused() {
    let db = db();
    let tx = db.begin().unwrap();
    assert!(tx.listen(CLASS).unwrap_err().is(ErrorId::INVALID_REQUEST));
    drop(tx);
    let refused = |target: Value, options| db.changes(target.into(), options).unwrap_err();
    let options = ChangeOptions { after: Some(1), ..ChangeOptions::snapshot() };
    assert!(refused(CLASS.into(), options).is(ErrorId::INVALID_REQUEST));
    let error = refused(json!({"class": "no uns", "limit": 1}), ChangeOptions::default());
    assert_eq!(error.items().len(), 2, "{error}");
    for after in [0, -1, i64::MAX, i64::MIN] {
        assert!(refused(CLASS.into(), ChangeOptions::after(after)).is(ErrorId::CHANGES_EXPIRED));
    }
}

#[test]
fn a_snapshot_comes_before_the_changes() {
    let db = db();
    let mut of_empty_set = db.changes(CLASS.into(), ChangeOptions::snapshot()).unwrap();
    assert_eq!(next(&mut of_empty_set, 1)[0].0, ChangeKind::Synced);
    let pks: Vec<String> = (0..3).map(|n| db.create(CLASS, &json!({"n": n})).unwrap()).collect();
    let not_first = Target::from(json!({"class": CLASS, "path": ["n", 0], "not": true}));
    let mut negated = db.changes(not_first, ChangeOptions::snapshot()).unwrap();
    let mut changes = db.changes(CLASS.into(), ChangeOptions::snapshot()).unwrap();
    db.update(&pks[1], &json!({"n": 7})).unwrap();
    db.delete(&pks[2]).unwrap();
    let first: Vec<Change> = (0..4).map(|_| changes.recv().unwrap().unwrap()).collect();
    let present = first[..3].iter().map(|change| {
        assert_eq!((change.kind, change.seq, change.last), (ChangeKind::Present, first[3].seq, false));
        change.record.as_ref().unwrap().bucket.as_str()
    });
    assert_eq!(present.collect::<Vec<_>>(), [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
    assert_eq!((first[3].kind, first[3].last), (ChangeKind::Synced, true));
    assert_eq!(changes.last_seq(), first[3].seq.unsigned_abs());
    let later = [(ChangeKind::Update, pks[1].clone()), (ChangeKind::Delete, pks[2].clone())];
    assert_eq!(next(&mut changes, 2).into_iter().map(|(kind, pk, _)| (kind, pk)).collect::<Vec<_>>(), later);
    let present: Vec<_> = next(&mut negated, 3).into_iter().map(|(_, pk, _)| pk).collect();
    assert_eq!(present, [&pks[1], &pks[2], ""]);
}

#[test]
fn a_subscription_resumes_after_a_change() {
    let db = db();
    let mut changes = db.listen(CLASS).unwrap();
    for n in 0..5 {
        db.create(CLASS, &json!({"n": n})).unwrap();
    }
    let seqs: Vec<i64> = (0..5).map(|_| changes.recv().unwrap().unwrap().seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));
    drop(changes);
    db.create(CLASS, &json!({"n": 5})).unwrap();
    for (missed, seq) in seqs.iter().rev().enumerate() {
        let mut resumed = db.changes(CLASS.into(), ChangeOptions::after(*seq)).unwrap();
        let values: Vec<Value> =
            next(&mut resumed, missed + 1).into_iter().map(|(_, _, fields)| fields).collect();
        let expected: Vec<Value> = (5 - missed..=5).map(|n| json!({"n": {"new": n}})).collect();
        assert_eq!(values, expected);
        // The check creates a record of the class, so it ends the loop.
        if missed == 2 {
            let created = db.create("a.b/other", &json!({})).unwrap();
            db.delete(&created).unwrap();
            expect_nothing(&db, &mut resumed);
            return;
        }
    }
}

#[test]
fn a_listener_is_called_until_it_is_dropped() {
    let db = db();
    let (send, received) = std::sync::mpsc::channel();
    let listener: AfterSave =
        db.after_save(CLASS, move |change| send.send(change.unwrap().pk).unwrap()).unwrap();
    let pks: Vec<String> = (0..3).map(|n| db.create(CLASS, &json!({"n": n})).unwrap()).collect();
    assert_eq!(received.iter().take(3).collect::<Vec<_>>(), pks);
    assert!(!listener.has_ended());
    drop(listener);
    db.create(CLASS, &json!({})).unwrap();
    assert!(received.recv().is_err(), "the listener, which has the sender, was dropped");
}

/// A step of the scenario of [`replicas_equal_the_database_at_every_seq`].
#[derive(Debug, Clone)]
enum Step {
    /// A transaction of several writes, committed or rolled back.
    Transaction(Vec<Write>, bool),
    Batch(Vec<Write>),
    Write(Write),
    /// This subscriber begins anew, with a snapshot.
    Begin(usize),
    /// This subscriber resumes after the last complete transaction that it has read.
    Resume(usize),
    /// This subscriber reads at most so many changes.
    Read(usize, usize),
}

#[derive(Debug, Clone, Copy)]
struct Write {
    record: u8,
    /// `None` deletes the record.
    value: Option<i64>,
    is_special: bool,
}

const RECORDS: u8 = 5;
const SUBSCRIBERS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let write = || {
        let value = proptest::option::weighted(0.8, 0..10_i64);
        (0..RECORDS, value, any::<bool>()).prop_map(|(record, value, is_special)| Write {
            record,
            value,
            is_special,
        })
    };
    prop_oneof![
        3 => (vec(write(), 1..5), any::<bool>())
            .prop_map(|(writes, commits)| Step::Transaction(writes, commits)),
        2 => vec(write(), 1..4).prop_map(Step::Batch),
        4 => write().prop_map(Step::Write),
        1 => (0..SUBSCRIBERS).prop_map(Step::Begin),
        2 => (0..SUBSCRIBERS).prop_map(Step::Resume),
        3 => (0..SUBSCRIBERS, 0..6_usize).prop_map(|(subscriber, count)| Step::Read(subscriber, count)),
    ]
}

/// The bucket and the time of the last change of each record, by pk.
type State = BTreeMap<String, (String, String)>;

/// The request of a write; `None` for the deletion of a record that does not exist.
fn request(write: Write, exists: bool) -> Option<Value> {
    let pk = format!("record-{}", write.record);
    let class = if write.is_special { SUBCLASS } else { "a.b/other" };
    match write.value {
        None => exists.then(|| json!({"action": "delete", "pk": pk})),
        Some(n) if exists => Some(json!({"action": "update", "pk": pk, "class": class, "bucket": {"n": n}})),
        // The database chooses the pk, since that of a deleted record is never used again.
        Some(n) => Some(json!({"action": "create", "class": class, "bucket": {"n": n}})),
    }
}

/// A replica of the set of records that the target selects, built from a snapshot and changes.
#[derive(Default)]
struct Replica {
    changes: Option<Stream<Change>>,
    state: State,
    /// The last complete transaction that was read: its number and the state after it.
    complete: Option<(i64, State)>,
    /// The index of that state in the history of the database.
    position: usize,
}

impl Replica {
    /// Applies a change and returns its pk. Checks the state if it was the last change of a transaction.
    fn apply(&mut self, change: Change, history: &[State]) -> String {
        match (change.kind, change.record) {
            (ChangeKind::Leave | ChangeKind::Delete, _) => drop(self.state.remove(&change.pk)),
            (_, Some(record)) => {
                let content = (record.bucket.as_str().to_owned(), record.updated_at.to_string());
                self.state.insert(change.pk.clone(), content);
            }
            (kind, None) => assert_eq!(kind, ChangeKind::Synced),
        }
        if change.last {
            self.position += usize::from(change.kind != ChangeKind::Synced);
            assert_eq!(self.state, history[self.position], "at {}", change.seq);
            self.complete = Some((change.seq, self.state.clone()));
        }
        change.pk
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn replicas_equal_the_database_at_every_seq(steps in vec(step(), 1..40)) {
        let db = db();
        define(&db);
        let target = || Target::from(json!({"class": CLASS, "path": ["n", {"gte": 5}]}));
        let select = json!({"action": "select", "class": CLASS, "path": ["n", {"gte": 5}]});
        let current = |db: &Local| -> State {
            let records = db.q0(select.clone()).unwrap().into_records().unwrap();
            let content =
                |r: miko_core::Record| (r.pk, (r.bucket.as_str().to_owned(), r.updated_at.to_string()));
            records.into_iter().map(content).collect()
        };
        // The states of the set of selected records, one after each write that changed it.
        let mut history = vec![current(&db)];
        let mut replicas: Vec<Replica> = (0..SUBSCRIBERS).map(|_| Replica::default()).collect();
        // The pks of the records, by their numbers.
        let mut pks: BTreeMap<u8, String> = BTreeMap::new();
        for step in steps {
            let is_write = matches!(step, Step::Transaction(..) | Step::Batch(_) | Step::Write(_));
            match step {
                Step::Transaction(writes, commits) => {
                    let tx = db.begin().unwrap();
                    let mut inside = pks.clone();
                    writes.into_iter().for_each(|write| run(&*tx, write, &mut inside));
                    if commits {
                        tx.commit().unwrap();
                        pks = inside;
                    }
                }
                Step::Batch(writes) => {
                    let mut requests = Vec::new();
                    let mut written = BTreeMap::new();
                    for write in writes {
                        if written.insert(write.record, ()).is_none() {
                            let pk = pks.get(&write.record).cloned();
                            let Some(mut request) = request(write, pk.is_some()) else { continue };
                            if let Some(pk) = pk {
                                request["pk"] = pk.into();
                            }
                            requests.push((write, request));
                        }
                    }
                    let batch = requests.iter().map(|(_, request)| request.clone()).collect();
                    let answers = db.batch(batch, true).unwrap();
                    for ((write, _), answer) in requests.into_iter().zip(answers) {
                        if write.value.is_none() {
                            pks.remove(&write.record);
                        } else {
                            pks.entry(write.record).or_insert_with(|| answer.unwrap().into_pk().unwrap());
                        }
                    }
                }
                Step::Write(write) => run(&*db, write, &mut pks),
                Step::Begin(subscriber) => {
                    let changes = db.changes(target(), ChangeOptions::snapshot()).unwrap();
                    let position = history.len() - 1;
                    replicas[subscriber] = Replica { changes: Some(changes), position, ..Replica::default() };
                }
                Step::Resume(subscriber) => {
                    let replica = &mut replicas[subscriber];
                    if let Some((seq, state)) = replica.complete.clone() {
                        replica.state = state;
                        let options = ChangeOptions::after(seq).leaving();
                        replica.changes = Some(db.changes(target(), options).unwrap());
                    }
                }
                Step::Read(subscriber, count) => {
                    let replica = &mut replicas[subscriber];
                    for _ in 0..count {
                        let Some(changes) = &mut replica.changes else { break };
                        let Poll::Ready(change) = changes.try_recv() else { break };
                        replica.apply(change.unwrap().unwrap(), &history);
                    }
                }
            }
            if is_write {
                let state = current(&db);
                if history.last() != Some(&state) {
                    history.push(state);
                }
            }
        }
        let end = db.create(CLASS, &json!({"n": 9})).unwrap();
        history.push(current(&db));
        for mut replica in replicas {
            while let Some(changes) = &mut replica.changes {
                let change = changes.recv().unwrap().unwrap();
                let is_present = change.kind == ChangeKind::Present;
                if replica.apply(change, &history) == end && !is_present {
                    assert_eq!(replica.position, history.len() - 1);
                    break;
                }
            }
        }
    }
}

/// Runs a write through a database or a transaction.
fn run(db: &(impl Mikobase + ?Sized), write: Write, pks: &mut BTreeMap<u8, String>) {
    let pk = pks.get(&write.record).cloned();
    let Some(mut request) = request(write, pk.is_some()) else { return };
    if let Some(pk) = pk {
        request["pk"] = pk.into();
    }
    let answer = db.q0(request).unwrap();
    match write.value {
        None => drop(pks.remove(&write.record)),
        Some(_) => drop(pks.entry(write.record).or_insert_with(|| answer.into_pk().unwrap())),
    }
}

//! Transactions: their writes take effect together or not at all, and no other caller sees them before.

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use miko_core::{
    Bytes, Error, ErrorId, Mikobase, MikobaseExt, PendingSave, Record, Remote, Results, SqliteEngine,
    Transaction, TransactionLimits,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, agreed, cases, db, export};

/// How many records a scenario uses.
const RECORDS: u8 = 6;

const CLASS: &str = "a.b/thing";

/// A step of a scenario: in the innermost open transaction, or by another caller.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Sets the value of the record, which is created if it does not exist.
    Put(u8, i64),
    /// Increments the value of the record.
    Add(u8, i64),
    Delete(u8),
    /// A batch whose last request fails.
    Fail(u8, i64),
    /// Defines the class anew, with an index or without.
    Redefine(bool),
    Begin,
    Commit,
    RollBack,
    /// Reads in each possible way in the innermost transaction.
    ReadInside,
    /// Reads in each possible way as another caller, who gets the committed state.
    ReadBeside,
    /// Opens a stream of the committed state, or reads the rest of one.
    Stream,
}

fn step() -> impl Strategy<Value = Step> {
    let record = 0..RECORDS;
    let value = -2..3_i64;
    prop_oneof![
        4 => (record.clone(), value.clone()).prop_map(|(record, value)| Step::Put(record, value)),
        3 => (record.clone(), value.clone()).prop_map(|(record, by)| Step::Add(record, by)),
        2 => record.clone().prop_map(Step::Delete),
        1 => (record, value).prop_map(|(record, value)| Step::Fail(record, value)),
        1 => any::<bool>().prop_map(Step::Redefine),
        2 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        2 => Just(Step::ReadInside),
        2 => Just(Step::ReadBeside),
        2 => Just(Step::Stream),
    ]
}

/// The values of the records, by their numbers. Deleted ones are never created again.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    values: BTreeMap<u8, i64>,
    /// All records that were created, in order of creation.
    order: Vec<u8>,
}

fn pk(record: u8) -> String {
    format!("record-{record}")
}

fn definition(has_index: bool) -> Value {
    json!({"classes": {CLASS: {"fields": {
        "n": {"class": "number", "index": has_index},
        "pair": {"class": "string", "unique": true},
    }}}})
}

fn bucket(record: u8, n: i64) -> Value {
    json!({"n": n, "pair": pk(record)})
}

fn put(db: &dyn Mikobase, model: &mut Model, record: u8, n: i64) {
    if model.values.contains_key(&record) {
        db.update(&pk(record), &bucket(record, n)).unwrap();
    } else if model.order.contains(&record) {
        let error = db.update(&pk(record), &bucket(record, n)).unwrap_err();
        assert!(error.is(ErrorId::RECORD_DELETED), "{error}");
        return;
    } else {
        let create =
            json!({"action": "create", "pk": pk(record), "class": CLASS, "bucket": bucket(record, n)});
        db.q0(create).unwrap();
        model.order.push(record);
    }
    model.values.insert(record, n);
}

fn n_of(record: &Record) -> i64 {
    record.bucket.get("n").unwrap().unwrap().as_i64().unwrap()
}

fn pairs<'r>(records: impl IntoIterator<Item = &'r Record>) -> Shown {
    records.into_iter().map(|record| (record.pk.clone(), n_of(record))).collect()
}

/// Reads in each possible way, and compares with the model.
fn check(db: &(impl Mikobase + ?Sized), model: &Model) {
    let in_order: Shown =
        model.order.iter().filter_map(|record| Some((pk(*record), *model.values.get(record)?))).collect();
    let mut sorted = in_order.clone();
    sorted.sort_by_key(|(_, n)| *n);
    let of_value = |value: i64| in_order.iter().filter(|(_, n)| *n == value).cloned().collect::<Vec<_>>();
    let (one_by_one, pks): (Vec<_>, Vec<String>) = (0..RECORDS)
        .map(|record| (db.record_by_pk(&pk(record)).unwrap().as_ref().map(n_of), pk(record)))
        .unzip();
    let expected: Vec<Option<i64>> = (0..RECORDS).map(|record| model.values.get(&record).copied()).collect();
    assert_eq!(one_by_one, expected);
    let at_once = db.records_by_pks(pks).unwrap();
    assert_eq!(at_once.iter().map(|record| record.as_ref().map(n_of)).collect::<Vec<_>>(), expected);
    assert_eq!(pairs(&db.by_class(CLASS).unwrap()), in_order);
    let selects = [
        (json!({"class": CLASS, "sort": ["n"]}), sorted.clone()),
        (json!({"class": CLASS, "sort": ["n"], "limit": 2, "offset": 1}), {
            sorted.iter().skip(1).take(2).cloned().collect()
        }),
        (json!({"class": CLASS, "path": ["n", 1]}), of_value(1)),
        (json!({"path": ["n", 2]}), of_value(2)),
        (json!({"pk": [pk(0), pk(1)]}), {
            in_order.iter().filter(|(found, _)| *found == pk(0) || *found == pk(1)).cloned().collect()
        }),
    ];
    for (select, expected) in selects {
        assert_eq!(pairs(&db.select(select.clone()).unwrap()), expected, "{select}");
        let streamed: Vec<Record> = db.iter(select.clone()).unwrap().map(Result::unwrap).collect();
        assert_eq!(pairs(&streamed), expected, "as a stream: {select}");
    }
}

/// The pks and values of records.
type Shown = Vec<(String, i64)>;

/// A database with the class, in which transactions run, and its model.
struct Run {
    db: Local,
    committed: Model,
    has_index: bool,
    /// The open transactions, outermost first: each with its model, and with whether the class has an index.
    open: Vec<(Remote<dyn Transaction>, Model, bool)>,
    /// The open stream, with the records that it has yet to return.
    stream: Option<(miko_core::Stream<Record>, Shown)>,
}

impl Run {
    fn new() -> Self {
        let db = db();
        db.import_schema(definition(true)).unwrap();
        let mut committed = Model::default();
        for record in 0..2 {
            put(&*db, &mut committed, record, i64::from(record));
        }
        Self { db, committed, has_index: true, open: Vec::new(), stream: None }
    }

    /// Runs a write in the innermost transaction, or as a single one.
    fn write(&mut self, write: impl FnOnce(&dyn Mikobase, &mut Model, &mut bool)) {
        match self.open.last_mut() {
            Some((tx, model, has_index)) => write(&**tx, model, has_index),
            None => write(&*self.db, &mut self.committed, &mut self.has_index),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(record, n) => self.write(|db, model, _| put(db, model, record, n)),
            Step::Add(record, by) => self.write(|db, model, _| {
                let sum = db.increment(&pk(record), ["n"], by);
                match model.values.get_mut(&record) {
                    Some(n) => {
                        *n += by;
                        assert_eq!(sum.unwrap(), json!(*n));
                    }
                    None => assert!(sum.is_err()),
                }
            }),
            Step::Delete(record) => self.write(|db, model, _| {
                assert_eq!(db.delete(&pk(record)).is_ok(), model.values.remove(&record).is_some());
            }),
            Step::Fail(record, n) => self.write(|db, _, _| {
                let fails = json!({"action": "create", "class": CLASS, "bucket": {"n": "text"}});
                let queries =
                    vec![json!({"action": "update", "pk": pk(record), "bucket": bucket(record, n)}), fails];
                db.batch(queries, true).unwrap_err();
            }),
            Step::Redefine(index) => self.write(|db, _, has_index| {
                db.import_schema(definition(index)).unwrap();
                *has_index = index;
            }),
            Step::Begin => {
                let (outer, model, has_index): (&dyn Mikobase, _, _) = match self.open.last() {
                    Some((tx, model, has_index)) => (&**tx, model, *has_index),
                    None => (&*self.db, &self.committed, self.has_index),
                };
                let begun = (outer.begin().unwrap(), model.clone(), has_index);
                self.open.push(begun);
            }
            Step::Commit => {
                let Some((tx, model, has_index)) = self.open.pop() else { return };
                tx.commit().unwrap();
                match self.open.last_mut() {
                    Some(outer) => (outer.1, outer.2) = (model, has_index),
                    None => (self.committed, self.has_index) = (model, has_index),
                }
            }
            Step::RollBack => {
                if let Some((tx, ..)) = self.open.pop() {
                    tx.roll_back().unwrap();
                }
            }
            Step::ReadInside => {
                if let Some((tx, model, _)) = self.open.last() {
                    check(&**tx, model);
                }
            }
            Step::ReadBeside => self.check_beside(),
            Step::Stream => match self.stream.take() {
                Some((stream, shown)) => {
                    let rest: Vec<Record> = stream.map(Result::unwrap).collect();
                    assert_eq!(pairs(&rest), shown);
                }
                None => {
                    let mut stream = self.db.iter(json!({"class": CLASS})).unwrap();
                    let model = &self.committed;
                    let mut shown: Vec<_> = model
                        .order
                        .iter()
                        .filter_map(|record| Some((pk(*record), *model.values.get(record)?)))
                        .collect();
                    if let Some(first) = stream.next() {
                        assert_eq!(pairs([&first.unwrap()]), [shown.remove(0)]);
                    }
                    self.stream = Some((stream, shown));
                }
            },
        }
    }

    fn check_beside(&self) {
        check(&*self.db, &self.committed);
        let fields = &self.db.export_schema().unwrap()["classes"][CLASS]["fields"];
        assert_eq!(fields, &definition(self.has_index)["classes"][CLASS]["fields"]);
    }
}

proptest! {
    #![proptest_config(cases(32))]
    #[test]
    fn a_transaction_and_other_callers_each_see_their_own_state(steps in vec(step(), 1..30)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.check_beside();
        let committed = run.committed.clone();
        // The innermost transaction is dropped first, as by nested blocks.
        while run.open.pop().is_some() {}
        prop_assert_eq!(&run.committed, &committed);
        run.check_beside();
    }
}

/// The classes of which [`SUB`] may inherit. One has a unique value, one an index, one no constraint.
const PARENTS: [&str; 3] = ["a.b/unique", "a.b/indexed", "a.b/plain"];

const SUB: &str = "a.b/sub";

fn inherit(db: &(impl Mikobase + ?Sized), parents: &[&str]) {
    let sub = json!({"inherits": parents, "misc_fields": true, "fields": {}});
    db.import_schema(json!({"classes": {SUB: sub}})).unwrap();
}

/// Finds the record of the subclass whose values all are `n` in each way for which the parents matter. No
/// record has larger values.
fn check_inherited(db: &(impl Mikobase + ?Sized), parents: &[&str], n: i64) {
    for key in ["y", "z"] {
        let of_sub = json!({"class": SUB, "path": [key, n]});
        assert_eq!(db.count(of_sub).unwrap(), 1, "{key} = {n} below {parents:?}");
    }
    for parent in PARENTS {
        for path in [json!(["y", n]), json!(["z", n])] {
            let found = db.count(json!({"class": parent, "path": path})).unwrap();
            assert_eq!(found == 1, parents.contains(&parent), "{path} of {parent} below {parents:?}");
        }
        // The second scan builds a column.
        for _ in 0..3 {
            let last = json!({"class": parent, "path": ["k", {"gt": -2}], "sort": ["k", {"reverse": true}],
                              "limit": 3});
            let found = db.select(last).unwrap();
            let is_last = found[0].bucket.get("k").unwrap() == Some(n.into());
            assert_eq!(is_last, parents.contains(&parent), "the last of {parent} below {parents:?}");
        }
    }
}

/// Creates a record of the subclass whose values all are `n`, and another one that takes its unique value.
fn create_inherited(db: &(impl Mikobase + ?Sized), parents: &[&str], n: i64) {
    db.create(SUB, &json!({"y": n, "z": n, "k": n})).unwrap();
    let taken = json!({"y": n, "z": -n, "k": -n});
    let created = [db.create(SUB, &taken), db.create_many(SUB, vec![taken.into()]).map(|pks| pks[0].clone())];
    for created in created {
        assert_eq!(created.is_err(), parents.contains(&"a.b/unique"), "{n} below {parents:?}");
        created.into_iter().for_each(|pk| db.delete(&pk).unwrap());
    }
}

#[test]
fn each_caller_sees_the_constraints_and_subclasses_of_its_own_definitions() {
    let db = db();
    let fields = [json!({"y": {"unique": true}}), json!({"z": {"index": true}}), json!({})];
    let class = |fields| json!({"misc_fields": true, "fields": fields});
    let classes: serde_json::Map<_, _> =
        PARENTS.iter().zip(fields).map(|(name, fields)| ((*name).to_owned(), class(fields))).collect();
    db.import_schema(json!({ "classes": classes })).unwrap();
    for parent in PARENTS {
        // So many that columns are worth it.
        db.create_all(parent, &(100..130).map(|y| json!({"y": -y, "k": -1})).collect::<Vec<_>>()).unwrap();
    }
    let [unique, indexed, plain] = PARENTS;
    let lineages: [&[&str]; 4] = [&[unique], &[plain], &[unique, indexed], &[indexed, unique]];
    let mut n = 0;
    for (outside, inside) in lineages.iter().flat_map(|one| lineages.map(|other| (*one, other))) {
        if outside == inside {
            continue;
        }
        for commits in [false, true] {
            inherit(&*db, outside);
            n += 1;
            create_inherited(&*db, outside, n);
            let tx = db.begin().unwrap();
            inherit(&*tx, inside);
            check_inherited(&*db, outside, n);
            create_inherited(&*tx, inside, n + 1);
            check_inherited(&*tx, inside, n + 1);
            check_inherited(&*db, outside, n);
            let lineage = if commits {
                tx.commit().unwrap();
                n += 1;
                inside
            } else {
                tx.roll_back().unwrap();
                outside
            };
            check_inherited(&*db, lineage, n);
            n += 1;
            create_inherited(&*db, lineage, n);
            check_inherited(&*db, lineage, n);
        }
    }
}

fn of_class(db: &(impl Mikobase + ?Sized)) -> usize {
    db.count(json!({"class": CLASS})).unwrap()
}

#[test]
fn a_block_that_does_not_commit_is_rolled_back() {
    let db = db();
    let create = |tx: &Remote<dyn Transaction>| tx.create(CLASS, &json!({}));
    let before = export(&db);
    db.transaction(create).unwrap();
    let failed: Result<(), Error> = db.transaction(|tx| {
        create(tx)?;
        tx.delete("nobody")
    });
    assert!(failed.unwrap_err().is(ErrorId::RECORD_NOT_FOUND));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transaction::<()>(|tx| {
            create(tx)?;
            panic!("in the block")
        })
    }));
    assert!(panicked.is_err());
    let exited: Result<(), Error> = db.transaction(|tx| {
        create(tx)?;
        tx.transaction(|inner| {
            create(inner)?;
            inner.exit()
        })?;
        tx.commit()
    });
    assert!(exited.unwrap_err().is(ErrorId::TRANSACTION_EXITED));
    assert_eq!(export(&db), before);
    // None of these blocks has left its transaction open: the next write does not wait.
    db.create(CLASS, &json!({})).unwrap();
    assert_eq!(of_class(&*db), 1);
}

#[test]
fn after_a_commit_the_block_goes_on_with_another_transaction() {
    let db = db();
    db.transaction(|tx| {
        tx.create(CLASS, &json!({}))?;
        tx.commit()?;
        assert_eq!(of_class(&*db), 1);
        // Other writers have their turn now.
        db.create(CLASS, &json!({}))?;
        tx.create(CLASS, &json!({}))?;
        assert_eq!((of_class(tx), of_class(&*db)), (3, 2));
        tx.roll_back()?;
        assert_eq!((of_class(tx), of_class(&*db)), (2, 2));
        tx.create(CLASS, &json!({})).map(drop)
    })
    .unwrap();
    assert_eq!(of_class(&*db), 2, "a write after the commit is rolled back without another commit");
}

#[test]
fn an_outer_commit_commits_the_nested_ones_and_an_outer_rollback_invalidates_them() {
    let db = db();
    let tx = db.begin().unwrap();
    let inner = tx.begin().unwrap();
    let innermost = inner.begin().unwrap();
    inner.create(CLASS, &json!({})).unwrap();
    innermost.create(CLASS, &json!({})).unwrap();
    tx.commit().unwrap();
    assert_eq!(of_class(&*db), 2);

    innermost.create(CLASS, &json!({})).unwrap();
    assert_eq!((of_class(&*innermost), of_class(&*tx), of_class(&*db)), (3, 3, 2));
    inner.roll_back().unwrap();
    let error = innermost.create(CLASS, &json!({})).unwrap_err();
    assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{error}");
    assert_eq!(of_class(&*tx), 2);
    tx.roll_back().unwrap();
    inner.create(CLASS, &json!({})).unwrap();
    tx.commit().unwrap();
    assert_eq!(of_class(&*db), 3);
}

#[test]
fn a_write_by_an_outer_transaction_is_refused_while_a_nested_one_is_open() {
    let db = db();
    let tx = db.begin().unwrap();
    let [inner, sibling] = [(); 2].map(|()| tx.begin().unwrap());
    inner.create(CLASS, &json!({})).unwrap();
    let create = json!({"action": "create", "class": CLASS, "bucket": {}});
    let refused = [
        tx.q0(create.clone()).map(drop),
        tx.batch(vec![create.clone()], true).map(drop),
        tx.batch(vec![create], false).map(drop),
        sibling.create(CLASS, &json!({})).map(drop),
    ];
    for error in refused.map(Result::unwrap_err) {
        assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
    }
    assert_eq!(of_class(&*tx), 1, "reads are allowed");
    inner.commit().unwrap();
    sibling.create(CLASS, &json!({})).unwrap();
    tx.commit().unwrap();
    assert_eq!(of_class(&*db), 2);
}

#[test]
fn a_nested_rollback_leaves_the_streams_of_the_outer_transaction() {
    let db = db();
    db.transaction(|tx| {
        for n in 0..3 {
            tx.create(CLASS, &json!({"n": n}))?;
        }
        for (expected, record) in tx.iter(json!({"class": CLASS}))?.enumerate() {
            assert_eq!(n_of(&record?), i64::try_from(expected).unwrap());
            tx.transaction(|inner| inner.create(CLASS, &json!({"n": 7})))?;
        }
        assert_eq!(of_class(tx), 3);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_failed_write_leaves_the_writes_before_it() {
    let db = db();
    db.import_schema(definition(true)).unwrap();
    db.transaction(|tx| {
        tx.create(CLASS, &bucket(1, 1))?;
        let error = tx.create(CLASS, &bucket(1, 2)).unwrap_err();
        assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{error}");
        tx.create(CLASS, &bucket(2, 2))?;
        tx.commit()
    })
    .unwrap();
    assert_eq!(of_class(&*db), 2);
}

#[test]
fn all_ways_to_select_agree_beside_an_open_transaction() {
    let db = db();
    db.import_schema(definition(true)).unwrap();
    for record in 0..20 {
        db.create(CLASS, &bucket(record, i64::from(record % 5))).unwrap();
    }
    let selects = [
        json!({"action": "select", "class": CLASS, "path": ["n", 3]}),
        json!({"action": "select", "class": CLASS, "path": ["n", {"gt": 1}], "sort": ["n"], "limit": 5,
               "offset": 2}),
        json!({"action": "select", "class": CLASS, "sort": ["pair", {"reverse": true}]}),
        json!({"action": "select", "path": ["pair", {"starts-with": "record-1"}]}),
    ];
    let before: Vec<_> = selects.iter().map(|select| agreed(&db, select).unwrap()).collect();
    let tx = db.begin().unwrap();
    let pks: Vec<String> = tx.by_class(CLASS).unwrap().iter().map(|record| record.pk.clone()).collect();
    for (number, pk) in pks.iter().enumerate() {
        match number % 3 {
            0 => tx.delete(pk).unwrap(),
            1 => drop(tx.increment(pk, ["n"], 1).unwrap()),
            _ => drop(tx.create(CLASS, &bucket(100 + u8::try_from(number).unwrap(), 3)).unwrap()),
        }
        for (select, before) in selects.iter().zip(&before) {
            assert_eq!(&agreed(&db, select).unwrap(), before, "{select}");
        }
    }
    tx.commit().unwrap();
    for (select, before) in selects.iter().zip(&before) {
        assert_ne!(&agreed(&db, select).unwrap(), before, "{select}");
    }
}

#[test]
fn a_temporal_database_shows_no_part_of_a_transaction_at_any_time() {
    let db = crate::support::temporal();
    let pks: Vec<String> = (0..3).map(|n| db.create(CLASS, &json!({"n": n})).unwrap()).collect();
    db.transaction(|tx| {
        for pk in &pks {
            tx.increment(pk, ["n"], 10)?;
            let beside: Vec<usize> = pks.iter().map(|pk| db.history(pk).unwrap().len()).collect();
            assert_eq!(beside, [1, 1, 1]);
        }
        assert_eq!(tx.history(&pks[0])?.len(), 2);
        tx.commit()
    })
    .unwrap();
    let times: Vec<_> = pks.iter().map(|pk| db.history(pk).unwrap()[1].updated_at).collect();
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
}

#[test]
fn files_imports_and_merges_are_no_part_of_a_transaction() {
    let db = db();
    let tx = db.begin().unwrap();
    let refused = [
        tx.write_file("text/plain").err(),
        tx.import(false).err(),
        tx.merge(json!({"history": {}})).err(),
        tx.delete_file("nobody").err(),
        tx.collect_files().err(),
    ];
    for error in refused {
        let error = error.unwrap();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    }
}

#[test]
fn a_stream_of_a_transaction_shows_its_state_and_ends_with_it() {
    let db = db();
    let tx = db.begin().unwrap();
    let pks: Vec<String> = (0..3).map(|n| tx.create(CLASS, &json!({"n": n})).unwrap()).collect();
    let mut stream = tx.iter(json!({"class": CLASS})).unwrap();
    assert_eq!(n_of(&stream.next().unwrap().unwrap()), 0);
    tx.increment(&pks[1], ["n"], 10).unwrap();
    assert_eq!(of_class(&*db), 0);
    assert_eq!(n_of(&stream.next().unwrap().unwrap()), 1, "as it was when the stream was opened");
    tx.commit().unwrap();
    let ended = stream.next().unwrap();
    // A proxy may have fetched the rest before.
    if let Err(error) = ended {
        assert!(error.is(ErrorId::STREAM_EXPIRED), "{error}");
    }
}

#[test]
fn transact_runs_its_block_again_after_a_conflict() {
    let db = db();
    let pk = db.create("a.b/counter", &json!({"n": 0})).unwrap();
    let mut attempts = 0;
    let last = db.transact(|tx| {
        attempts += 1;
        tx.increment(&pk, ["n"], 1)?;
        tx.edit(&pk, vec![json!({"path": ["n"], "test": if attempts < 3 { 7 } else { 1 }})])?;
        Ok(attempts)
    });
    assert_eq!(last.unwrap(), 3);
    assert_eq!(db.hot(&pk).get(["n"]).unwrap(), Some(json!(1)));
    let always_in_conflict = db.transact(|tx| tx.edit(&pk, vec![json!({"path": ["n"], "test": 7})]));
    assert!(always_in_conflict.unwrap_err().is(ErrorId::CONFLICT));
    let refused = db.transact(|tx| tx.delete("nobody"));
    assert!(refused.unwrap_err().is(ErrorId::RECORD_NOT_FOUND));
}

/// The id in the response to a request on a transaction.
fn transaction(db: &Local, mut request: Value, around: Option<&str>) -> Result<String, Error> {
    if let Some(id) = around {
        request["transaction"] = id.into();
    }
    match db.q0(request)?.results {
        Results::Transaction { transaction } => Ok(transaction),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_name_their_transaction_by_its_id() {
    let db = db();
    let (begin, commit, roll_back) =
        (json!({"action": "transaction"}), json!({"action": "commit"}), json!({"action": "rollback"}));
    let create = |id: &str| {
        db.q0(json!({"action": "create", "class": CLASS, "bucket": {}, "transaction": id})).map(drop)
    };
    let select = |id: &str| {
        let select = json!({"action": "select", "class": CLASS, "transaction": id});
        db.q0(select).unwrap().into_records().unwrap().count()
    };
    let id = transaction(&db, begin.clone(), None).unwrap();
    create(&id).unwrap();
    let inner = transaction(&db, begin.clone(), Some(&id)).unwrap();
    create(&inner).unwrap();
    assert_eq!((select(&id), select(&inner), of_class(&*db)), (2, 2, 0));
    assert_eq!(transaction(&db, roll_back.clone(), Some(&inner)).unwrap(), inner);
    assert_eq!((select(&id), of_class(&*db)), (1, 0));
    assert_eq!(transaction(&db, commit.clone(), Some(&id)).unwrap(), id);
    assert_eq!(of_class(&*db), 1);
    // A transaction ends with its commit.
    for ended in [&id, &inner] {
        assert!(create(ended).unwrap_err().is(ErrorId::TRANSACTION_NOT_FOUND));
        for action in [&commit, &roll_back, &begin] {
            let error = transaction(&db, action.clone(), Some(ended)).unwrap_err();
            assert!(error.is(ErrorId::TRANSACTION_NOT_FOUND), "{error}");
        }
    }
    let outer = transaction(&db, begin.clone(), None).unwrap();
    let inner = transaction(&db, begin, Some(&outer)).unwrap();
    create(&inner).unwrap();
    transaction(&db, roll_back, Some(&outer)).unwrap();
    let error = transaction(&db, commit, Some(&inner)).unwrap_err();
    assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{error}");
}

#[test]
fn faults_of_requests_on_transactions_are_reported_together() {
    let db = db();
    let cases = [
        (json!({"action": "commit"}), json!({"missing_fields": ["transaction"]})),
        (json!({"action": "rollback", "transaction": 1}), json!({"pointer": "/transaction"})),
        (json!({"action": "transaction", "class": "a.b/c"}), json!({"unknown_fields": ["class"]})),
        (json!({"action": "select", "transaction": null}), json!({"pointer": "/transaction"})),
    ];
    for (request, expected) in cases {
        let error = db.q0(request.clone()).unwrap_err();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(error.items()[0].details.get(key), Some(value), "{request}");
        }
        assert_eq!(db.validate(request).unwrap().errors, error.items());
    }
    for request in [json!({"action": "transaction"}), json!({"action": "select", "transaction": "any"})] {
        assert_eq!(db.validate(request).unwrap().errors, []);
    }
}

#[test]
fn ids_of_transactions_end_with_the_transaction_around_them() {
    let db = db();
    let (begin, commit, roll_back) =
        (json!({"action": "transaction"}), json!({"action": "commit"}), json!({"action": "rollback"}));
    // A connection has at most 256 ids.
    for round in 0..300 {
        let outer = transaction(&db, begin.clone(), None).unwrap();
        let inner = transaction(&db, begin.clone(), Some(&outer)).unwrap();
        let (end, expected) = match round % 2 {
            0 => (&commit, ErrorId::TRANSACTION_NOT_FOUND),
            _ => (&roll_back, ErrorId::TRANSACTION_INVALIDATED),
        };
        transaction(&db, end.clone(), Some(&outer)).unwrap();
        let error = transaction(&db, commit.clone(), Some(&inner)).unwrap_err();
        assert!(error.is(expected), "{error}");
    }
}

#[test]
fn a_request_that_nests_too_deep_is_refused_also_if_it_names_a_transaction() {
    let db = SqliteEngine::in_memory().unwrap();
    for action in ["commit", "transaction", "select"] {
        for key in ["transaction", "hue"] {
            let mut deep = json!(1);
            for _ in 0..100_000 {
                deep = Value::Array(vec![deep]);
            }
            let mut request = json!({"action": action, "transaction": "an id"});
            request[key] = deep;
            assert!(db.q0(request).unwrap_err().is(ErrorId::INVALID_REQUEST));
        }
    }
}

#[test]
fn rolled_back_writes_do_not_count_for_the_memory_limit() {
    let db = limited(TransactionLimits { memory: 50_000, ..TransactionLimits::default() });
    let pk = db.create(CLASS, &json!({"text": ""})).unwrap();
    db.transaction(|tx| {
        for _ in 0..100 {
            tx.transaction(|inner| inner.update(&pk, &json!({"text": "x".repeat(1000)})))?;
        }
        tx.commit()
    })
    .unwrap();
}

#[test]
fn a_write_of_many_records_ends_where_it_exceeds_the_memory_limit() {
    let db = Local::on(limited(TransactionLimits { memory: 50_000, ..TransactionLimits::default() }));
    db.create_all(CLASS, &vec![json!({"text": "x".repeat(1000)}); 200]).unwrap();
    let before = export(&db);
    let saved = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&saved);
    let count = move |_: &mut PendingSave<'_>| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    db.before_save("count", CLASS, count);
    let tx = db.begin().unwrap();
    let patch = json!({"action": "patch", "where": {"class": CLASS}, "bucket": {"n": 1}});
    assert!(tx.q0(patch).unwrap_err().is(ErrorId::TRANSACTION_INVALIDATED));
    drop(tx);
    assert!(saved.load(Ordering::Relaxed) < 50, "{saved:?} of 200 records were written");
    assert_eq!(export(&db), before);
}

#[test]
fn the_selects_of_claims_count_for_the_memory_limit() {
    for hold in ["lease", "connection"] {
        check_selects_of_claims(hold);
    }
}

fn check_selects_of_claims(hold: &str) {
    let db = limited(TransactionLimits { memory: 50_000, ..TransactionLimits::default() });
    let buckets = (0..20).map(|n| json!({"n": n}).into());
    db.create_many(CLASS, buckets.collect()).unwrap();
    let tx = db.begin().unwrap();
    let never = json!({"path": ["text", "x".repeat(10_000)]});
    let select = json!({"class": CLASS, "any": [never, {"path": ["n", {"gte": 0}]}]});
    let claim = json!({"action": "claim", "select": select, "lease": 3600, "hold": hold});
    let refused = (0..20).find_map(|_| tx.q0(claim.clone()).err()).expect("the limit is reached");
    assert!(refused.is(ErrorId::TRANSACTION_INVALIDATED), "{refused}");
}

/// Limits that no test reaches, but for those that are given.
fn limited(limits: TransactionLimits) -> SqliteEngine {
    SqliteEngine::in_memory().unwrap().transaction_limits(limits)
}

#[test]
fn a_write_of_another_thread_waits_for_its_turn_and_a_read_does_not() {
    let limits = TransactionLimits { lock_timeout: Duration::ZERO, ..TransactionLimits::default() };
    let db = limited(limits);
    let tx = db.begin().unwrap();
    tx.create(CLASS, &json!({})).unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| (db.create(CLASS, &json!({})), of_class(&db)));
        let (written, seen) = other.join().unwrap();
        assert!(written.unwrap_err().is(ErrorId::LOCK_TIMEOUT));
        assert_eq!(seen, 0);
    });
    tx.commit().unwrap();
    let db = limited(TransactionLimits::default());
    let tx = db.begin().unwrap();
    tx.create(CLASS, &json!({})).unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            db.create(CLASS, &json!({})).unwrap();
            of_class(&db)
        });
        let second = scope.spawn(|| {
            db.transact(|tx| {
                tx.create(CLASS, &json!({}))?;
                Ok(of_class(tx))
            })
        });
        tx.create(CLASS, &json!({})).unwrap();
        tx.commit().unwrap();
        assert!(other.join().unwrap() >= 3);
        assert!(second.join().unwrap().unwrap() >= 3);
    });
    assert_eq!(of_class(&db), 4);
}

#[test]
fn a_write_outside_of_the_open_transaction_of_its_thread_is_refused_at_once() {
    let db = limited(TransactionLimits::default());
    db.transaction(|tx| {
        tx.create(CLASS, &json!({}))?;
        let error = db.create(CLASS, &json!({})).unwrap_err();
        assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
        let error = db.transaction(|second| second.create(CLASS, &json!({}))).unwrap_err();
        assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
        // The same error, while a call of another thread waits for the turn of the same transaction.
        let second = db.begin()?;
        thread::scope(|scope| {
            let waiting = scope.spawn(|| second.create(CLASS, &json!({})));
            let error = second.create(CLASS, &json!({})).unwrap_err();
            assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
            tx.roll_back().unwrap();
            waiting.join().unwrap().unwrap();
        });
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_transaction_beyond_its_limits_is_rolled_back() {
    let nothing = Duration::ZERO;
    let cases = [
        ("idle", TransactionLimits { idle: nothing, ..TransactionLimits::default() }),
        ("total", TransactionLimits { total: nothing, ..TransactionLimits::default() }),
        ("memory", TransactionLimits { memory: 1000, ..TransactionLimits::default() }),
    ];
    for (name, limits) in cases {
        let db = limited(limits);
        let tx = db.begin().unwrap();
        let mut failed = None;
        for n in 0..100 {
            match tx.create(CLASS, &json!({"n": n})) {
                Ok(_) => assert_eq!(of_class(&db), 0, "{name}"),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let error = failed.expect(name);
        assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{name}: {error}");
        let error = tx.commit().unwrap_err();
        assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{name}: {error}");
        assert_eq!(of_class(&db), 0, "{name}");
        db.create(CLASS, &json!({})).unwrap();
        // After `roll_back` the transaction can be used again.
        tx.roll_back().unwrap();
    }
}

#[test]
fn a_waiting_writer_ends_a_transaction_that_is_idle_for_too_long() {
    let db = limited(TransactionLimits { idle: Duration::from_millis(20), ..TransactionLimits::default() });
    let tx = db.begin().unwrap();
    tx.create(CLASS, &json!({})).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| db.create(CLASS, &json!({})).unwrap());
    });
    assert_eq!(of_class(&db), 1);
    assert!(tx.commit().unwrap_err().is(ErrorId::TRANSACTION_INVALIDATED));
}

#[test]
fn the_pieces_of_a_file_and_of_an_import_need_no_turn() {
    let db = db();
    // 5.2 MB: five pieces of at most 1 MiB.
    let content: Vec<u8> = (0..1_300_000_u32).flat_map(u32::to_le_bytes).collect();
    let begun_before = db.write_file("text/plain").unwrap();
    let pieces: Vec<Bytes> = content.chunks(1 << 20).map(|piece| piece.to_vec().into()).collect();
    begun_before.put(pieces[0].clone()).unwrap();
    let record = json!({"bucket": {}, "stack": {"1": {"class": CLASS}}});
    let worldlet = json!({"format": "worldlet/1.0", "records": {"imported": record}}).to_string();
    let committed = db.transaction(|tx| {
        tx.create(CLASS, &json!({}))?;
        let (begun_inside, import) = (db.write_file("text/plain")?, db.import(false)?);
        import.put(worldlet.clone().into_bytes().into())?;
        pieces.iter().try_for_each(|piece| begun_inside.put(piece.clone()))?;
        pieces[1..4].iter().try_for_each(|piece| begun_before.put(piece.clone()))?;
        // `finish` would wait for the transaction, which this thread has open.
        for error in [begun_inside.finish().unwrap_err(), import.finish().unwrap_err()] {
            assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
        }
        tx.commit()?;
        Ok((begun_inside, import))
    });
    let (begun_inside, import) = committed.unwrap();
    // The pieces that were put during the transaction were kept in memory; the next one stores them, too.
    pieces[4..].iter().try_for_each(|piece| begun_before.put(piece.clone())).unwrap();
    let pks = [begun_before.finish().unwrap(), begun_inside.finish().unwrap()];
    assert_eq!(pks[0], pks[1], "their contents are equal");
    let mut read = Vec::new();
    db.file(&pks[0]).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == content);
    assert_eq!(import.finish().unwrap().records, 1);
}

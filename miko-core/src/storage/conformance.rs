//! The requirements on every storage, tested through the trait alone. A new storage needs one more line in
//! the call of [`conforms!`].
//!
//! Most cases are written by hand. The last case applies generated write sets to a storage and to the naive
//! storage. After each step, both must have the same content: see [`content_of`].

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::ids::{ClassId, CommitSeq, ConstraintId, FileId, LastNumbers, RowId};
use super::memory::MemoryTables;
use super::naive::NaiveStorage;
use super::plan::{AccessPath, Classes, IndexLookup, Plan, Predicate};
use super::row::{ClaimRow, FileRow, Row, State};
use super::sqlite::Sqlite;
use super::write_set::{Conflict, IndexEntry, OtherChanges, RowChange, WriteSet};
use super::{Storage, Visitor, each_file, versions};
use crate::class::{Catalog, Constraint, Definition};
use crate::diagnostics::{FaultList, Place};
use crate::query::SelectRequest;
use crate::timestamp::Timestamp;

/// Creates a storage without records. The argument says whether it is temporal.
type Create<S> = fn(bool) -> S;

/// The argument of [`Create`] for a storage that is not temporal.
const NOT_TEMPORAL: bool = false;

macro_rules! conforms {
    ($($storage:ident: $create:expr;)*) => {$(
        mod $storage {
            use super::*;
            conforms!(@cases $create;
                new_storage_has_no_content
                a_row_has_the_number_that_it_is_given
                a_definition_is_forgotten_with_its_row
                a_conflict_names_the_holder_and_applies_nothing
                a_value_may_be_added_again_by_its_holder
                a_transaction_that_is_rolled_back_leaves_nothing
                every_read_finds_the_last_of_several_updates_of_a_row
                the_stricter_of_two_declarations_of_a_reference_is_stored
                a_chunk_is_read_in_parts
                a_chunk_of_any_index_is_read_as_it_was_written
                records_are_selected_once_each_in_order_of_creation
                a_visitor_may_end_a_select
                generated_writes_have_the_effect_that_they_have_on_naive_storage
            );
        }
    )*};
    (@cases $create:expr; $($case:ident)*) => {$(
        #[test]
        fn $case() {
            super::$case($create);
        }
    )*};
}

conforms! {
    sqlite: |is_temporal| Sqlite::in_memory(is_temporal).unwrap();
    sqlite_as_in_a_file: |is_temporal| Sqlite::as_in_a_file(is_temporal).unwrap();
    memory: MemoryTables::new;
    naive: NaiveStorage::new;
}

fn new_storage_has_no_content<S: Storage>(create: Create<S>) {
    for is_temporal in [false, true] {
        let storage = create(is_temporal);
        assert_eq!(storage.capabilities().is_temporal, is_temporal);
        assert!(!storage.in_transaction());
        // Every storage has this constraint from the start: no class declares it.
        let numbers = LastNumbers { constraint: ConstraintId::DEFINITION_NAME, ..LastNumbers::default() };
        assert_eq!(storage.last_numbers().unwrap(), numbers);
        assert_eq!(storage.next_row(RowId::default(), CommitSeq::default()).unwrap(), None);
    }
}

fn a_row_has_the_number_that_it_is_given<S: Storage>(create: Create<S>) {
    for is_temporal in [false, true] {
        let mut storage = create(is_temporal);
        let insert = |numbers: &[i64]| WriteSet {
            rows: numbers.iter().map(|number| RowChange::insert(RowId(*number), row(*number))).collect(),
            ..WriteSet::default()
        };
        let present = |storage: &S| {
            (1..=10).filter(|number| storage.row(RowId(*number)).unwrap().is_some()).collect::<Vec<_>>()
        };
        // The row ids have gaps, and do not come in order.
        for numbers in [&[1][..], &[5], &[9, 7]] {
            apply(&mut storage, &insert(numbers));
        }
        assert_eq!(present(&storage), [1, 5, 7, 9]);
        assert_eq!(storage.row(RowId(7)).unwrap().unwrap().pk, "p7");
        assert_eq!(storage.last_numbers().unwrap().row, RowId(9));
        apply(&mut storage, &insert(&[9, 7]).inverse().unwrap());
        assert_eq!(present(&storage), [1, 5]);
    }
}

fn a_definition_is_forgotten_with_its_row<S: Storage>(create: Create<S>) {
    // Only a temporal database lists the records that are or were class definitions.
    let is_temporal = true;
    let mut storage = create(is_temporal);
    let definition = |number| WriteSet {
        rows: vec![RowChange::insert(RowId(number), row(number))],
        ..OtherChanges { definitions: vec![RowId(number)], ..OtherChanges::default() }.into()
    };
    apply(&mut storage, &definition(1));
    apply(&mut storage, &definition(2));
    apply(&mut storage, &definition(2).inverse().unwrap());
    assert_eq!(storage.definitions().unwrap(), [RowId(1)]);
}

fn a_conflict_names_the_holder_and_applies_nothing<S: Storage>(create: Create<S>) {
    let mut storage = with_rows(create, 2);
    apply(&mut storage, &adding([unique(1, "a"), unique(1, "b")]));
    let before = content_of(&storage);
    let write = WriteSet {
        rows: vec![RowChange::insert(RowId(3), row(3))],
        ..adding([unique(2, "c"), unique(2, "b"), unique(2, "a")])
    };
    storage.begin().unwrap();
    let conflicts = storage.apply(&write).unwrap();
    storage.commit().unwrap();
    let conflict = |value: &str| Conflict {
        constraint: ConstraintId::DEFINITION_NAME,
        value: value.to_owned(),
        holder: RowId(1),
    };
    assert_eq!(conflicts, ["b", "a"].map(conflict));
    assert_eq!(content_of(&storage), before);
}

fn a_value_may_be_added_again_by_its_holder<S: Storage>(create: Create<S>) {
    let mut storage = with_rows(create, 1);
    apply(&mut storage, &adding([unique(1, "a")]));
    apply(&mut storage, &adding([unique(1, "a"), unique(1, "b")]));
    let holder = |value| storage.find_unique(ConstraintId::DEFINITION_NAME, value).unwrap();
    assert_eq!(["a", "b", "c"].map(holder), [Some(RowId(1)), Some(RowId(1)), None]);
}

fn a_transaction_that_is_rolled_back_leaves_nothing<S: Storage>(create: Create<S>) {
    let mut storage = with_rows(create, 1);
    let before = content_of(&storage);
    storage.begin().unwrap();
    assert!(storage.in_transaction());
    let write = WriteSet {
        rows: vec![RowChange::insert(RowId(2), row(2))],
        ..adding([unique(2, "a"), member(1, 2)])
    };
    assert_eq!(storage.apply(&write).unwrap(), []);
    assert_ne!(content_of(&storage), before, "a transaction sees its own writes");
    storage.roll_back();
    assert!(!storage.in_transaction());
    assert_eq!(content_of(&storage), before);
    storage.roll_back();
    assert_eq!(content_of(&storage), before, "there was nothing to roll back");
}

/// Storage may postpone the update of a row, as SQLite does, and merge later updates into it. Each method
/// that reads must find the last update nevertheless. The rows have the commit numbers 1 and 2, so after
/// commit 2 only an updated row is found.
fn every_read_finds_the_last_of_several_updates_of_a_row<S: Storage>(create: Create<S>) {
    type Read<S> = fn(&mut S) -> CommitSeq;
    let reads: [Read<S>; 9] = [
        |storage| storage.row(RowId(1)).unwrap().unwrap().commit,
        |storage| storage.find("p1").unwrap().unwrap().1.commit,
        |storage| storage.record("p1").unwrap().unwrap().commit,
        |storage| storage.next_row(RowId(0), CommitSeq(2)).unwrap().unwrap().1.commit,
        |storage| storage.next_rows(RowId(0), CommitSeq(2), 1).unwrap()[0].1.commit,
        |storage| storage.last_numbers().unwrap().commit,
        |storage| select_first(storage, |storage, plan, visit| storage.select(plan, visit)),
        |storage| {
            select_first(storage, |storage, plan, visit| {
                storage.select_with_ids(plan, &mut |_, record| visit(record))
            })
        },
        |storage| {
            // A rollback leaves what was committed before it.
            storage.commit().unwrap();
            storage.begin().unwrap();
            storage.roll_back();
            storage.begin().unwrap();
            storage.row(RowId(1)).unwrap().unwrap().commit
        },
    ];
    for read in reads {
        let mut storage = with_rows(create, 2);
        storage.begin().unwrap();
        let mut stored = row(1);
        // One read after a single update, one after two further updates, and one after three.
        for count in 1..4 {
            for nth in 0..count {
                stored = update(&mut storage, stored, 10 * count + nth);
            }
            assert_eq!(read(&mut storage), stored.commit);
        }
        storage.commit().unwrap();
        // A rollback undoes all updates of a row, also if another row was written between them.
        storage.begin().unwrap();
        let updated = (50..53).fold(stored.clone(), |row, number| update(&mut storage, row, number));
        let insert = WriteSet { rows: vec![RowChange::insert(RowId(3), row(3))], ..WriteSet::default() };
        assert_eq!(storage.apply(&insert).unwrap(), []);
        update(&mut storage, updated, 53);
        storage.roll_back();
        assert_eq!(storage.row(RowId(1)).unwrap(), Some(stored));
        assert_eq!(storage.row(RowId(3)).unwrap(), None);
    }
}

/// Updates row 1, which is `before`, and returns the new row. The new row has the commit number `number`. The
/// time of creation is set to the same number, for [`select_first`]: a record that a select finds has no
/// commit number.
fn update(storage: &mut impl Storage, before: Row, number: i64) -> Row {
    let created_at = Timestamp::from_millis(number);
    let after = Row { commit: CommitSeq(number), created_at, ..before.clone() };
    let change = RowChange::replace(RowId(1), before, after.clone());
    assert_eq!(storage.apply(&WriteSet { rows: vec![change], ..WriteSet::default() }).unwrap(), []);
    after
}

/// The commit number of the first record that a select finds, read from its time of creation: see [`update`].
fn select_first<S: Storage>(
    storage: &S,
    run: fn(&S, &Plan<'_>, Visitor<'_>) -> miko_rpc::Result<()>,
) -> CommitSeq {
    let select = SelectRequest::default();
    let residual_filter_reason = storage.capabilities().residual_filter_reason;
    let plan = Plan {
        select: &select,
        access_path: AccessPath::Everything,
        predicates: Vec::new(),
        residual_filter_reason,
    };
    let mut found = None;
    run(storage, &plan, &mut |record| {
        found = Some(record.created_at);
        Ok(ControlFlow::Break(()))
    })
    .unwrap();
    CommitSeq(found.unwrap().as_millis())
}

fn the_stricter_of_two_declarations_of_a_reference_is_stored<S: Storage>(create: Create<S>) {
    let mut storage = with_rows(create, 2);
    let refers = |restricts| reference("p2", 1, restricts);
    // The entries of the record before and after a write, and whether the stored reference restricts then.
    // Two classes of the record may declare the same field, one of them as restricting.
    for (before, after, restricts) in [
        (vec![], vec![refers(false), refers(true), refers(false)], true),
        (vec![refers(true)], vec![refers(false)], false),
        (vec![refers(false)], vec![refers(true)], true),
    ] {
        let mut write = WriteSet::default();
        write.change_entries(before, after);
        apply(&mut storage, &write);
        assert!(storage.refers("p2", RowId(1), "/bucket/to").unwrap());
        assert_eq!(storage.restricting_references("p2", 10).unwrap().len(), usize::from(restricts));
    }
}

fn a_chunk_is_read_in_parts<S: Storage>(create: Create<S>) {
    let mut storage = create(NOT_TEMPORAL);
    let chunk = RowChange::insert((FileId(1), 0), vec![0, 1, 2, 3, 4]);
    apply(&mut storage, &OtherChanges { chunks: vec![chunk], ..OtherChanges::default() }.into());
    let cases: [(u64, usize, &[u8]); 7] = [
        (0, 5, &[0, 1, 2, 3, 4]),
        (1, 2, &[1, 2]),
        (3, 100, &[3, 4]),
        (0, 0, &[]),
        (5, 1, &[]),
        // The largest `max` that is an `i64`: SQLite stores integers as `i64`.
        (u64::MAX, usize::MAX >> 1, &[]),
        (4, 1, &[4]),
    ];
    for (offset, max, expected) in cases {
        let part = storage.chunk(FileId(1), 0, offset, max).unwrap();
        assert_eq!(part, Some((expected.to_vec(), 5)), "{offset} {max}");
    }
    assert_eq!(storage.chunk(FileId(1), 1, 0, 5).unwrap(), None);
}

fn a_chunk_of_any_index_is_read_as_it_was_written<S: Storage>(create: Create<S>) {
    let mut storage = create(NOT_TEMPORAL);
    // The first index that is no `i64`: SQLite stores integers as `i64`.
    let beyond_i64 = 1 << 63;
    let indexes: [u64; 7] = [0, 1, beyond_i64 - 2, beyond_i64 - 1, beyond_i64, u64::MAX - 1, u64::MAX];
    for (last_written, index) in indexes.into_iter().enumerate() {
        let chunk = RowChange::insert((FileId(1), index), vec![last_written as u8]);
        apply(&mut storage, &OtherChanges { chunks: vec![chunk], ..OtherChanges::default() }.into());
        for (nth, index) in indexes.into_iter().enumerate() {
            let expected = (nth <= last_written).then(|| (vec![nth as u8], 1));
            let found = storage.chunk(FileId(1), index, 0, 5).unwrap();
            assert_eq!(found, expected, "{index} after {last_written}");
        }
    }
}

fn records_are_selected_once_each_in_order_of_creation<S: Storage>(create: Create<S>) {
    let mut storage = with_rows(create, 4);
    let tombstone = Row { state: None, ..row(4) };
    let write = WriteSet {
        rows: vec![RowChange::replace(RowId(4), row(4), tombstone)],
        ..adding([member(1, 3), member(1, 1), member(2, 1), member(2, 2), member(2, 4)])
    };
    apply(&mut storage, &write);
    let pks = |pks: &[&str]| pks.iter().map(|&pk| pk.to_owned()).collect::<Vec<_>>();
    // `p4` is deleted, `p9` does not exist, and `p3` is given twice.
    let (several, one) = (pks(&["p3", "p1", "p4", "p9", "p3"]), pks(&["p1"]));
    let members = |ids: &[i64]| {
        let ids = ids.iter().map(|id| ClassId(*id)).collect();
        AccessPath::Members(Classes { names: &[], ids })
    };
    let cases = [
        (AccessPath::Everything, vec!["p1", "p2", "p3"]),
        (AccessPath::Pks(several.into()), vec!["p1", "p3"]),
        (AccessPath::Pks(one.into()), vec!["p1"]),
        (members(&[1]), vec!["p1", "p3"]),
        (members(&[1, 2]), vec!["p1", "p2", "p3"]),
        (members(&[7]), vec![]),
        (members(&[]), vec![]),
    ];
    for (access_path, expected) in cases {
        let description = format!("{access_path:?}");
        assert_eq!(selected(&storage, access_path, Vec::new()), expected, "{description}");
    }
    if storage.capabilities().residual_filter_reason.is_none() {
        let names = pks(&["a.b/class-1"]);
        let classes = Predicate::Classes(Classes { names: &names, ids: vec![ClassId(1)] });
        assert_eq!(selected(&storage, AccessPath::Everything, vec![classes]), ["p1", "p3"]);
    }
}

fn a_visitor_may_end_a_select<S: Storage>(create: Create<S>) {
    let storage = with_rows(create, 3);
    let select = SelectRequest::default();
    let plan = Plan {
        select: &select,
        access_path: AccessPath::Everything,
        predicates: Vec::new(),
        // Every storage runs a plan with a residual filter, also one that can filter by itself.
        residual_filter_reason: Some("this is a test"),
    };
    let mut visited = 0;
    storage
        .select(&plan, &mut |_| {
            visited += 1;
            Ok(if visited == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
    assert_eq!(visited, 2);
}

fn generated_writes_have_the_effect_that_they_have_on_naive_storage<S: Storage>(create: Create<S>) {
    let steps = prop::collection::vec(step(), 1..40);
    proptest!(ProptestConfig::with_cases(64), |(is_temporal: bool, steps in steps)| {
        let mut pair = Pair::new(create(is_temporal), is_temporal);
        for step in &steps {
            pair.run(step);
            prop_assert_eq!(content_of(&pair.storage), content_of(&pair.naive), "after {:?}", step);
        }
    });
}

/// One step of a generated sequence.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    Commit,
    RollBack,
    /// Applies a write set with these changes.
    Write(Vec<Op>),
    /// Applies the inverse of the last write set of the transaction.
    Revert,
}

/// A change, as a part of a write set. `Constraint`, `File`, `Chunk`, `Claim` and `Metadata` insert a row if
/// it is missing, and otherwise remove or replace it.
#[derive(Debug, Clone)]
enum Op {
    /// Creates a record.
    Create,
    /// Rewrites the record with this row id, if it exists.
    Rewrite(i64),
    /// Deletes the record with this row id, if it exists.
    Delete(i64),
    /// Adds an index entry, or removes it if it exists.
    Toggle(IndexEntry),
    /// The constraint at this index in [`constraints`].
    Constraint(usize),
    /// The file with this id.
    File(i64),
    /// The chunk with this index (the second number) of the file with this id (the first number).
    Chunk(i64, u64),
    /// Removes all chunks of the file with this id.
    RemoveChunks(i64),
    /// The claim of the record with this row id.
    Claim(i64),
    /// The metadata with the key `key`, followed by this number.
    Metadata(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        2 => Just(Step::Revert),
        8 => prop::collection::vec(op(), 1..5).prop_map(Step::Write),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let small = || 1..4_i64;
    let value = || prop::sample::select(vec!["a", "b", "ab"]);
    let entry = prop_oneof![
        (small(), small()).prop_map(|(class, id)| member(class, id)),
        (small(), value()).prop_map(|(id, value)| unique(id, value)),
        (small(), value()).prop_map(|(id, value)| indexed(id, value)),
        (small(), small(), any::<bool>()).prop_map(|(target, id, restricts)| reference(
            &format!("p{target}"),
            id,
            restricts
        )),
    ];
    prop_oneof![
        3 => Just(Op::Create),
        2 => small().prop_map(Op::Rewrite),
        1 => small().prop_map(Op::Delete),
        6 => entry.prop_map(Op::Toggle),
        1 => (0..2_usize).prop_map(Op::Constraint),
        1 => small().prop_map(Op::File),
        1 => (small(), 0..3_u64).prop_map(|(file, index)| Op::Chunk(file, index)),
        1 => small().prop_map(Op::RemoveChunks),
        1 => small().prop_map(Op::Claim),
        1 => (0..2_u8).prop_map(Op::Metadata),
    ]
}

/// A storage and the naive storage, to which the same steps are applied. The fields after `is_temporal` are
/// what a step passes on to later steps.
struct Pair<S> {
    storage: S,
    naive: NaiveStorage,
    /// Whether both are temporal.
    is_temporal: bool,
    /// The commit number that was given out last.
    last_commit: CommitSeq,
    /// The index entries that exist now.
    entries: BTreeSet<IndexEntry>,
    /// The index entries that existed before the open transaction; those of the last commit if none is open.
    entries_before: BTreeSet<IndexEntry>,
    /// The write sets of the open transaction that were not reverted.
    applied: Vec<WriteSet>,
}

impl<S: Storage> Pair<S> {
    fn new(storage: S, is_temporal: bool) -> Self {
        Self {
            storage,
            naive: NaiveStorage::new(is_temporal),
            is_temporal,
            last_commit: CommitSeq::default(),
            entries: BTreeSet::new(),
            entries_before: BTreeSet::new(),
            applied: Vec::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Begin => self.begin(),
            Step::Commit => self.commit(),
            Step::RollBack => {
                self.storage.roll_back();
                self.naive.roll_back();
                self.entries = self.entries_before.clone();
                self.applied.clear();
            }
            Step::Write(ops) => {
                self.begin();
                let write = self.write_set(ops);
                self.check_that_an_inverse_alone_changes_nothing(&write);
                if self.apply(&write) {
                    self.applied.push(write);
                }
            }
            Step::Revert => {
                // Write sets can be undone only from the last one backwards. So a write set without an
                // inverse stays, and all write sets before it stay as well.
                if let Some(inverse) = self.applied.last().cloned().and_then(WriteSet::inverse) {
                    self.applied.pop();
                    assert!(self.apply(&inverse), "an inverse has no conflict");
                }
            }
        }
    }

    fn begin(&mut self) {
        if !self.storage.in_transaction() {
            self.storage.begin().unwrap();
            self.naive.begin().unwrap();
            self.entries_before = self.entries.clone();
        }
    }

    fn commit(&mut self) {
        if self.storage.in_transaction() {
            self.storage.commit().unwrap();
            self.naive.commit().unwrap();
            self.entries_before = self.entries.clone();
            self.applied.clear();
        }
    }

    /// Checks that the inverse of a write set changes nothing if the write set itself was not applied. So an
    /// inverse also undoes a write set of which only a part was applied: for the other part it has no effect.
    ///
    /// Write sets with `others` are not checked. They may remove rows, and the inverse would insert these
    /// rows although they are still there.
    fn check_that_an_inverse_alone_changes_nothing(&mut self, write: &WriteSet) {
        let before = content_of(&self.storage);
        if let Some(inverse) = write.clone().inverse().filter(|inverse| inverse.others.is_none()) {
            assert_eq!(self.storage.apply(&inverse).unwrap(), []);
            assert_eq!(content_of(&self.storage), before);
        }
    }

    /// Applies a write set to both storages. Returns whether it had no conflict, and so was applied.
    fn apply(&mut self, write: &WriteSet) -> bool {
        let conflicts = self.storage.apply(write).unwrap();
        assert_eq!(self.naive.apply(write).unwrap(), conflicts);
        if conflicts.is_empty() {
            self.entries.retain(|entry| !write.removed_entries.contains(entry));
            self.entries.extend(write.added_entries.iter().cloned());
        }
        conflicts.is_empty()
    }

    /// A write set with the changes of `ops`. As a write set of the engine, it changes each thing at most
    /// once: [`add_op`](Self::add_op) leaves out the other changes.
    fn write_set(&mut self, ops: &[Op]) -> WriteSet {
        let mut write = WriteSet::default();
        for op in ops {
            self.add_op(op, &mut write);
        }
        write
    }

    /// Adds the change of `op` to `write`, unless `write` changes the same table already. `Chunk` and
    /// `RemoveChunks` change the same table. Index entries are an exception: `write` may change any number of
    /// them, with different [keys](key_of).
    fn add_op(&mut self, op: &Op, write: &mut WriteSet) {
        match op {
            Op::Create if write.rows.is_empty() => {
                let last = self.naive.last_numbers().unwrap();
                let id = last.row.next();
                let row = self.stamped(row(id.0));
                write.rows.push(RowChange::insert(id, row));
                // In a temporal database, each second record counts as a class definition. For any other
                // record `others` stays `None`, since `check_that_an_inverse_alone_changes_nothing` skips
                // write sets with `others`.
                if self.is_temporal && id.0 % 2 == 0 {
                    write.others_mut().definitions.push(id);
                }
            }
            Op::Rewrite(id) => self.replace(RowId(*id), write, |commit| {
                Some(State { bucket: json!({"n": commit}).to_string(), stack: "{}".to_owned(), extras: None })
            }),
            Op::Delete(id) => self.replace(RowId(*id), write, |_| None),
            Op::Toggle(entry) if !is_changed(write, entry) => match self.entries.contains(entry) {
                true => write.removed_entries.push(entry.clone()),
                false => {
                    // A record has at most one reference to a target at a pointer. If the record has one,
                    // which then differs in `restricts`, the new entry replaces it.
                    let other = self.entries.iter().find(|other| key_of(other) == key_of(entry));
                    let replaced = other.filter(|_| matches!(entry, IndexEntry::Reference { .. }));
                    write.removed_entries.extend(replaced.cloned());
                    write.added_entries.push(entry.clone());
                }
            },
            Op::Constraint(index) if write.others_mut().constraints.is_empty() => {
                let constraint = constraints()[*index].clone();
                write.others_mut().constraints.push(match self.naive.constraint_id(&constraint).unwrap() {
                    Some(id) => RowChange::remove(id, constraint),
                    None => {
                        RowChange::insert(self.naive.last_numbers().unwrap().constraint.next(), constraint)
                    }
                });
            }
            Op::File(id) if write.others_mut().files.is_empty() => {
                let id = FileId(*id);
                let file = FileRow {
                    pk: format!("f{id}"),
                    sha256: (id.0 % 2 == 0).then(|| "digest".to_owned()),
                    mime: r#"{"type":"text/plain"}"#.to_owned(),
                    size: self.last_commit.0 as u64,
                    created_at: Timestamp::FIRST,
                };
                // An existing file is removed if its size is even, and otherwise replaced. The size is a
                // commit number, so both happen equally often.
                write.others_mut().files.push(match self.naive.find_file(&file.pk).unwrap() {
                    Some((_, before)) if before.size % 2 == 0 => RowChange::remove(id, before),
                    Some((_, before)) => RowChange::replace(id, before, file),
                    None => RowChange::insert(id, file),
                });
            }
            Op::Chunk(file, index) if !changes_chunks(write) => {
                let key = (FileId(*file), *index);
                let data = vec![7; *file as usize];
                let before = self.naive.chunk(key.0, key.1, 0, 100).unwrap().map(|(data, _)| data);
                write.others_mut().chunks.push(RowChange {
                    key,
                    after: before.is_none().then_some(data),
                    before,
                });
            }
            Op::RemoveChunks(file) if !changes_chunks(write) => {
                write.others_mut().removed_chunks.push(FileId(*file));
            }
            Op::Claim(id) if write.others_mut().claims.is_empty() => {
                let key = RowId(*id);
                let all = self.naive.claims().unwrap();
                let before = all.into_iter().find(|(row, _)| *row == key).map(|(_, claim)| claim);
                let attempts = before.as_ref().map_or(0, |claim| claim.attempts) + 1;
                let claim = ClaimRow {
                    id: format!("claim-{id}-{attempts}"),
                    attempts,
                    lease_end: Timestamp::from_millis(attempts as i64),
                    lasting_select: (attempts % 2 == 0).then(|| "{}".to_owned()),
                };
                // Each fourth attempt removes the claim.
                let after = (attempts % 4 != 0).then_some(claim);
                write.others_mut().claims.push(RowChange { key, before, after });
            }
            Op::Metadata(key) if write.others_mut().metadata.is_empty() => {
                let key = format!("key{key}");
                let before = self.naive.metadata(&key).unwrap();
                let after = before.is_none().then(|| json!([1, {"a": "b"}]));
                write.others_mut().metadata.push(RowChange { key, before, after });
            }
            _ => {}
        }
    }

    /// Adds the change of a row to `write`, unless the row is missing or `write` changes a row already.
    /// `make_state` makes the new state from the commit number of the change.
    fn replace(&mut self, id: RowId, write: &mut WriteSet, make_state: impl FnOnce(i64) -> Option<State>) {
        let Some(before) = self.naive.row(id).unwrap().filter(|_| write.rows.is_empty()) else { return };
        let after = self.stamped(before.clone());
        let after = Row { state: make_state(after.commit.0), ..after };
        if self.is_temporal {
            write.versions.push(RowChange::insert(id, before.clone()));
        }
        write.rows.push(RowChange::replace(id, before, after));
    }

    /// The row with the time, commit number and instance pk of a new write.
    fn stamped(&mut self, row: Row) -> Row {
        self.last_commit = self.last_commit.next();
        // Two commit numbers share a time, to test versions with equal times.
        let updated_at = Timestamp::from_millis(self.last_commit.0 / 2);
        let instance_pk = self.is_temporal.then(|| format!("i{}", self.last_commit));
        Row { updated_at, commit: self.last_commit, instance_pk, ..row }
    }
}

fn changes_chunks(write: &WriteSet) -> bool {
    write.others.as_ref().is_some_and(|others| !others.chunks.is_empty() || !others.removed_chunks.is_empty())
}

/// Whether a write set changes an entry with the [key](key_of) of `entry`.
fn is_changed(write: &WriteSet, entry: &IndexEntry) -> bool {
    write.added_entries.iter().chain(&write.removed_entries).any(|changed| key_of(changed) == key_of(entry))
}

/// The key of an entry. Two entries with the same key cannot exist together. A key is represented by the
/// entry itself, with fixed values in the fields that are not a part of the key.
fn key_of(entry: &IndexEntry) -> IndexEntry {
    match entry.clone() {
        IndexEntry::Unique { constraint, value, .. } => {
            IndexEntry::Unique { constraint, value, row: RowId(0) }
        }
        IndexEntry::Reference { target, row, pointer, .. } => {
            IndexEntry::Reference { target, row, pointer, restricts: false }
        }
        other => other,
    }
}

/// A storage with `count` records, whose pks are `p1`, `p2` and so on, and with the classes 1 and 2, which
/// have no members.
fn with_rows<S: Storage>(create: Create<S>, count: i64) -> S {
    let mut storage = create(NOT_TEMPORAL);
    let rows = (1..=count).map(|number| RowChange::insert(RowId(number), row(number))).collect();
    let class = |number| RowChange::insert(ClassId(number), format!("a.b/class-{number}"));
    let others = OtherChanges { classes: vec![class(1), class(2)], ..OtherChanges::default() };
    apply(&mut storage, &WriteSet { rows, ..others.into() });
    storage
}

/// Applies a write set in a separate transaction.
#[track_caller]
fn apply(storage: &mut impl Storage, write: &WriteSet) {
    storage.begin().unwrap();
    assert_eq!(storage.apply(write).unwrap(), []);
    storage.commit().unwrap();
}

/// A row whose pk, content, times and commit number are made from `number`.
fn row(number: i64) -> Row {
    Row {
        pk: format!("p{number}"),
        state: Some(State {
            bucket: json!({"n": number}).to_string(),
            stack: "{}".to_owned(),
            extras: (number % 2 == 0).then(|| json!({"meta": {}}).to_string()),
        }),
        created_at: Timestamp::from_millis(number),
        updated_at: Timestamp::from_millis(number),
        commit: CommitSeq(number),
        instance_pk: None,
    }
}

/// A write set that adds these index entries.
fn adding<const N: usize>(entries: [IndexEntry; N]) -> WriteSet {
    WriteSet { added_entries: entries.to_vec(), ..WriteSet::default() }
}

fn member(class: i64, row: i64) -> IndexEntry {
    IndexEntry::Member { class: ClassId(class), row: RowId(row) }
}

/// A value of the constraint that every storage has from the start.
fn unique(row: i64, value: &str) -> IndexEntry {
    IndexEntry::Unique { constraint: ConstraintId::DEFINITION_NAME, value: value.to_owned(), row: RowId(row) }
}

fn indexed(row: i64, value: &str) -> IndexEntry {
    IndexEntry::Indexed {
        constraint: ConstraintId::DEFINITION_NAME,
        value: value.to_owned(),
        row: RowId(row),
    }
}

fn reference(target: &str, row: i64, restricts: bool) -> IndexEntry {
    let pointer = "/bucket/to".to_owned();
    IndexEntry::Reference { target: target.to_owned(), row: RowId(row), pointer, restricts }
}

/// A class with two constraints.
fn class() -> Arc<crate::class::Class> {
    let definition = json!({"name": "a.b/c", "fields": {
        "code": {"class": "string", "unique": true}, "type": {"class": "string", "index": true},
    }});
    let mut faults = FaultList::default();
    let definition = Definition::read(definition.as_object().unwrap(), Place::Root, &mut faults).unwrap();
    Catalog::of([definition]).unwrap().class("a.b/c").unwrap().clone()
}

/// The constraints of [`class`].
fn constraints() -> Vec<Constraint> {
    class().constraints.iter().map(|constraint| Constraint::clone(constraint)).collect()
}

/// The pks that `Storage::select` finds. Checks that the methods which return row ids find the same records.
fn selected(
    storage: &impl Storage,
    access_path: AccessPath<'_>,
    predicates: Vec<Predicate<'_>>,
) -> Vec<String> {
    let select = SelectRequest::default();
    let residual_filter_reason = storage.capabilities().residual_filter_reason;
    let mut found = Vec::new();
    let plan = Plan { select: &select, access_path, predicates, residual_filter_reason };
    storage
        .select(&plan, &mut |record| {
            found.push(record.pk.to_owned());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let mut ids = Vec::new();
    storage
        .select_with_ids(&plan, &mut |id, record| {
            ids.push((id, record.pk.to_owned()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert!(ids.iter().map(|(_, pk)| pk).eq(&found));
    assert!(ids.iter().all(|(id, pk)| storage.row(*id).unwrap().unwrap().pk == *pk));
    if residual_filter_reason.is_none() {
        let rows = storage.select_row_ids(&plan).unwrap();
        let pks = rows.iter().map(|id| storage.row(*id).unwrap().unwrap().pk);
        assert_eq!(pks.collect::<Vec<_>>(), found);
    }
    found
}

/// All content that the methods of the trait return, as lines of text. Where several methods return the same
/// content, checks that they agree. Calls the methods for versions and definitions only if the storage is
/// temporal, as the engine does.
fn content_of(storage: &impl Storage) -> Vec<String> {
    let is_temporal = storage.capabilities().is_temporal;
    let definitions = if is_temporal { storage.definitions().unwrap() } else { Vec::new() };
    assert!(definitions.iter().all(|id| storage.row(*id).unwrap().is_some()), "{definitions:?}");
    let mut lines = vec![format!("{:?} {definitions:?}", storage.last_numbers().unwrap())];
    let mut line = |what: String| lines.push(what);
    let mut last = RowId::default();
    while let Some((id, row)) = storage.next_row(last, CommitSeq::default()).unwrap() {
        last = id;
        assert_eq!(storage.row(id).unwrap().as_ref(), Some(&row));
        assert_eq!(storage.find(&row.pk).unwrap(), Some((id, row.clone())));
        let active = row.state.as_ref().map(|_| row.clone());
        assert_eq!(storage.record(&row.pk).unwrap().map(|record| record.to_row(&row.pk)), active);
        let later = storage.next_row(RowId::default(), row.commit).unwrap().map(|(id, _)| id);
        line(format!("{id} {row:?}, then {later:?}"));
        let versions = if is_temporal { versions(storage, id).unwrap() } else { Vec::new() };
        let mut position = (Timestamp::from_millis(i64::MIN), "");
        for version in &versions {
            assert_eq!(storage.next_version(id, position).unwrap().as_ref(), Some(version));
            position = version.position();
        }
        assert_eq!(versions.last().and_then(|_| storage.next_version(id, position).unwrap()), None);
        for version in versions {
            let time = version.updated_at.as_millis();
            let at = |millis| storage.version_at(id, Timestamp::from_millis(millis)).unwrap();
            let found =
                version.instance_pk.as_ref().map(|instance_pk| storage.find_version(instance_pk).unwrap());
            line(format!("{version:?} {:?} {found:?}", [time - 1, time].map(at)));
        }
    }
    for number in 1..4 {
        let (class, target) = (ClassId(number), format!("p{number}"));
        line(format!("{:?}", storage.class_id(&format!("a.b/class-{number}")).unwrap()));
        line(format!("members {:?}", storage.members(class).unwrap()));
        let refers = [1, 2, 3].map(|row| storage.refers(&target, RowId(row), "/bucket/to").unwrap());
        line(format!("references {refers:?} {:?}", storage.restricting_references(&target, 2).unwrap()));
        line(format!("{:?}", storage.metadata(&format!("key{number}")).unwrap()));
        let chunk = |index| storage.chunk(FileId(number), index, 1, 2).unwrap();
        line(format!("{:?} {:?}", storage.find_file(&format!("f{number}")).unwrap(), [0, 1, 2].map(chunk)));
    }
    line(format!("{:?}", storage.find_file_by_sha256("digest").unwrap()));
    line(format!("{:?}", storage.claims().unwrap()));
    each_file(storage, |id, file| line(format!("{id} {file:?}"))).unwrap();
    for constraint in constraints() {
        line(format!("{:?}", storage.constraint_id(&constraint).unwrap()));
    }
    for keys in [vec!["a"], vec!["b"], vec!["ab", "a"], vec!["c"], vec![]] {
        let holder = |key: &&str| storage.find_unique(ConstraintId::DEFINITION_NAME, key).unwrap();
        let holders: Vec<_> = keys.iter().map(holder).collect();
        // Storage finds the values by the id of the constraint; class and position do not matter. The lookup
        // of a unique constraint reads unique and indexed values.
        let lookup = IndexLookup {
            constraint: ConstraintId::DEFINITION_NAME,
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            is_unique: true,
            class: class(),
            position: 0,
        };
        let found = selected(storage, AccessPath::Index(lookup), Vec::new());
        line(format!("values {keys:?}: {holders:?} {found:?}"));
    }
    lines
}

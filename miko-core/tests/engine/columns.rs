//! Scans agree with a model, whatever was written and scanned before: columns are kept between scans.

use miko_core::{Engine, Mikobase, MikobaseExt, SqliteEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, cases, db};

/// The number of values of the field `kind`.
const KINDS: u64 = 12;

/// A `usize` chooses one of the existing records: see [`Run::index`].
#[derive(Debug, Clone)]
enum Step {
    /// Creates a record of the subclass or of the base class, with a kind.
    Create(bool, u64),
    Update(usize, u64),
    Delete(usize),
    /// An atomic batch that updates, creates, scans and deletes, and whose last request fails if asked to.
    Batch {
        updated: usize,
        deleted: usize,
        kind: u64,
        fails: bool,
    },
    /// An update that would take the unique value of another record.
    Conflict(usize, usize),
    /// The records of the class or the subclass with a kind.
    Scan(bool, u64),
    /// The same as a stream, from a class, or from all records.
    Stream(Option<bool>, u64),
    /// The last records by a field of which most values are distinct, among those with an indexed value.
    Last(bool, u64),
    /// Moves a record between the classes.
    Reclass(usize),
    /// Imports a new record, and one in place of another if there is one.
    Import(usize, u64),
    /// Moves the subclass below another class, or back.
    MoveSubclass,
}

fn step() -> impl Strategy<Value = Step> {
    let record = || any::<usize>();
    let kind = || 0..KINDS;
    prop_oneof![
        5 => (any::<bool>(), kind()).prop_map(|(is_sub, kind)| Step::Create(is_sub, kind)),
        3 => (record(), kind()).prop_map(|(record, kind)| Step::Update(record, kind)),
        1 => record().prop_map(Step::Delete),
        2 => (record(), record(), kind(), any::<bool>())
            .prop_map(|(updated, deleted, kind, fails)| Step::Batch { updated, deleted, kind, fails }),
        1 => (record(), record()).prop_map(|(one, other)| Step::Conflict(one, other)),
        4 => (any::<bool>(), kind()).prop_map(|(is_sub, kind)| Step::Scan(is_sub, kind)),
        4 => (prop::option::of(any::<bool>()), kind()).prop_map(|(class, kind)| Step::Stream(class, kind)),
        3 => (any::<bool>(), kind()).prop_map(|(is_sub, kind)| Step::Last(is_sub, kind)),
        1 => record().prop_map(Step::Reclass),
        1 => (record(), kind()).prop_map(|(record, kind)| Step::Import(record, kind)),
        1 => Just(Step::MoveSubclass),
    ]
}

#[derive(Debug, Clone)]
struct Expected {
    pk: String,
    is_sub: bool,
    kind: u64,
    serial: u64,
}

/// A database, and its records in order of creation.
struct Run {
    db: Local,
    records: Vec<Expected>,
    serial: u64,
    is_moved: bool,
}

fn class(is_sub: bool) -> &'static str {
    if is_sub { "a.b/sub" } else { "a.b/base" }
}

impl Run {
    fn new() -> Self {
        let run = Self { db: db(), records: Vec::new(), serial: 0, is_moved: false };
        run.define();
        run
    }

    fn define(&self) {
        let fields = json!({
            "serial": {"class": "number", "unique": true},
            "shelf": {"class": "number", "index": true},
            "kind": {"class": "string"},
        });
        let parent = if self.is_moved { "a.b/other" } else { "a.b/base" };
        let sub = json!({"inherits": [parent], "misc_fields": true, "fields": {}});
        let classes = json!({
            "a.b/base": {"fields": fields},
            "a.b/other": {"misc_fields": true, "fields": {}},
            "a.b/sub": sub,
        });
        self.db.import_schema(json!({ "classes": classes })).unwrap();
    }

    /// A bucket with a serial that no other record has had.
    fn bucket(&mut self, kind: u64) -> Value {
        self.serial += 1;
        json!({"kind": format!("kind {kind}"), "shelf": kind % 2, "serial": self.serial})
    }

    /// The index of the record that a number chooses; `None` if there are no records.
    fn index(&self, record: usize) -> Option<usize> {
        record.checked_rem(self.records.len())
    }

    /// Expects that a record was written with the kind and the last serial.
    fn expect_written(&mut self, index: usize, kind: u64) {
        (self.records[index].kind, self.records[index].serial) = (kind, self.serial);
    }

    /// Expects a new record with the kind and the last serial.
    fn expect_new(&mut self, pk: String, is_sub: bool, kind: u64) {
        self.records.push(Expected { pk, is_sub, kind, serial: self.serial });
    }

    /// The expected records of a class, or of all.
    fn of_class(&self, class: Option<bool>) -> impl Iterator<Item = &Expected> {
        let is_of = move |record: &&Expected| match class {
            None => true,
            Some(true) => record.is_sub,
            Some(false) => !record.is_sub || !self.is_moved,
        };
        self.records.iter().filter(is_of)
    }

    fn check(&self, select: &Value, expected: impl Iterator<Item = String>) {
        let found = self.db.q0(select.clone()).unwrap().into_records().unwrap();
        assert!(found.iter().map(|record| record.pk.clone()).eq(expected), "{select}");
    }

    fn scan(&self, is_sub: bool, kind: u64) {
        let select =
            json!({"action": "select", "class": class(is_sub), "path": ["kind", format!("kind {kind}")]});
        let of_kind = self.of_class(Some(is_sub)).filter(|record| record.kind == kind);
        self.check(&select, of_kind.map(|record| record.pk.clone()));
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Create(is_sub, kind) => {
                let bucket = self.bucket(kind);
                let pk = self.db.create(class(is_sub), &bucket).unwrap();
                self.expect_new(pk, is_sub, kind);
            }
            Step::Update(record, kind) => {
                let Some(index) = self.index(record) else { return };
                let bucket = self.bucket(kind);
                self.db.update(&self.records[index].pk, &bucket).unwrap();
                self.expect_written(index, kind);
            }
            Step::Delete(record) => {
                let Some(index) = self.index(record) else { return };
                self.db.delete(&self.records.remove(index).pk).unwrap();
            }
            Step::Batch { updated, deleted, kind, fails } => self.batch(updated, deleted, kind, fails),
            Step::Conflict(one, other) => {
                let (Some(one), Some(other)) = (self.index(one), self.index(other)) else { return };
                let (one, other) = (&self.records[one], &self.records[other]);
                let shares_serials = !self.is_moved || (!one.is_sub && !other.is_sub);
                if one.pk != other.pk && shares_serials {
                    let taken = json!({"kind": "kind 0", "shelf": 0, "serial": other.serial});
                    self.db.update(&one.pk, &taken).unwrap_err();
                }
            }
            Step::Scan(is_sub, kind) => self.scan(is_sub, kind),
            Step::Stream(class, kind) => self.stream(class, kind),
            Step::Last(is_sub, kind) => self.last(is_sub, kind),
            Step::Reclass(record) => self.reclass(record),
            Step::Import(record, kind) => self.import(record, kind),
            Step::MoveSubclass => {
                self.is_moved = !self.is_moved;
                self.define();
            }
        }
    }

    /// Moves a record to the other class. Its serial, which no other record ever has, is valid there too.
    fn reclass(&mut self, record: usize) {
        let Some(index) = self.index(record) else { return };
        let record = &mut self.records[index];
        record.is_sub = !record.is_sub;
        let request = json!({"action": "update", "pk": record.pk, "class": class(record.is_sub)});
        self.db.q0(request).unwrap();
    }

    fn import(&mut self, replaced: usize, kind: u64) {
        let (new, bucket) = (uuid::Uuid::now_v7().to_string(), self.bucket(kind));
        let mut records = json!({ &new: {"class": class(kind.is_multiple_of(2)), "bucket": bucket} });
        self.expect_new(new, kind.is_multiple_of(2), kind);
        if let Some(index) = self.index(replaced) {
            let bucket = self.bucket(kind);
            let Expected { pk, is_sub, .. } = &mut self.records[index];
            if records.get(&*pk).is_none() {
                *is_sub = kind.is_multiple_of(3);
                records[&*pk] = json!({"class": class(*is_sub), "bucket": bucket});
                self.expect_written(index, kind);
            }
        }
        let worldlet = json!({ "records": records }).to_string();
        self.db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    }

    fn stream(&self, of: Option<bool>, kind: u64) {
        let mut select = json!({"action": "select", "path": ["kind", {"ends-with": format!(" {kind}")}]});
        if let Some(is_sub) = of {
            select["class"] = class(is_sub).into();
        }
        let found: Result<Vec<_>, _> = self.db.select_stream(select).unwrap().collect();
        let found = found.unwrap().into_iter().map(|record| record.pk);
        let of_kind = self.of_class(of).filter(|record| record.kind == kind);
        assert!(found.eq(of_kind.map(|record| record.pk.clone())));
    }

    fn last(&self, is_sub: bool, kind: u64) {
        let select = json!({
            "action": "select", "class": class(is_sub), "path": ["shelf", kind % 2],
            "sort": ["serial", {"reverse": true}], "limit": 2, "offset": 1,
        });
        let mut on_shelf: Vec<_> =
            self.of_class(Some(is_sub)).filter(|record| record.kind % 2 == kind % 2).collect();
        on_shelf.sort_by_key(|record| std::cmp::Reverse(record.serial));
        self.check(&select, on_shelf.into_iter().skip(1).take(2).map(|record| record.pk.clone()));
    }

    fn batch(&mut self, updated: usize, deleted: usize, kind: u64, fails: bool) {
        let (Some(updated), Some(deleted)) = (self.index(updated), self.index(deleted)) else { return };
        let (update, create) = (self.bucket(kind), self.bucket(kind));
        let of_kind =
            json!({"action": "select", "class": "a.b/base", "path": ["kind", format!("kind {kind}")]});
        let deleted_pk = self.records[deleted].pk.clone();
        let mut requests = vec![
            json!({"action": "update", "pk": self.records[updated].pk, "bucket": update}),
            json!({"action": "create", "class": "a.b/base", "bucket": create}),
            of_kind,
            json!({"action": "delete", "pk": deleted_pk}),
        ];
        if fails {
            requests.push(json!({"action": "update", "pk": "none", "bucket": {}}));
        }
        let answers = self.db.batch(requests, true);
        assert_eq!(answers.is_err(), fails);
        let Ok(answers) = answers else { return };
        let created = answers[1].clone().unwrap().into_pk().unwrap();
        self.expect_written(updated, kind);
        // The update had the serial before the last one, which the create has.
        self.records[updated].serial -= 1;
        self.expect_new(created, false, kind);
        let found = answers[2].clone().unwrap().into_records().unwrap();
        let expected = self.of_class(Some(false)).filter(|record| record.kind == kind);
        assert!(found.iter().map(|record| &record.pk).eq(expected.map(|record| &record.pk)));
        self.records.retain(|record| record.pk != deleted_pk);
    }
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn scans_find_what_was_written_last(steps in prop::collection::vec(step(), 1..150)) {
        let mut run = Run::new();
        for step in &steps {
            run.run(step);
        }
        for kind in 0..KINDS {
            run.scan(false, kind);
            run.scan(true, kind);
            run.stream(None, kind);
        }
    }
}

/// A database of officers whose ranks have been scanned so often that they have a column.
fn officers(size: usize) -> SqliteEngine {
    let db = SqliteEngine::in_memory().unwrap().columns_size(size);
    db.import_schema(json!({"classes": {"a.b/officer": {"misc_fields": true, "fields": {}}}})).unwrap();
    let buckets = (0..3000).map(|number| json!({"rank": number % 11, "name": format!("Officer {number}")}));
    db.create_many("a.b/officer", buckets.map(Into::into).collect()).unwrap();
    for path in [json!(["rank", 3]), json!(["name", "Officer 3"])] {
        let select = json!({"action": "select", "class": "a.b/officer", "path": path});
        (0..3).for_each(|_| drop(db.q0(select.clone()).unwrap()));
    }
    db
}

/// The columns that a select by the path would use.
fn columns_of(db: &SqliteEngine, path: Value) -> Vec<String> {
    let select = json!({"action": "select", "class": "a.b/officer", "path": path});
    db.explain(select).unwrap().columns
}

#[test]
fn explain_lists_the_columns_that_a_select_uses() {
    let db = officers(1 << 20);
    assert_eq!(columns_of(&db, json!(["rank", {"gt": 3}])), [r#"["rank"]"#]);
    assert_eq!(columns_of(&db, json!(["age", 3])), [] as [&str; 0]);
}

#[test]
fn columns_stay_within_their_size() {
    for (size, ranks, names) in [(0, 0, 0), (30 << 10, 0, 0), (100 << 10, 1, 0), (1 << 20, 1, 1)] {
        let db = officers(size);
        assert_eq!(columns_of(&db, json!(["rank", 3])).len(), ranks, "{size}");
        assert_eq!(columns_of(&db, json!(["name", "x"])).len(), names, "{size}");
    }
}

#[test]
fn a_redefinition_drops_the_columns() {
    let db = officers(1 << 20);
    let fields = json!({"rank": {"class": "number"}});
    db.import_schema(json!({"classes": {"a.b/officer": {"misc_fields": true, "fields": fields}}})).unwrap();
    assert_eq!(columns_of(&db, json!(["rank", 3])), [] as [&str; 0]);
}

#[test]
fn a_select_that_may_fail_does_not_use_columns() {
    let db = officers(1 << 20);
    let select = json!({
        "action": "select", "class": "a.b/officer",
        "all": [{"path": ["rank", 3]}, {"path": ["name", {"placeholder": "unknown"}]}],
    });
    let explanation = db.explain(select.clone()).unwrap();
    assert!(explanation.columns.is_empty() && explanation.residual_filter_reason.is_some());
    db.q0(select).unwrap_err();
}

#[test]
fn streams_that_find_many_records_build_columns_and_selects_do_not() {
    for (streams, expected) in [(true, 1), (false, 0)] {
        let db = SqliteEngine::in_memory().unwrap();
        let buckets = (0..100).map(|number| json!({"rank": number % 11}).into());
        db.create_many("a.b/officer", buckets.collect()).unwrap();
        let select = json!({"action": "select", "class": "a.b/officer", "path": ["rank", {"gt": 3}]});
        for _ in 0..3 {
            match streams {
                true => drop(db.select_stream(select.clone()).unwrap()),
                false => drop(db.q0(select.clone()).unwrap()),
            }
        }
        assert_eq!(columns_of(&db, json!(["rank", 3])).len(), expected, "streams: {streams}");
    }
}

#[test]
fn a_select_whose_limit_lets_it_return_many_records_builds_no_columns() {
    for (limit, expected) in [(4, 1), (40, 0)] {
        let db = SqliteEngine::in_memory().unwrap();
        let buckets = (0..100).map(|number| json!({"rank": number % 11}).into());
        db.create_many("a.b/officer", buckets.collect()).unwrap();
        let select = json!({
            "action": "select", "class": "a.b/officer", "path": ["rank", {"gt": 3}],
            "sort": ["rank"], "limit": limit,
        });
        (0..3).for_each(|_| drop(db.q0(select.clone()).unwrap()));
        assert_eq!(columns_of(&db, json!(["rank", 3])).len(), expected, "limit {limit}");
    }
}

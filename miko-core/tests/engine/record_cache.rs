//! Reads by pk agree with a model, whatever was read before: records that were read are cached.

use std::collections::BTreeMap;

use miko_core::MikobaseExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, cases, db};

/// A step of the test. The numbers choose among the records that were created.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Update(usize),
    Edit(usize),
    Delete(usize),
    Read(usize),
    ReadMany(Vec<usize>),
    Select(Vec<usize>),
    /// Updates, reads and deletes in one atomic batch. If `fails`, it has one more request, which fails.
    Batch {
        updated: usize,
        read: usize,
        deleted: usize,
        fails: bool,
    },
    /// An update that would take the unique value of another record.
    Conflict(usize, usize),
    /// Reads as a stream, of which nothing is read, until the end.
    OpenStream,
    CloseStreams,
    /// Redefines the class.
    Define,
}

fn step() -> impl Strategy<Value = Step> {
    let any_record = || any::<usize>();
    let some = || prop::collection::vec(any::<usize>(), 0..6);
    prop_oneof![
        4 => Just(Step::Create),
        4 => any_record().prop_map(Step::Update),
        2 => any_record().prop_map(Step::Edit),
        1 => any_record().prop_map(Step::Delete),
        6 => any_record().prop_map(Step::Read),
        3 => some().prop_map(Step::ReadMany),
        3 => some().prop_map(Step::Select),
        3 => (any_record(), any_record(), any_record(), any::<bool>())
            .prop_map(|(updated, read, deleted, fails)| Step::Batch { updated, read, deleted, fails }),
        1 => (any_record(), any_record()).prop_map(|(one, other)| Step::Conflict(one, other)),
        1 => Just(Step::OpenStream),
        1 => Just(Step::CloseStreams),
        1 => Just(Step::Define),
    ]
}

/// A database, and the bucket of each record that was created, in that order; `None` after it was deleted.
struct Run {
    db: Local,
    pks: Vec<String>,
    model: BTreeMap<String, Option<Value>>,
    steps: u64,
    streams: Vec<miko_core::rpc::Stream<miko_core::Record>>,
}

impl Run {
    fn new() -> Self {
        let run = Self { db: db(), pks: Vec::new(), model: BTreeMap::new(), steps: 0, streams: Vec::new() };
        run.define();
        run
    }

    /// Defines the class. The bound of `step` differs each time, so that the definition is another one.
    fn define(&self) {
        let step = json!({"class": "number", "max": self.steps + 1_000_000});
        let fields = json!({"n": {"class": "number", "unique": true}, "step": step});
        self.db.import_schema(json!({"classes": {"a.b/c": {"fields": fields}}})).unwrap();
    }

    fn pk(&self, record: usize) -> &str {
        if self.pks.is_empty() { "none" } else { &self.pks[record % self.pks.len()] }
    }

    /// A bucket that no other record has had.
    fn bucket(&self) -> Value {
        json!({"n": self.steps, "step": self.steps})
    }

    fn is_active(&self, pk: &str) -> bool {
        self.model.get(pk).is_some_and(Option::is_some)
    }

    fn expect(&self, pk: &str) -> Option<Value> {
        self.model.get(pk).cloned().flatten()
    }

    fn run(&mut self, step: &Step) {
        self.steps += 1;
        match step {
            Step::Create => {
                let pk = self.db.create("a.b/c", &self.bucket()).unwrap();
                self.model.insert(pk.clone(), Some(self.bucket()));
                self.pks.push(pk);
            }
            Step::Update(record) => {
                let pk = self.pk(*record).to_owned();
                let updated = self.db.update(&pk, &self.bucket()).is_ok();
                assert_eq!(updated, self.is_active(&pk));
                if updated {
                    self.model.insert(pk, Some(self.bucket()));
                }
            }
            Step::Edit(record) => {
                let pk = self.pk(*record).to_owned();
                let edits = json!([{"path": ["step"], "increment": 1}]);
                let edited = self.db.q0(json!({"action": "edit", "pk": pk, "edits": edits}));
                assert_eq!(edited.is_ok(), self.is_active(&pk));
                if let (Ok(edited), Some(mut bucket)) = (edited, self.expect(&pk)) {
                    bucket["step"] = edited.into_values().unwrap().remove(0);
                    self.model.insert(pk, Some(bucket));
                }
            }
            Step::Delete(record) => {
                let pk = self.pk(*record).to_owned();
                assert_eq!(self.db.delete(&pk).is_ok(), self.is_active(&pk));
                self.model.entry(pk).and_modify(|bucket| *bucket = None);
            }
            Step::Read(record) => {
                let pk = self.pk(*record);
                let found = self.db.record_by_pk(pk).unwrap();
                assert_eq!(found.map(|record| record.bucket.to_map().unwrap().into()), self.expect(pk));
            }
            Step::ReadMany(records) => {
                let pks: Vec<String> = records.iter().map(|record| self.pk(*record).to_owned()).collect();
                let found = self.db.records_by_pks(pks.clone()).unwrap();
                let buckets = found.into_iter().map(|it| it.map(|it| it.bucket.to_map().unwrap().into()));
                assert!(buckets.eq(pks.iter().map(|pk| self.expect(pk))));
            }
            Step::Select(records) => {
                let asked: Vec<&str> = records.iter().map(|record| self.pk(*record)).collect();
                let found =
                    self.db.q0(json!({"action": "select", "pk": asked})).unwrap().into_records().unwrap();
                let expected =
                    self.pks.iter().filter(|pk| asked.contains(&pk.as_str()) && self.is_active(pk));
                assert!(found.iter().map(|record| &record.pk).eq(expected));
            }
            Step::Batch { updated, read, deleted, fails } => self.batch(*updated, *read, *deleted, *fails),
            Step::Conflict(one, other) => {
                let (one, other) = (self.pk(*one).to_owned(), self.pk(*other).to_owned());
                if one != other
                    && let (Some(_), Some(taken)) = (self.expect(&one), self.expect(&other))
                {
                    self.db.update(&one, &taken).unwrap_err();
                }
            }
            Step::OpenStream => {
                self.streams.push(self.db.select_stream(json!({"action": "select"})).unwrap())
            }
            Step::CloseStreams => self.streams.clear(),
            Step::Define => self.define(),
        }
    }

    fn batch(&mut self, updated: usize, read: usize, deleted: usize, fails: bool) {
        let [updated, read, deleted] = [updated, read, deleted].map(|record| self.pk(record).to_owned());
        let mut requests = vec![
            json!({"action": "update", "pk": updated, "bucket": self.bucket()}),
            json!({"action": "select", "pk": read}),
            json!({"action": "select", "pk": updated}),
            json!({"action": "delete", "pk": deleted, "if_exists": true}),
            json!({"action": "select", "pk": deleted}),
        ];
        if fails {
            requests.push(json!({"action": "update", "pk": "none", "bucket": {}}));
        }
        let answers = self.db.batch(requests, true);
        assert_eq!(answers.is_ok(), !fails && self.is_active(&updated));
        let Ok(answers) = answers else { return };
        let buckets = |index: usize| -> Vec<Value> {
            let records = answers[index].clone().unwrap().into_records().unwrap();
            records.iter().map(|record| record.bucket.to_map().unwrap().into()).collect()
        };
        self.model.insert(updated.clone(), Some(self.bucket()));
        assert_eq!(buckets(1), Vec::from_iter(self.expect(&read)));
        assert_eq!(buckets(2), [self.bucket()]);
        assert_eq!(buckets(4), [] as [Value; 0]);
        self.model.entry(deleted).and_modify(|bucket| *bucket = None);
    }
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn reads_by_pk_answer_what_was_written_last(steps in prop::collection::vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.run(step);
        }
        for pk in &run.pks {
            let found = run.db.record_by_pk(pk).unwrap();
            prop_assert_eq!(found.map(|record| record.bucket.to_map().unwrap().into()), run.expect(pk));
        }
    }
}

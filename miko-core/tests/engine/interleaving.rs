//! Calls in random order are answered as by an engine without caches: writes that succeed and fail,
//! redefinitions, transactions, claims, open streams, reads by pk, scans. No cache may change an answer.
//!
//! A failed run prints its seed, and `MIKOBASE_SEED` repeats it. In the long mode each run has a fresh seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use miko_core::rpc::Stream;
use miko_core::{Error, ErrorId, Record, Results};
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{Local, cases, db, is_long, naive};

/// The steps on one pair of databases, which is then replaced by an empty pair.
const STEPS_PER_RUN: u32 = 2000;

/// The number of steps is this many per case that `support::cases` allows: on an engine 1,600 in all, on a
/// share 200.
const STEPS_PER_CASE: u32 = 25;

/// The same in the long mode: with the 5,000 cases of `just long`, a million in all.
const STEPS_PER_CASE_IN_LONG_MODE: u32 = 200;

/// The environment variable with the seed of the run to repeat.
pub(crate) const SEED: &str = "MIKOBASE_SEED";

/// The number of values of the field `kind`, and that of the field `shelf`.
const KINDS: u64 = 9;
const SHELVES: u64 = 4;

/// No record is created by a single write once so many pks were given out. Batches and imports still create
/// some.
const MAX_RECORDS: usize = 160;

const CLASSES: [&str; 4] = ["a.b/base", "a.b/sub", "a.b/other", "a.b/undefined"];

/// A random number generator: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn choose<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// A stream of each of the two databases.
type Streams = [Stream<Record>; 2];

/// The tested database and the one without caches, which get the same calls.
struct Run {
    random: Random,
    tested: Local,
    uncached: Local,
    /// The pks that were given out, those of deleted records included.
    pks: Vec<String>,
    /// The last number that was given to a record. Numbers are unique, unless a step asks for a conflict.
    last: u64,
    streams: Vec<Streams>,
    /// The ids of each claim in the two databases, also of claims that have ended.
    claims: Vec<[String; 2]>,
    /// How many calls were answered with which error, or without one.
    outcomes: BTreeMap<String, u32>,
}

/// An answer as JSON, without times: those of the two databases differ.
fn comparable(answer: impl Serialize) -> Value {
    fn without_times(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|key, _| !["created_at", "updated_at"].contains(&key.as_str()));
                members.values_mut().for_each(without_times);
            }
            Value::Array(items) => items.iter_mut().for_each(without_times),
            _ => {}
        }
    }
    let mut json = serde_json::to_value(answer).unwrap();
    without_times(&mut json);
    json
}

fn comparable_result(answer: Result<impl Serialize, Error>) -> Value {
    match answer {
        Ok(answer) => json!({ "ok": comparable(answer) }),
        Err(error) => json!({ "error": comparable(error) }),
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let (random, pks) = (Random(seed), vec!["none".to_owned()]);
        let (streams, claims, outcomes) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut run =
            Self { random, tested: db(), uncached: naive(), pks, last: 0, streams, claims, outcomes };
        // An import of a schema would give the definitions of the two databases different pks.
        for class in ["a.b/base", "a.b/sub", "a.b/other"] {
            let bucket = json!({"name": class, "fields": {}});
            run.q0(&json!({"action": "create", "class": "puck.uno/class", "pk": class, "bucket": bucket}));
        }
        run.define();
        run
    }

    /// Makes a call on both databases, whose answers must be equal. `what` describes the call in a failure.
    #[track_caller]
    fn both<T: Serialize>(&mut self, what: &Value, call: impl Fn(&Local) -> Result<T, Error>) {
        let answers = [&self.tested, &self.uncached].map(&call);
        self.compare(what, answers);
    }

    #[track_caller]
    fn compare<T: Serialize>(&mut self, what: &Value, answers: [Result<T, Error>; 2]) {
        let outcome = answers[0].as_ref().err().map_or("ok", |error| error.id().as_str());
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        let [tested, uncached] = answers.map(comparable_result);
        assert_eq!(tested, uncached, "{what}");
    }

    #[track_caller]
    fn q0(&mut self, request: &Value) {
        self.both(request, |db| db.q0(request.clone()));
    }

    fn pk(&mut self) -> String {
        self.random.choose(&self.pks).clone()
    }

    /// A pk for a new record.
    fn new_pk(&mut self) -> String {
        let pk = format!("r{}", self.pks.len());
        self.pks.push(pk.clone());
        pk
    }

    fn class(&mut self) -> &'static str {
        CLASSES[self.random.below(CLASSES.len() as u64) as usize]
    }

    /// A bucket that is valid, or now and then breaks a rule of the classes.
    fn bucket(&mut self) -> Value {
        self.last += 1;
        let (kind, shelf) = (self.random.below(KINDS), self.random.below(SHELVES));
        let taken = self.last - self.random.below(self.last.min(20));
        let serial = if self.random.one_in(6) { taken } else { self.last };
        let mut bucket = json!({"serial": serial, "shelf": shelf, "kind": format!("kind {kind}")});
        match self.random.below(24) {
            0..2 => bucket["kind"] = json!(kind),
            2 => bucket["shelf"] = json!("none"),
            3..6 => drop(bucket.as_object_mut().unwrap().remove("kind")),
            6..9 => bucket["note"] = json!({"deep": [kind, null]}),
            _ => {}
        }
        bucket
    }

    /// Defines the classes. Some definitions fail where records are in their way.
    fn define(&mut self) {
        let schema = self.schema();
        self.both(&schema, |db| db.import_schema(schema.clone()));
    }

    /// One of several definitions of the classes.
    fn schema(&mut self) -> Value {
        let mut fields = json!({
            "serial": {"class": "number", "unique": true},
            "shelf": {"class": "number", "index": true},
            "kind": {"class": "string"},
        });
        if self.random.one_in(3) {
            fields["kind"]["index"] = json!(true);
        }
        if self.random.one_in(4) {
            fields["kind"]["default"] = json!("kind 0");
        }
        if self.random.one_in(12) {
            fields["shelf"]["unique"] = json!(true);
        }
        let parent = if self.random.one_in(3) { "a.b/other" } else { "a.b/base" };
        let other = if self.random.one_in(3) { json!({"kind": {"index": true}}) } else { json!({}) };
        json!({"classes": {
            "a.b/base": {"fields": fields, "misc_fields": true},
            "a.b/other": {"fields": other, "misc_fields": true},
            "a.b/sub": {"inherits": [parent], "fields": {}, "misc_fields": true},
        }})
    }

    fn create(&mut self) -> Value {
        let (class, bucket) = (self.class(), self.bucket());
        let pk = if self.random.one_in(10) { self.pk() } else { self.new_pk() };
        json!({"action": "create", "class": class, "pk": pk, "bucket": bucket})
    }

    /// A condition on records, as a select and a write by condition have it.
    fn condition(&mut self) -> Value {
        let kind = format!("kind {}", self.random.below(KINDS));
        let path = match self.random.below(6) {
            0 => json!(["kind", kind]),
            1 => json!(["kind", {"ends-with": kind[4..]}]),
            2 => json!(["shelf", self.random.below(SHELVES)]),
            3 => json!(["serial", {"gt": self.random.below(self.last + 1)}]),
            4 => json!(["serial", self.random.below(self.last + 1)]),
            _ => json!(["kind", {"exists": self.random.one_in(2)}]),
        };
        let mut condition = json!({ "path": path });
        if !self.random.one_in(4) {
            condition["class"] = self.class().into();
        }
        if self.random.one_in(4) {
            condition["then"] = json!({"path": ["shelf", {"lt": self.random.below(SHELVES)}]});
        }
        condition
    }

    /// A condition that selects no class definitions: a write by it would change them.
    fn condition_with_class(&mut self) -> Value {
        let mut condition = self.condition();
        condition["class"] = self.class().into();
        condition
    }

    fn select(&mut self) -> Value {
        let mut select =
            if self.random.one_in(6) { json!({"class": self.class()}) } else { self.condition() };
        select["action"] = json!("select");
        if self.random.one_in(2) {
            let key = *self.random.choose(&["serial", "kind", "shelf", "note"]);
            select["sort"] = json!([key, {"reverse": self.random.one_in(2)}]);
        }
        if self.random.one_in(2) {
            select["limit"] = self.random.below(12).into();
            select["offset"] = self.random.below(3).into();
        }
        select
    }

    /// A write of one record, or of those that a condition selects.
    fn write(&mut self) -> Value {
        if self.pks.len() < MAX_RECORDS && self.random.one_in(2) {
            return self.create();
        }
        let (pk, bucket) = (self.pk(), self.bucket());
        match self.random.below(12) {
            0..2 => self.create(),
            2..5 => json!({"action": "update", "pk": pk, "bucket": bucket}),
            5 => json!({"action": "update", "pk": pk, "class": self.class()}),
            6 => json!({"action": "patch", "pk": pk, "bucket": {"shelf": bucket["shelf"]}}),
            7 => json!({"action": "edit", "pk": pk, "edits": [{"path": ["serial"], "increment": 100_000}]}),
            8 => json!({"action": "delete", "pk": pk, "if_exists": true}),
            9 => json!({"action": "delete", "pk": pk}),
            10 => {
                let edits = json!([{"path": ["kind"], "set": bucket["kind"]}]);
                json!({"action": "edit", "where": self.condition_with_class(), "limit": 3, "edits": edits})
            }
            _ => json!({"action": "delete", "where": self.condition_with_class(), "limit": 2}),
        }
    }

    /// Reads and writes in one call. An atomic batch whose last request fails has no effect.
    fn batch(&mut self) {
        let mut requests: Vec<Value> = (0..self.random.below(6))
            .map(|_| if self.random.one_in(3) { self.select() } else { self.write() })
            .collect();
        // Several edits of one record.
        let edited = self.pk();
        for _ in 0..self.random.below(4) {
            let edits = json!([{"path": ["serial"], "increment": 1000}]);
            requests.push(json!({"action": "edit", "pk": edited, "edits": edits}));
        }
        if self.random.one_in(3) {
            requests.push(json!({"action": "update", "pk": "none", "bucket": {}}));
        }
        let atomic = self.random.one_in(2);
        let what = json!({ "batch": requests, "atomic": atomic });
        self.both(&what, |db| db.batch(requests.clone(), atomic));
    }

    /// The pks of the new records are chosen by the tested database, and by a batch in the other one.
    fn create_many(&mut self) {
        let class = self.class();
        let buckets: Vec<Value> = (0..self.random.below(5)).map(|_| self.bucket()).collect();
        let created = self.tested.create_many(class, buckets.iter().cloned().map(Into::into).collect());
        let mut pks = created.clone().unwrap_or_default().into_iter();
        let requests = buckets.iter().map(|bucket| {
            let mut create = json!({"action": "create", "class": class, "bucket": bucket});
            if let Some(pk) = pks.next() {
                create["pk"] = pk.into();
            }
            create
        });
        let expected = self.uncached.batch(requests.collect(), true);
        let ids = |error: &Error| error.items().iter().map(|item| item.id.clone()).collect::<Vec<_>>();
        match (&created, &expected) {
            (Ok(pks), Ok(_)) => self.pks.extend(pks.clone()),
            (Err(error), Err(expected)) => assert_eq!(ids(error), ids(expected), "{class}: {buckets:?}"),
            _ => panic!("{class}: {buckets:?}: {created:?}, but {expected:?}"),
        }
    }

    fn import(&mut self) {
        let mut records = json!({});
        for _ in 0..2 {
            let pk = if self.random.one_in(2) { self.new_pk() } else { self.pk() };
            records[pk] = json!({"class": self.class(), "bucket": self.bucket()});
        }
        let worldlet = json!({ "records": records }).to_string();
        self.both(&json!(worldlet), |db| db.read_worldlet(&mut worldlet.as_bytes(), false).map(drop));
    }

    /// Calls that share one commit, or are undone together by a panic. A share forms groups by itself, so it
    /// gets the calls one by one.
    fn group(&mut self) {
        let calls: Vec<Value> = (0..1 + self.random.below(4))
            .map(|_| if self.random.one_in(4) { self.select() } else { self.write() })
            .collect();
        let panics = self.random.one_in(3);
        if self.tested.is_share() {
            return calls.iter().for_each(|call| self.q0(call));
        }
        let [tested, uncached] = [&self.tested, &self.uncached].map(|db| {
            let mut answers = Vec::new();
            let run = catch_unwind(AssertUnwindSafe(|| {
                db.run_group(&mut |_| match calls.get(answers.len()) {
                    Some(call) => {
                        answers.push(comparable_result(db.q0(call.clone())));
                        true
                    }
                    None if panics => resume_unwind(Box::new("in a group")),
                    None => false,
                })
            }));
            assert_eq!(run.is_err(), panics);
            answers
        });
        assert_eq!(tested, uncached, "{calls:?}");
    }

    /// Calls inside a transaction, and beside it. It may redefine classes, and is committed or rolled back.
    fn transaction(&mut self) {
        let transactions = [&self.tested, &self.uncached].map(|db| db.begin().unwrap());
        for _ in 0..2 + self.random.below(5) {
            match self.random.below(9) {
                0..2 => {
                    let schema = self.schema();
                    let defined = transactions.each_ref().map(|tx| tx.import_schema(schema.clone()));
                    self.compare(&schema, defined);
                }
                // The same select twice, so that it may build columns.
                2..5 => {
                    let select = self.select();
                    (0..2).for_each(|_| self.q0(&select));
                }
                step => {
                    let request = if step == 5 { self.select() } else { self.write() };
                    let answers = transactions.each_ref().map(|tx| tx.q0(request.clone()));
                    self.compare(&request, answers);
                }
            }
        }
        let commits = self.random.one_in(2);
        let ended = transactions.map(|tx| if commits { tx.commit() } else { tx.roll_back() });
        self.compare(&json!({ "commits": commits }), ended);
    }

    fn claim(&mut self) {
        let hold = *self.random.choose(&["connection", "lease"]);
        let select = json!({"class": self.class(), "path": ["shelf", self.random.below(SHELVES)]});
        let request = json!({"action": "claim", "select": select, "lease": 3600, "hold": hold});
        let mut ids = Vec::new();
        let answers = [&self.tested, &self.uncached].map(|db| {
            let results = db.q0(request.clone())?.results;
            let Results::Claimed(claimed) = results else { panic!("{results:?}") };
            Ok(claimed.map(|claimed| {
                ids.push(claimed.claim);
                (claimed.record, claimed.attempts)
            }))
        });
        self.compare(&request, answers);
        self.claims.extend(<[String; 2]>::try_from(ids));
    }

    /// Ends a claim, which may have ended before.
    fn end_claim(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let mut request = match self.random.below(6) {
            0 => json!({"action": "release"}),
            1 => json!({"action": "finish"}),
            2 => json!({"action": "finish", "delete": true}),
            // Of these some take a unique value, or break a rule.
            3 => json!({"action": "finish", "edits": [{"path": ["serial"], "set": self.bucket()["serial"]}]}),
            4 => json!({"action": "finish", "edits": [{"path": ["shelf"], "set": self.bucket()["shelf"]}]}),
            _ => json!({"action": "finish", "edits": [{"path": ["note"], "merge": {"done": true}}]}),
        };
        let claims = self.random.choose(&self.claims).clone();
        let [tested, uncached] =
            [(&self.tested, &claims[0]), (&self.uncached, &claims[1])].map(|(db, id)| {
                request["claim"] = id.as_str().into();
                let answer = comparable_result(db.q0(request.clone()));
                // Errors name the claim.
                answer.to_string().replace(id.as_str(), "the claim")
            });
        assert_eq!(tested, uncached, "{request}");
    }

    fn open_stream(&mut self) {
        if self.streams.len() == 5 {
            let closed = self.random.below(5) as usize;
            drop(self.streams.swap_remove(closed));
        }
        let select = self.select();
        let [tested, uncached] =
            [&self.tested, &self.uncached].map(|db| db.select_stream(select.clone()).unwrap());
        self.streams.push([tested, uncached]);
    }

    /// Reads from a stream, which shows the moment at which it was opened.
    fn read_stream(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let (index, count) = (self.random.below(self.streams.len() as u64), self.random.below(40));
        let [tested, uncached] = self.streams[index as usize]
            .each_mut()
            .map(|stream| stream.take(count as usize).map(comparable_result).collect::<Vec<_>>());
        assert_eq!(tested, uncached);
    }

    fn read_by_pk(&mut self) {
        let pks: Vec<String> = (0..self.random.below(6)).map(|_| self.pk()).collect();
        self.both(&json!(pks), |db| db.records_by_pks(pks.clone()));
        for pk in &pks {
            self.both(&json!(pk), |db| db.record_by_pk(pk));
        }
        self.q0(&json!({"action": "select", "pk": pks}));
    }

    /// The same scan several times, so that it builds and uses columns, with writes in between.
    fn scan(&mut self) {
        let select = self.select();
        for _ in 0..1 + self.random.below(4) {
            self.q0(&select);
            if self.random.one_in(3) {
                let write = self.write();
                self.q0(&write);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..26 => {
                let write = self.write();
                self.q0(&write);
            }
            26..28 => self.claim(),
            28..30 => self.end_claim(),
            30..50 => self.read_by_pk(),
            50..67 => self.scan(),
            67..70 => self.transaction(),
            70..77 => self.batch(),
            77..81 => self.create_many(),
            81..84 => self.import(),
            84..88 => self.group(),
            88..91 => self.open_stream(),
            91..97 => self.read_stream(),
            97..99 => {
                let class = self.class();
                self.both(&json!(class), |db| db.by_class(class));
            }
            _ => self.define(),
        }
    }
}

#[test]
fn calls_in_any_order_are_answered_as_without_caches() {
    let fresh = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let given = std::env::var(SEED).ok().map(|seed| seed.parse().unwrap());
    let first = given.unwrap_or_else(|| if is_long() { fresh() } else { 1701 });
    let steps_per_case = if is_long() { STEPS_PER_CASE_IN_LONG_MODE } else { STEPS_PER_CASE };
    let mut steps = cases(64).cases * steps_per_case;
    for seed in first.. {
        println!("{SEED}={seed}");
        let mut run = Run::new(seed);
        for _ in 0..steps.min(STEPS_PER_RUN) {
            run.step();
        }
        steps = steps.saturating_sub(STEPS_PER_RUN);
        if steps == 0 || given.is_some() {
            break;
        }
    }
}

/// Without this a mistake in the steps could make all answers equal errors.
#[test]
fn the_steps_reach_answers_of_every_kind() {
    let mut run = Run::new(1);
    (0..1000).for_each(|_| run.step());
    let count = |outcome: &str| run.outcomes.get(outcome).copied().unwrap_or_default();
    let failed: u32 = run.outcomes.values().sum::<u32>() - count("ok");
    assert!((count("ok") / 20..count("ok")).contains(&failed), "{:?}", run.outcomes);
    for id in [ErrorId::VALIDATION_FAILED, ErrorId::UNIQUE_VIOLATION, ErrorId::PK_IN_USE] {
        assert!(count(id.as_str()) > 0, "{:?}", run.outcomes);
    }
    let of_base = run.tested.by_class("a.b/base").unwrap();
    assert!(of_base.count() > 10 && !run.streams.is_empty(), "{} records", of_base.count());
    assert!(run.claims.len() > 5, "{} claims", run.claims.len());
}

//! Runs scripts of calls on the engine of this run and on a simple model, and compares the outcomes.
//!
//! Every engine and every share runs this, so all of them agree with each other. A failing script is shrunk
//! and printed as its calls.

use std::fmt;

use miko_core::ErrorId;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::db;

/// The index of a record in order of creation. The record may not exist yet.
type Nth = usize;

#[derive(Clone)]
enum Call {
    Create {
        class: &'static str,
        n: Option<Value>,
        to: Option<Nth>,
    },
    Update {
        record: Nth,
        n: Option<Value>,
        to: Option<Nth>,
    },
    /// Changes `n` and `to`; `None` leaves the field unchanged.
    Patch {
        record: Nth,
        n: Option<Value>,
        to: Option<Nth>,
    },
    Edit {
        record: Nth,
        edit: NumberEdit,
    },
    Reclass {
        record: Nth,
        class: &'static str,
    },
    Delete {
        record: Nth,
    },
    /// Redefines the base class.
    Define(Rule),
    Batch(Vec<Call>),
}

/// An edit of `n`.
#[derive(Debug, Clone)]
enum NumberEdit {
    Set(Value),
    Remove,
    Increment(u8),
    /// Sets 2, if it is the value.
    Swap(Value),
}

impl NumberEdit {
    fn edits(&self) -> Value {
        match self {
            Self::Set(n) => json!([{"path": ["n"], "set": n}]),
            Self::Remove => json!([{"path": ["n"], "remove": true}]),
            Self::Increment(by) => json!([{"path": ["n"], "increment": by}]),
            Self::Swap(n) => json!([{"path": ["n"], "test": n}, {"path": ["n"], "set": 2}]),
        }
    }

    fn apply(&self, n: &Option<Value>) -> Result<Option<Value>, ErrorId> {
        match (self, n) {
            (Self::Set(n), _) => Ok(Some(n.clone())),
            (Self::Remove, _) => Ok(None),
            (Self::Increment(by), None) => Ok(Some((*by).into())),
            (Self::Increment(by), Some(n)) => {
                let integer = n.as_u64().map(|n| (n + u64::from(*by)).into());
                let sum = integer.or_else(|| Some((n.as_f64()? + f64::from(*by)).into()));
                sum.map(Some).ok_or(ErrorId::EDIT_REFUSED)
            }
            (Self::Swap(expected), found) => {
                let is_same = found.as_ref().is_some_and(|found| miko_core::json::equal(found, expected));
                if is_same { Ok(Some(json!(2))) } else { Err(ErrorId::CONFLICT) }
            }
        }
    }
}

/// The rule of the base class for `n`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Nothing,
    Number,
    Unique,
    Required,
    Indexed,
}

impl Rule {
    fn definition(self) -> Value {
        match self {
            Self::Nothing => json!({}),
            Self::Number => json!({"fields": {"n": {"class": "number"}}}),
            Self::Unique => json!({"fields": {"n": {"class": "number", "unique": true}}}),
            Self::Required => json!({"fields": {"n": {"required": true}}}),
            Self::Indexed => json!({"fields": {"n": {"index": true}}}),
        }
    }
}

/// The request, with `$3` for the pk of the record that was created third.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Define(rule) => write!(f, "import_schema a.b/base: {}", rule.definition()),
            Self::Batch(calls) => write!(f, "batch {calls:?}"),
            call => write!(f, "{}", call.request(&|nth| format!("${nth}"))),
        }
    }
}

const CLASSES: [&str; 4] = ["a.b/base", "a.b/sub", "a.b/link", "x.y/free"];

impl Call {
    fn request(&self, pk: &dyn Fn(Nth) -> String) -> Value {
        let bucket = |n: &Option<Value>, to: &Option<Nth>| {
            let n = n.iter().map(|n| ("n".to_owned(), n.clone()));
            let to = to.iter().map(|to| ("to".to_owned(), pk(*to).into()));
            Value::Object(n.chain(to).collect())
        };
        match self {
            Self::Create { class, n, to } => {
                json!({"action": "create", "class": class, "bucket": bucket(n, to)})
            }
            Self::Update { record, n, to } => {
                json!({"action": "update", "pk": pk(*record), "bucket": bucket(n, to)})
            }
            Self::Patch { record, n, to } => {
                json!({"action": "patch", "pk": pk(*record), "bucket": bucket(n, to)})
            }
            Self::Edit { record, edit } => {
                json!({"action": "edit", "pk": pk(*record), "edits": edit.edits()})
            }
            Self::Reclass { record, class } => json!({"action": "update", "pk": pk(*record), "class": class}),
            Self::Delete { record } => json!({"action": "delete", "pk": pk(*record)}),
            Self::Define(_) | Self::Batch(_) => Value::Null,
        }
    }
}

fn call() -> impl Strategy<Value = Call> {
    let one = || {
        let value = || {
            prop_oneof![
                4 => (0..3u8).prop_map(Value::from),
                1 => Just(json!("x")),
                1 => Just(json!(1.0)),
            ]
        };
        let n = || prop::option::weighted(0.8, value());
        let edit = prop_oneof![
            value().prop_map(NumberEdit::Set),
            Just(NumberEdit::Remove),
            (0..3u8).prop_map(NumberEdit::Increment),
            value().prop_map(NumberEdit::Swap),
        ];
        let to = || prop::option::weighted(0.4, 0..8usize);
        let class = || prop::sample::select(&CLASSES[..]);
        prop_oneof![
            6 => (class(), n(), to()).prop_map(|(class, n, to)| Call::Create { class, n, to }),
            4 => (0..8usize, n(), to()).prop_map(|(record, n, to)| Call::Update { record, n, to }),
            2 => (0..8usize, n(), to()).prop_map(|(record, n, to)| Call::Patch { record, n, to }),
            3 => (0..8usize, edit).prop_map(|(record, edit)| Call::Edit { record, edit }),
            2 => (0..8usize, class()).prop_map(|(record, class)| Call::Reclass { record, class }),
            3 => (0..8usize).prop_map(|record| Call::Delete { record }),
        ]
    };
    let rule =
        prop::sample::select(&[Rule::Nothing, Rule::Number, Rule::Unique, Rule::Required, Rule::Indexed][..]);
    prop_oneof![
        8 => one(),
        1 => rule.prop_map(Call::Define),
        2 => prop::collection::vec(one(), 1..5).prop_map(Call::Batch),
    ]
}

/// The state of the database by the specification.
#[derive(Debug, Clone)]
struct Model {
    rule: Rule,
    /// The records, in order of creation.
    records: Vec<ModelRecord>,
    /// Whether the unique values of the running call are compared at its end.
    compares_at_end: bool,
}

#[derive(Debug, Clone)]
struct ModelRecord {
    class: &'static str,
    n: Option<Value>,
    /// The referenced record. `Err` if it did not exist yet: the reference has the pk of no record, also
    /// later.
    to: Option<Result<Nth, Nth>>,
    active: bool,
    versions: usize,
}

impl ModelRecord {
    fn is_base(&self) -> bool {
        self.active && ["a.b/base", "a.b/sub"].contains(&self.class)
    }
}

type Outcome = Result<(), ErrorId>;

impl Model {
    /// Runs a call on the model. A failed call changes nothing.
    fn run(&mut self, call: &Call) -> Outcome {
        let before = self.clone();
        let calls = match call {
            Call::Batch(calls) => &calls[..],
            call => std::slice::from_ref(call),
        };
        // In a batch that may free values, they are compared at its end.
        let is_batch = matches!(call, Call::Batch(_));
        self.compares_at_end = is_batch && calls.iter().any(|call| !matches!(call, Call::Create { .. }));
        let outcome = calls
            .iter()
            .try_for_each(|call| self.run_one(call, before.records.len()))
            .and_then(|()| self.check_at_end(&before));
        if outcome.is_err() {
            *self = before;
        }
        outcome
    }

    /// Runs a call that is no batch. Only the first `known` records can be referenced in it.
    fn run_one(&mut self, call: &Call, known: usize) -> Outcome {
        let name = |nth: Nth| if nth < known { Ok(nth) } else { Err(nth) };
        match call {
            Call::Create { class, n, to } => {
                self.records.push(ModelRecord {
                    class,
                    n: n.clone(),
                    to: to.map(name),
                    active: true,
                    versions: 1,
                });
                self.check(self.records.len() - 1)
            }
            Call::Update { record, n, to } => {
                let found = self.active(name(*record))?;
                (found.n, found.to) = (n.clone(), to.map(name));
                self.check(*record)
            }
            Call::Patch { record, n, to } => {
                let found = self.active(name(*record))?;
                found.n = n.clone().or(found.n.take());
                found.to = to.map(name).or(found.to);
                self.check(*record)
            }
            Call::Edit { record, edit } => {
                let found = self.active(name(*record))?;
                found.n = edit.apply(&found.n)?;
                self.check(*record)
            }
            Call::Reclass { record, class } => {
                self.active(name(*record))?.class = class;
                self.check(*record)
            }
            Call::Delete { record } => {
                self.active(name(*record))?.active = false;
                Ok(())
            }
            Call::Define(rule) => {
                self.rule = *rule;
                let base: Vec<Nth> =
                    (0..self.records.len()).filter(|nth| self.records[*nth].is_base()).collect();
                base.into_iter().try_for_each(|nth| self.check_unique(nth))
            }
            Call::Batch(_) => Ok(()),
        }
    }

    fn active(&mut self, named: Result<Nth, Nth>) -> Result<&mut ModelRecord, ErrorId> {
        let record = &mut self.records[named.map_err(|_| ErrorId::RECORD_NOT_FOUND)?];
        if !record.active {
            return Err(ErrorId::RECORD_DELETED);
        }
        record.versions += 1;
        Ok(record)
    }

    fn check(&self, nth: Nth) -> Outcome {
        let record = &self.records[nth];
        let is_number = record.n.as_ref().is_none_or(Value::is_number);
        let keeps_rule = match self.rule {
            Rule::Nothing | Rule::Indexed => true,
            Rule::Number | Rule::Unique => is_number,
            Rule::Required => record.n.is_some(),
        };
        if record.is_base() && !keeps_rule {
            return Err(ErrorId::VALIDATION_FAILED);
        }
        if self.compares_at_end { Ok(()) } else { self.check_unique(nth) }
    }

    fn check_unique(&self, nth: Nth) -> Outcome {
        let record = &self.records[nth];
        let number = |record: &ModelRecord| {
            record.n.as_ref().map(|n| n.as_f64().map_or(n.to_string(), |n| n.to_string()))
        };
        let same = |other: &ModelRecord| {
            other.is_base() && number(other).is_some() && number(other) == number(record)
        };
        let others = self.records.iter().enumerate().filter(|(other, _)| *other != nth);
        if self.rule == Rule::Unique && record.is_base() && others.into_iter().any(|(_, other)| same(other)) {
            return Err(ErrorId::UNIQUE_VIOLATION);
        }
        Ok(())
    }

    /// The checks at the end of a call: unique values differ, written references have targets, and deleted
    /// records are not referenced.
    fn check_at_end(&self, before: &Self) -> Outcome {
        let links = |record: &ModelRecord| record.active && record.class == "a.b/link";
        let is_active = |nth: Nth| self.records.get(nth).is_some_and(|record| record.active);
        let written = |nth: &Nth| {
            before.records.get(*nth).is_none_or(|old| old.versions != self.records[*nth].versions)
        };
        (0..self.records.len()).try_for_each(|nth| self.check_unique(nth))?;
        for nth in (0..self.records.len()).filter(written) {
            let record = &self.records[nth];
            if links(record) && record.to.is_some_and(|to| !to.is_ok_and(is_active)) {
                return Err(ErrorId::REFERENCE_NOT_FOUND);
            }
        }
        let was_deleted = |nth: Nth| before.records.get(nth).is_none_or(|old| old.active) && !is_active(nth);
        let restricts =
            |record: &ModelRecord| links(record) && matches!(record.to, Some(Ok(to)) if was_deleted(to));
        if self.records.iter().any(restricts) {
            return Err(ErrorId::REFERENCE_RESTRICTED);
        }
        Ok(())
    }
}

/// A pk that no record has.
fn unknown_pk(nth: Nth) -> String {
    format!("nobody-{nth}")
}

/// A database beside its model.
struct Pair {
    db: crate::support::Local,
    model: Model,
    pks: Vec<String>,
}

impl Pair {
    fn new() -> Self {
        let db = db();
        let to = json!({"fields": {"to": {"class": "puck.uno/reference", "on_delete": "restrict"}}});
        let sub = json!({"inherits": "a.b/base"});
        db.import_schema(json!({"classes": {"a.b/base": {}, "a.b/sub": sub, "a.b/link": to}})).unwrap();
        Self {
            db,
            model: Model { rule: Rule::Nothing, records: Vec::new(), compares_at_end: false },
            pks: Vec::new(),
        }
    }

    /// Runs a call on the database, and keeps the pks of created records.
    fn run(&mut self, call: &Call) -> Outcome {
        let id = |error: &miko_core::Error| error.items()[0].id.clone();
        let calls = match call {
            Call::Define(rule) => {
                let schema = json!({"classes": {"a.b/base": rule.definition()}});
                return self.db.import_schema(schema).map(drop).map_err(|error| id(&error));
            }
            Call::Batch(calls) => calls.clone(),
            call => vec![call.clone()],
        };
        // A record that does not exist yet has no pk.
        let pk = |nth: Nth| self.pks.get(nth).cloned().unwrap_or_else(|| unknown_pk(nth));
        let requests: Vec<Value> = calls.iter().map(|call| call.request(&pk)).collect();
        let answers = match call {
            Call::Batch(_) => self.db.batch(requests, true).map_err(|error| id(&error))?,
            _ => vec![self.db.q0(requests[0].clone())].into(),
        };
        for (call, answer) in calls.iter().zip(answers) {
            let pk = answer.map_err(|error| id(&error))?.into_pk().unwrap();
            if matches!(call, Call::Create { .. }) {
                self.pks.push(pk);
            }
        }
        Ok(())
    }

    /// Checks that the database equals the model.
    fn check(&self) {
        for class in CLASSES {
            let expected: Vec<Value> = self.expected(|record| match class {
                "a.b/base" => record.is_base(),
                _ => record.class == class,
            });
            let found = self.db.by_class(class).unwrap();
            let found: Vec<Value> = found.iter().map(|record| json!([record.pk, record.bucket])).collect();
            assert_eq!(found, expected, "records of {class}");
        }
        for n in [json!(0), json!(1), json!("x"), json!(null)] {
            let of_n = |record: &ModelRecord| match &record.n {
                None => n.is_null(),
                Some(found) => found == &n || found.as_f64().is_some_and(|found| n.as_f64() == Some(found)),
            };
            let expected = self.expected(|record| record.is_base() && of_n(record));
            let select = json!({"action": "select", "class": "a.b/base", "path": ["n", n]});
            let found = self.db.q0(select).unwrap().into_records().unwrap();
            let found: Vec<Value> = found.iter().map(|record| json!([record.pk, record.bucket])).collect();
            assert_eq!(found, expected, "records of a.b/base with n = {n}");
        }
        if self.db.properties().unwrap().temporal {
            for (pk, record) in self.pks.iter().zip(&self.model.records) {
                assert_eq!(self.db.history(pk).unwrap().len(), record.versions, "versions of {pk}");
            }
        }
    }

    /// Pk and bucket of the active records for which `holds` is true.
    fn expected(&self, holds: impl Fn(&ModelRecord) -> bool) -> Vec<Value> {
        let records = self.model.records.iter().zip(&self.pks);
        let active = records.filter(|(record, _)| record.active && holds(record));
        let bucket = |record: &ModelRecord| {
            let n = record.n.iter().map(|n| ("n".to_owned(), n.clone()));
            let pk = |to: Result<Nth, Nth>| to.map_or_else(unknown_pk, |nth| self.pks[nth].clone());
            let to = record.to.map(|to| ("to".to_owned(), pk(to).into()));
            Value::Object(n.chain(to).collect())
        };
        active.map(|(record, pk)| json!([pk, bucket(record)])).collect()
    }
}

proptest! {
    #[test]
    fn a_script_has_the_same_outcome_as_the_model(script in prop::collection::vec(call(), 1..25)) {
        let mut pair = Pair::new();
        for call in &script {
            let expected = pair.model.run(call);
            let found = pair.run(call);
            prop_assert_eq!(found, expected, "{:?}", call);
            pair.check();
        }
    }
}

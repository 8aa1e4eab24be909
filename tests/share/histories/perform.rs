//! Performs generated operations on a Mikobase.
//!
//! Each list and each register is a record. All steps are calls of the trait `Mikobase`, so that they can be
//! taken inside anything that implements it.

use std::collections::BTreeSet;
use std::ops::Range;

use mikobase::prelude::*;
use mikobase::{Answers, Record};
use serde_json::Value as Json;

use super::operation::{Key, MicroOp, Object, Value};
use super::workload::{Method, Plan, Step};

/// The number of keys whose lists and registers have one class.
const KEYS_PER_CLASS: Key = 4;

/// Requests that create the lists and registers with these keys.
pub fn creation(keys: Range<Key>) -> Vec<Json> {
    let create = |object, key, bucket| {
        let (pk, class) = (pk_of(object), class_of(key));
        json!({"action": "create", "pk": pk, "class": class, "bucket": bucket})
    };
    let both = |key| {
        let list = create(Object::List(key), key, json!({"key": key, "values": []}));
        [list, create(Object::Register(key), key, json!({"key": key}))]
    };
    keys.flat_map(both).collect()
}

/// Reads lists and registers in one call.
pub fn read_all(db: &dyn Mikobase, objects: &[Object]) -> Result<Vec<MicroOp>> {
    let pks = objects.iter().map(|object| pk_of(*object)).collect();
    let records = db.records_by_pks(pks)?;
    objects.iter().zip(records).map(|(object, record)| read_of(*object, record.as_ref())).collect()
}

/// Performs an operation, and adds to `done` what it has done so far. A failed operation has had no effect,
/// unless the error leaves that open or the method is not atomic.
pub fn perform(db: &dyn Mikobase, plan: &Plan, done: &mut Vec<MicroOp>) -> Result<()> {
    match plan.method {
        Method::Call | Method::Separate | Method::ReadThenUpdate => take_each(db, &plan.steps, done),
        Method::Batch | Method::FailingBatch | Method::FailingLooseBatch => batch(db, plan, done),
        Method::Transaction | Method::NestedTransaction | Method::RolledBack => transaction(db, plan, done),
        Method::Optimistic => optimistic(db, &plan.steps, done),
        Method::ReadMany => {
            let objects: Vec<Object> = plan.steps.iter().map(|step| step.object()).collect();
            done.extend(read_all(db, &objects)?);
            Ok(())
        }
        Method::Select | Method::Stream => {
            let keys: Vec<Key> = plan.steps.iter().map(|step| step.key()).collect();
            let classes: BTreeSet<String> = keys.iter().map(|key| class_of(*key)).collect();
            let select = json!({"action": "select", "class": classes, "path": ["key", {"in": keys}]});
            let records: Vec<Record> = if plan.method == Method::Select {
                db.q0(select)?.into_records()?.into_iter().collect()
            } else {
                db.iter(select)?.collect::<Result<_>>()?
            };
            for step in &plan.steps {
                let pk = pk_of(step.object());
                done.push(read_of(step.object(), records.iter().find(|record| record.pk == pk))?);
            }
            Ok(())
        }
    }
}

/// Takes the steps one after another, by a call each. In a transaction, they are isolated.
fn take_each(db: &dyn Mikobase, steps: &[Step], done: &mut Vec<MicroOp>) -> Result<()> {
    for step in steps {
        let pk = pk_of(step.object());
        match *step {
            Step::Append(_, value) => {
                db.hot(&pk).push(["values"], value)?;
            }
            Step::Write(key, value) => db.update(&pk, &register(key, value))?,
            Step::Swap(key, value) => {
                let before = db.hot(&pk).set(["value"], value)?;
                done.push(MicroOp::ReadRegister(key, value_of(&before)?));
            }
            Step::ReadList(_) | Step::ReadRegister(_) => {
                done.push(read_of(step.object(), db.record_by_pk(&pk)?.as_ref())?);
            }
        }
        done.extend(step.write());
    }
    Ok(())
}

/// Takes the steps in a transaction. One that is rolled back fails with `conflict`.
fn transaction(db: &dyn Mikobase, plan: &Plan, done: &mut Vec<MicroOp>) -> Result<()> {
    db.transaction(|tx| {
        let (outer, inner) = match plan.method {
            Method::NestedTransaction => plan.steps.split_at(1),
            _ => (&plan.steps[..], &[][..]),
        };
        take_each(&**tx, outer, done)?;
        if !inner.is_empty() {
            tx.transaction(|nested| {
                take_each(&**nested, inner, done)?;
                nested.commit()
            })?;
        }
        if plan.method == Method::RolledBack {
            return Err(Error::new(ErrorId::CONFLICT, "rolled back on purpose"));
        }
        tx.commit()
    })
}

fn batch(db: &dyn Mikobase, plan: &Plan, done: &mut Vec<MicroOp>) -> Result<()> {
    let mut requests: Vec<Json> = plan.steps.iter().map(request).collect();
    if plan.method != Method::Batch {
        let test = json!({"path": ["key"], "test": "another"});
        requests.push(json!({"action": "edit", "pk": pk_of(plan.steps[0].object()), "edits": [test]}));
    }
    let answers: Answers = db.batch(requests, plan.method != Method::FailingLooseBatch)?;
    for (step, answer) in plan.steps.iter().zip(answers.iter()) {
        let response = answer.clone()?;
        match *step {
            Step::ReadList(_) | Step::ReadRegister(_) => {
                let records: Vec<Record> = response.into_records()?.into_iter().collect();
                done.push(read_of(step.object(), records.first())?);
            }
            Step::Swap(key, _) => {
                let before = response.into_values()?;
                done.push(MicroOp::ReadRegister(key, value_of(&before[0])?));
            }
            Step::Append(..) | Step::Write(..) => {}
        }
        done.extend(step.write());
    }
    answers.last().map_or(Ok(()), |last| last.clone().map(drop))
}

/// Reads a record, and changes it unless another has changed it meanwhile.
fn optimistic(db: &dyn Mikobase, steps: &[Step], done: &mut Vec<MicroOp>) -> Result<()> {
    let [read, write] = steps else { panic!("a read and a write: {steps:?}") };
    let record = db.record_by_pk(&pk_of(read.object()))?;
    done.push(read_of(read.object(), record.as_ref())?);
    let mut request = request(write);
    request["if_updated_at"] = json!(record.map(|record| record.updated_at));
    db.q0(request)?;
    done.extend(write.write());
    Ok(())
}

fn request(step: &Step) -> Json {
    let pk = pk_of(step.object());
    match *step {
        Step::Append(_, value) => {
            json!({"action": "edit", "pk": pk, "edits": [{"path": ["values"], "push": value}]})
        }
        Step::Swap(_, value) => {
            json!({"action": "edit", "pk": pk, "edits": [{"path": ["value"], "set": value}]})
        }
        Step::Write(key, value) => json!({"action": "update", "pk": pk, "bucket": register(key, value)}),
        Step::ReadList(_) | Step::ReadRegister(_) => json!({"action": "select", "pk": pk}),
    }
}

fn class_of(key: Key) -> String {
    format!("test.org/keys-{}", key / KEYS_PER_CLASS)
}

fn pk_of(object: Object) -> String {
    match object {
        Object::List(key) => format!("list {key}"),
        Object::Register(key) => format!("register {key}"),
    }
}

/// The bucket of a register.
fn register(key: Key, value: Value) -> Json {
    json!({"key": key, "value": value})
}

/// What a record shows of a list or register.
fn read_of(object: Object, record: Option<&Record>) -> Result<MicroOp> {
    let record = record.ok_or_else(|| unexpected(&format!("{object} is missing")))?;
    let bucket = record.bucket.to_map()?;
    match object {
        Object::Register(key) => {
            Ok(MicroOp::ReadRegister(key, value_of(bucket.get("value").unwrap_or(&Json::Null))?))
        }
        Object::List(key) => {
            let values = bucket.get("values").and_then(Json::as_array);
            let values = values.ok_or_else(|| unexpected(record.bucket.as_str()))?;
            let values: Result<Vec<_>> = values.iter().map(value_of).collect();
            Ok(MicroOp::ReadList(key, values?.into_iter().flatten().collect()))
        }
    }
}

/// A value, or `None` for null.
fn value_of(json: &Json) -> Result<Option<Value>> {
    let number = || json.as_u64().and_then(|number| number.try_into().ok());
    if json.is_null() { Ok(None) } else { number().map(Some).ok_or_else(|| unexpected(&json.to_string())) }
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorId::INTERNAL, format!("an answer that fits no operation: {what}"))
}

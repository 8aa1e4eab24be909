//! A database for tests of classes, with short requests. A failed write is checked to change nothing.

use miko_core::{Answers, Error, Records, Result};
use serde_json::{Value, json};

use crate::support::{Local, export, read};

pub(crate) struct Db(pub(crate) Local);

pub(crate) fn db() -> Db {
    Db(crate::support::db())
}

/// As [`db`], but never temporal.
pub(crate) fn non_temporal() -> Db {
    Db(crate::support::non_temporal())
}

/// Creates a record of a class and returns its pk.
pub(crate) fn create(db: &Db, class: &str, bucket: Value) -> Result<String> {
    db.run(json!({"action": "create", "class": class, "bucket": bucket}))
}

/// Defines a class and returns the pk of its definition.
pub(crate) fn define(db: &Db, definition: Value) -> Result<String> {
    create(db, "puck.uno/class", definition)
}

/// The violated rules in an error.
pub(crate) fn rules_broken(error: &Error) -> Vec<&str> {
    error.items().iter().map(|item| item.details.get("rule").and_then(Value::as_str).unwrap_or("?")).collect()
}

impl Db {
    /// Runs a write and returns the pk of its record. Checks that a failed write changes nothing.
    pub(crate) fn run(&self, request: Value) -> Result<String> {
        let before = export(&self.0);
        let result = self.0.q0(request.clone()).and_then(miko_core::Response::into_pk);
        if result.is_err() {
            assert_eq!(export(&self.0), before, "{request} failed, so it changed nothing");
        }
        result
    }

    pub(crate) fn update(&self, pk: &str, bucket: Value) -> Result<String> {
        self.run(json!({"action": "update", "pk": pk, "bucket": bucket}))
    }

    pub(crate) fn delete(&self, pk: &str) -> Result<String> {
        self.run(json!({"action": "delete", "pk": pk}))
    }

    pub(crate) fn batch(&self, requests: Vec<Value>) -> Result<Answers> {
        self.0.batch(requests, true)
    }

    /// The bucket of a record as it is stored.
    pub(crate) fn bucket(&self, pk: &str) -> String {
        read(&self.0, pk).bucket.into_string()
    }

    pub(crate) fn by_class(&self, class: &str) -> Records {
        self.0.by_class(class).unwrap()
    }

    /// The pks of the records of a class that match a path.
    pub(crate) fn by_path(&self, class: &str, path: Value) -> Vec<String> {
        let select = json!({"action": "select", "class": class, "path": path});
        let records = self.0.q0(select).unwrap().into_records().unwrap();
        records.into_iter().map(|record| record.pk).collect()
    }
}

//! Builders of edits, and of the actions `edit` and `upsert`.

use serde_json::{Map, Value};

use super::{Select, Step, request_of, request_on_record, request_on_selected};
use crate::timestamp::Timestamp;

/// A list of edits of a bucket, which apply in order, all or none. Each method adds an edit of the value at
/// `path`: the steps down from the bucket. [`Results::Edited`](crate::Results::Edited) has the value that
/// each edit returns.
///
/// An absent array counts as empty. Missing objects on the path are created, except by `remove`, `pop`,
/// `shift`, `discard` and `test`. An edit that does not fit the bucket fails the whole list with
/// `edit-refused`.
///
/// NaN and the infinities, which JSON lacks, become null without an error.
///
/// ```
/// use miko_core::q0::Edits;
/// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let pk = db.create("a.b/job", &json!({"state": "open"}))?;
/// let take = Edits::new().test(["state"], "open").set(["state"], "taken").increment(["attempts"], 1);
/// assert_eq!(db.edit(&pk, take.into())?.values[2], 1);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edits(Vec<Value>);

impl Edits {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value.
    #[must_use]
    pub fn set<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, value: impl Into<Value>) -> Self {
        self.with(path, "set", value)
    }

    /// Sets the value if it is absent. A null is not absent.
    #[must_use]
    pub fn default_to<S: Into<Step>>(
        self,
        path: impl IntoIterator<Item = S>,
        value: impl Into<Value>,
    ) -> Self {
        self.with(path, "default", value)
    }

    /// Removes the member of an object, or the element of an array.
    #[must_use]
    pub fn remove<S: Into<Step>>(self, path: impl IntoIterator<Item = S>) -> Self {
        self.with(path, "remove", true)
    }

    /// Adds a number. An absent value counts as 0.
    #[must_use]
    pub fn increment<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, by: impl Into<Value>) -> Self {
        self.with(path, "increment", by)
    }

    /// Adds an element at the end of an array.
    #[must_use]
    pub fn push<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, element: impl Into<Value>) -> Self {
        self.with(path, "push", element)
    }

    /// Removes the last element of an array. The edit returns the element.
    #[must_use]
    pub fn pop<S: Into<Step>>(self, path: impl IntoIterator<Item = S>) -> Self {
        self.with(path, "pop", true)
    }

    /// Removes the first element of an array. The edit returns the element.
    #[must_use]
    pub fn shift<S: Into<Step>>(self, path: impl IntoIterator<Item = S>) -> Self {
        self.with(path, "shift", true)
    }

    /// Adds an element at the beginning of an array.
    #[must_use]
    pub fn unshift<S: Into<Step>>(
        self,
        path: impl IntoIterator<Item = S>,
        element: impl Into<Value>,
    ) -> Self {
        self.with(path, "unshift", element)
    }

    /// Adds an element at the end of an array, unless the array has an equal element.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "it is the name in Q0, and takes a path")]
    pub fn add<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, element: impl Into<Value>) -> Self {
        self.with(path, "add", element)
    }

    /// Removes all elements of an array that equal `element`.
    #[must_use]
    pub fn discard<S: Into<Step>>(
        self,
        path: impl IntoIterator<Item = S>,
        element: impl Into<Value>,
    ) -> Self {
        self.with(path, "discard", element)
    }

    /// Merges an object into the value, by RFC 7396: a null removes a member.
    #[must_use]
    pub fn merge<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, patch: impl Into<Value>) -> Self {
        self.with(path, "merge", patch)
    }

    /// Requires that the value equals `expected`; otherwise the whole list fails with `conflict`. Null equals
    /// an absent value.
    #[must_use]
    pub fn test<S: Into<Step>>(self, path: impl IntoIterator<Item = S>, expected: impl Into<Value>) -> Self {
        self.with(path, "test", expected)
    }

    fn with<S: Into<Step>>(
        mut self,
        path: impl IntoIterator<Item = S>,
        operation: &str,
        operand: impl Into<Value>,
    ) -> Self {
        let path: Value = path.into_iter().map(|step| step.into().0).collect();
        let edit = [("path".to_owned(), path), (operation.to_owned(), operand.into())];
        self.0.push(Value::Object(Map::from_iter(edit)));
        self
    }
}

impl From<Edits> for Vec<Value> {
    fn from(edits: Edits) -> Self {
        edits.0
    }
}

impl From<Edits> for Value {
    fn from(edits: Edits) -> Self {
        edits.0.into()
    }
}

/// The action `edit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    pub(super) request: Map<String, Value>,
}

impl Edit {
    /// Edits the records that a select finds.
    pub fn selected(select: Select) -> Self {
        Self { request: request_on_selected("edit", select) }
    }

    /// Edits the record with this pk.
    pub fn pk(pk: impl Into<String>) -> Self {
        Self { request: request_on_record("edit", pk) }
    }

    /// Sets the edits.
    #[must_use]
    pub fn edits(mut self, edits: Edits) -> Self {
        self.request.insert("edits".to_owned(), edits.into());
        self
    }

    /// Edits only if the record was last changed at `time`; otherwise the request fails with `conflict`.
    /// Only for an edit [by pk](Self::pk).
    #[must_use]
    pub fn if_updated_at(mut self, time: Timestamp) -> Self {
        self.request.insert("if_updated_at".to_owned(), time.to_string().into());
        self
    }
}

/// The action `upsert`: changes the record of a class that has a given key, or creates the record if there is
/// none.
///
/// ```
/// use miko_core::q0::{Edits, Upsert};
/// use miko_core::{Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let fields = json!({"word": {"class": "string", "unique": true}, "count": {"class": "number"}});
/// db.import_schema(json!({"classes": {"a.b/word": {"fields": fields}}}))?;
/// for word in ["gpl", "mit", "gpl"] {
///     let upsert = Upsert::class("a.b/word").key(json!({"word": word}));
///     db.q0(upsert.edits(Edits::new().increment(["count"], 1)).into())?;
/// }
/// assert_eq!(db.by_class("a.b/word")?.count(), 2);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Upsert {
    pub(super) request: Map<String, Value>,
}

impl Upsert {
    /// Changes or creates a record of this class, which must declare a unique field or combination of fields.
    pub fn class(class: impl Into<String>) -> Self {
        let mut request = request_of("upsert");
        request.insert("class".to_owned(), class.into().into());
        Self { request }
    }

    /// Sets the key: an object with the values of a unique field, or of a unique combination of fields.
    #[must_use]
    pub fn key(self, key: impl Into<Value>) -> Self {
        self.with("key", key)
    }

    /// Sets the other members of a new record. If there are no edits, these members are also merged into an
    /// existing record, by RFC 7396.
    #[must_use]
    pub fn bucket(self, bucket: impl Into<Value>) -> Self {
        self.with("bucket", bucket)
    }

    /// Sets the edits. They apply to an existing record, and also to a new one.
    #[must_use]
    pub fn edits(self, edits: Edits) -> Self {
        self.with("edits", edits)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.request.insert(key.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_edit_converts_to_its_json() {
        let edits = Edits::new()
            .set(["a"], 1)
            .default_to(["a", "b"], "x")
            .remove([Step::from("a"), 0.into()])
            .increment(["n"], 0.5)
            .push(["l"], json!([]))
            .pop(["l"])
            .shift(["l"])
            .unshift(["l"], Value::Null)
            .add(["l"], true)
            .discard(["l"], true)
            .merge([] as [&str; 0], json!({"a": null}))
            .test(["a"], 1);
        let written = json!({
            "action": "edit",
            "pk": "p",
            "edits": [
                {"path": ["a"], "set": 1},
                {"path": ["a", "b"], "default": "x"},
                {"path": ["a", 0], "remove": true},
                {"path": ["n"], "increment": 0.5},
                {"path": ["l"], "push": []},
                {"path": ["l"], "pop": true},
                {"path": ["l"], "shift": true},
                {"path": ["l"], "unshift": null},
                {"path": ["l"], "add": true},
                {"path": ["l"], "discard": true},
                {"path": [], "merge": {"a": null}},
                {"path": ["a"], "test": 1},
            ],
            "if_updated_at": "2026-04-21T14:32:00.123Z",
        });
        let time = "2026-04-21T14:32:00.123Z".parse().unwrap();
        assert_eq!(Value::from(Edit::pk("p").edits(edits).if_updated_at(time)), written);
    }
}

//! A live record: each read and each change of it is one call.

use miko_rpc::{Error, ErrorId, Result};
use serde_json::Value;

use crate::json;
use crate::mikobase::Mikobase;
use crate::q0::{Edits, Step};

/// A record whose values are read and changed in the store: each method is one call, which is atomic. No
/// value is cached, so several workers may work on one record. [`MikobaseExt::hot`](crate::MikobaseExt::hot)
/// returns it.
///
/// A path lists the steps down from the bucket: keys or indices. A path that mixes keys and indices is a list
/// of [`Step`]s. Missing objects on the path are created, except by `get`, `remove`, `pop` and `shift`. An
/// absent array counts as empty. The methods that change the record fail with `record_not_found`,
/// `record_deleted`, `edit-refused` and the errors of an update; nothing is changed then. NaN and infinities,
/// which JSON does not have, become null without an error.
///
/// ```
/// use miko_core::{MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let pk = db.create("a.b/queue", &json!({"jobs": ["x", "y"]}))?;
/// let queue = db.hot(&pk);
/// while let Some(job) = queue.shift(["jobs"])? {
///     queue.push(["done"], job)?;
///     queue.increment(["count"], 1)?;
/// }
/// assert_eq!(queue.get(["count"])?, Some(json!(2)));
/// assert!(queue.compare_and_set(["state"], (), "finished")?);
/// assert_eq!(queue.get(["done"])?, Some(json!(["x", "y"])));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug)]
pub struct HotRecord<'d, M: ?Sized> {
    db: &'d M,
    pk: String,
}

impl<'d, M: Mikobase + ?Sized> HotRecord<'d, M> {
    pub(crate) fn new(db: &'d M, pk: &str) -> Self {
        Self { db, pk: pk.to_owned() }
    }

    /// The pk of the record.
    pub fn pk(&self) -> &str {
        &self.pk
    }

    /// The value at the path; `None` if it is absent.
    ///
    /// # Errors
    /// `record_not_found`, also for a deleted record.
    pub fn get<S: Into<Step>>(&self, path: impl IntoIterator<Item = S>) -> Result<Option<Value>> {
        let record = self.db.record_by_pk(&self.pk)?.ok_or_else(|| {
            Error::new(ErrorId::RECORD_NOT_FOUND, "no active record has this pk").with("pk", self.pk.as_str())
        })?;
        let mut value = Value::Object(record.bucket.to_map()?);
        for step in path {
            match take_child(value, &step.into()) {
                Some(child) => value = child,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// Sets the value. Returns the previous value, null if it was absent.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn set<S: Into<Step>>(
        &self,
        path: impl IntoIterator<Item = S>,
        value: impl Into<Value>,
    ) -> Result<Value> {
        self.edit(Edits::new().set(path, value))
    }

    /// Removes the key, or the element. Returns the removed value, null if it was absent.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn remove<S: Into<Step>>(&self, path: impl IntoIterator<Item = S>) -> Result<Value> {
        self.edit(Edits::new().remove(path))
    }

    /// Adds an element at the end of an array. Returns the new number of elements.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn push<S: Into<Step>>(
        &self,
        path: impl IntoIterator<Item = S>,
        element: impl Into<Value>,
    ) -> Result<u64> {
        self.edit(Edits::new().push(path, element)).and_then(as_length)
    }

    /// Adds an element at the beginning of an array. Returns the new number of elements.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn unshift<S: Into<Step>>(
        &self,
        path: impl IntoIterator<Item = S>,
        element: impl Into<Value>,
    ) -> Result<u64> {
        self.edit(Edits::new().unshift(path, element)).and_then(as_length)
    }

    /// Removes the last element of an array and returns it; `None` if there is none, or if it is null.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn pop<S: Into<Step>>(&self, path: impl IntoIterator<Item = S>) -> Result<Option<Value>> {
        self.edit(Edits::new().pop(path)).map(none_if_null)
    }

    /// Removes the first element of an array and returns it; `None` if there is none, or if it is null.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn shift<S: Into<Step>>(&self, path: impl IntoIterator<Item = S>) -> Result<Option<Value>> {
        self.edit(Edits::new().shift(path)).map(none_if_null)
    }

    /// Adds a number, and returns the sum. An absent value counts as 0.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn increment<S: Into<Step>>(
        &self,
        path: impl IntoIterator<Item = S>,
        by: impl Into<Value>,
    ) -> Result<Value> {
        self.edit(Edits::new().increment(path, by))
    }

    /// Sets the value to `new` if it equals `old`; returns whether it was set. Null equals an absent value.
    ///
    /// # Errors
    /// The errors that [`HotRecord`] lists.
    pub fn compare_and_set<S: Into<Step>>(
        &self,
        path: impl IntoIterator<Item = S>,
        old: impl Into<Value>,
        new: impl Into<Value>,
    ) -> Result<bool> {
        let path: Vec<Step> = path.into_iter().map(Into::into).collect();
        match self.edit(Edits::new().test(path.clone(), old).set(path, new)) {
            Ok(_) => Ok(true),
            Err(error) if is_failed_test(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Applies the edits, and returns the value of the last one.
    fn edit(&self, edits: Edits) -> Result<Value> {
        let edited = self.db.edit(&self.pk, edits.into())?;
        edited.values.into_iter().last().ok_or_else(|| unexpected("no value"))
    }
}

/// The value one step down. The parent is dropped, so the order of its other members does not matter.
fn take_child(parent: Value, step: &Step) -> Option<Value> {
    match (parent, step.as_json()) {
        (Value::Object(mut members), Value::String(key)) => members.swap_remove(key),
        (Value::Array(mut items), Value::Number(index)) => {
            let index = json::non_negative_integer(index).and_then(|index| usize::try_from(index).ok())?;
            (index < items.len()).then(|| items.swap_remove(index))
        }
        _ => None,
    }
}

/// The number of elements that a `push` or `unshift` returns.
fn as_length(value: Value) -> Result<u64> {
    value.as_u64().ok_or_else(|| unexpected("something else than a number of elements"))
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorId::INTERNAL, format!("the server answered an edit with {what}"))
}

fn none_if_null(value: Value) -> Option<Value> {
    (!value.is_null()).then_some(value)
}

/// Whether the error is that of a failed `test`: a `conflict` that is retryable. The `conflict` of a worldlet
/// file that another program has changed is not retryable, and remains an error.
fn is_failed_test(error: &Error) -> bool {
    error.is(ErrorId::CONFLICT) && error.is_retryable()
}

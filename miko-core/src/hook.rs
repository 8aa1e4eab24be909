//! Hooks: code that runs before a record is saved, and may amend or refuse it.

use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, panic_message};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json::{self, Object};
use crate::mikobase::Mikobase;
use crate::query::Filter;
use crate::record::Record;
use crate::save_kind::SaveKind;
use crate::target::Target;
use crate::uns;

/// The result of a hook: an error of any type is a veto.
pub type HookResult = std::result::Result<(), Box<dyn StdError + Send + Sync>>;

/// A hook that runs before a record is saved, for the records of a [`Target`].
///
/// [`LocalEngine::before_save`](crate::LocalEngine::before_save) makes one and adds it to an engine. Clones
/// share the closure.
///
/// ```
/// use miko_core::{Engine, ErrorId, Hook, MikobaseExt, PendingSave, SqliteEngine};
/// use serde_json::json;
///
/// let positive = |save: &mut PendingSave<'_>| match save.get("amount").and_then(|it| it.as_i64()) {
///     Some(1..) | None => Ok(()),
///     Some(_) => Err("an amount is positive".into()),
/// };
/// let db = SqliteEngine::in_memory()?;
/// db.add_hook(Hook::named("positive amounts", "bank.com/payment", positive)?)?;
///
/// let error = db.create("bank.com/payment", &json!({"amount": -3})).unwrap_err();
/// assert!(error.is(ErrorId::SAVE_REJECTED));
/// assert_eq!(error.items()[0].message(), "an amount is positive");
/// assert_eq!(error.items()[0].details["hook"], "positive amounts");
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Hook(Arc<SharedHook>);

struct SharedHook {
    name: String,
    filter: Filter,
    run: Box<dyn Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync>,
}

impl Hook {
    /// A hook whose name is that of the function `run`. If `run` is a closure, the name is that of the
    /// function around it.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub fn new<F>(target: impl Into<Target>, run: F) -> Result<Self>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        Self::named(type_name::<F>().trim_end_matches("::{{closure}}"), target, run)
    }

    /// A hook with a name, which callers see in the error of a veto.
    ///
    /// # Errors
    /// Every fault of the target.
    pub fn named<F>(name: impl Into<String>, target: impl Into<Target>, run: F) -> Result<Self>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        let filter = target.into().filter()?;
        Ok(Self(Arc::new(SharedHook { name: name.into(), filter, run: Box::new(run) })))
    }

    /// The name of the hook.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The filter of the records for which the hook runs.
    pub(crate) fn filter(&self) -> &Filter {
        &self.0.filter
    }

    /// Runs the hook for a record.
    ///
    /// # Errors
    /// `save-rejected`, if the hook fails, panics, or leaves a bucket that nests too deep.
    pub(crate) fn run(&self, save: &mut PendingSave<'_>) -> Result<()> {
        let pk = save.pk;
        let rejected = |message: String| {
            Error::new(ErrorId::SAVE_REJECTED, message).with("hook", self.name()).with("pk", pk)
        };
        // A panic does not harm the store: it becomes an error, and the write is undone. A hook that has
        // state must keep that state consistent itself.
        match catch_unwind(AssertUnwindSafe(|| (self.0.run)(save))) {
            Ok(Ok(())) if save.is_too_deep() => {
                let message =
                    format!("arrays and objects may nest {} deep in a bucket", json::MAX_BUCKET_DEPTH);
                Err(rejected(message))
            }
            Ok(Ok(())) => Ok(()),
            Ok(Err(veto)) => Err(rejected(veto.to_string()).with_source(veto)),
            Err(panic) => Err(rejected(format!("the hook panicked: {}", panic_message(&*panic)))),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").field(&self.name()).finish()
    }
}

/// A record that is about to be saved, as a hook sees it. Its classes have normalized its values and, for a
/// create, filled in defaults. It is validated after the last hook. Exception: the records of an import, a
/// merge or a schema are stored first, and their hooks run before the commit. Such a hook sees a record as it
/// is stored, and cannot amend it.
///
/// ```
/// use miko_core::{MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// db.before_save("starfleet.com/officer", |save| {
///     let name = save.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_lowercase();
///     save.set("slug", name)?;
///     Ok(())
/// })?;
/// let pk = db.create("starfleet.com/officer", &json!({"name": "Spock"}))?;
/// assert_eq!(db.hot(&pk).get(["slug"])?, Some(json!("spock")));
/// # Ok::<(), miko_core::Error>(())
/// ```
pub struct PendingSave<'s> {
    pub(crate) pk: &'s str,
    pub(crate) before: Option<&'s Record>,
    /// The stack after the change. For a delete, the stack before it.
    pub(crate) stack: &'s Map<String, Value>,
    pub(crate) bucket: PendingBucket<'s>,
    /// Whether the hook may have changed the bucket: it has called [`bucket_mut`](Self::bucket_mut).
    pub(crate) is_amended: bool,
    pub(crate) db: &'s dyn Mikobase,
}

/// The bucket that is about to be saved.
pub(crate) enum PendingBucket<'s> {
    Amendable(&'s mut Map<String, Value>),
    /// The record is stored by an import, a merge or a schema, and may not be amended.
    Fixed(&'s Map<String, Value>),
    /// The record is deleted.
    None,
}

impl PendingSave<'_> {
    /// Whether the record is created, updated or deleted.
    pub fn kind(&self) -> SaveKind {
        match (&self.bucket, self.before) {
            (PendingBucket::None, _) => SaveKind::Delete,
            (_, None) => SaveKind::Create,
            (_, Some(_)) => SaveKind::Update,
        }
    }

    /// The pk of the record, also of a new one.
    pub fn pk(&self) -> &str {
        self.pk
    }

    /// The primary class of the record: the class of the first platter.
    pub fn class(&self) -> &str {
        // The first member is the shadow.
        let class = self.stack.values().skip(1).find_map(|platter| platter.get("class")?.as_str());
        class.unwrap_or(uns::RECORD)
    }

    /// The stack after the change: the shadow, and a platter per class. For a delete, the stack before it.
    pub fn stack(&self) -> &Map<String, Value> {
        self.stack
    }

    /// The record before the change; `None` for a create.
    pub fn before(&self) -> Option<&Record> {
        self.before
    }

    /// The bucket after the change; `None` for a delete.
    pub fn bucket(&self) -> Option<&Map<String, Value>> {
        match &self.bucket {
            PendingBucket::Amendable(bucket) => Some(bucket),
            PendingBucket::Fixed(bucket) => Some(bucket),
            PendingBucket::None => None,
        }
    }

    /// The value of a field after the change; `None` if the bucket lacks the field, or the record is deleted.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.bucket()?.get(field)
    }

    /// Deserializes the bucket after the change as a `T`.
    ///
    /// # Errors
    /// `invalid_request`, which names the field that does not fit, or says that the record is deleted.
    pub fn bucket_as<T: DeserializeOwned>(&self) -> Result<T> {
        Object::from(self.bucket().ok_or_else(no_bucket_error)?).parse()
    }

    /// Whether the bucket may be amended: not if the record is deleted, or stored by an import, a merge or a
    /// schema.
    pub fn is_amendable(&self) -> bool {
        matches!(self.bucket, PendingBucket::Amendable(_))
    }

    /// The bucket, for amendments. Later hooks see it as it is left here. After the last hook it is
    /// normalized and validated as if the caller had sent it.
    ///
    /// # Errors
    /// `invalid_request`, unless it [may be amended](Self::is_amendable).
    pub fn bucket_mut(&mut self) -> Result<&mut Map<String, Value>> {
        match &mut self.bucket {
            PendingBucket::Amendable(bucket) => {
                self.is_amended = true;
                Ok(bucket)
            }
            PendingBucket::Fixed(_) => {
                let message = "a record of an import, a merge or a schema is stored as it is: a hook may \
                               refuse it, and not amend it";
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pk", self.pk))
            }
            PendingBucket::None => Err(no_bucket_error()),
        }
    }

    /// Sets the value of a field. NaN and infinities, which JSON does not have, become null.
    ///
    /// # Errors
    /// As [`bucket_mut`](Self::bucket_mut).
    pub fn set(&mut self, field: impl Into<String>, value: impl Into<Value>) -> Result<()> {
        self.bucket_mut()?.insert(field.into(), value.into());
        Ok(())
    }

    /// The database inside the running write. It shows the changes that the write has made so far, without
    /// the change of this record. Exception: the hooks of an import, a merge and a schema run after all their
    /// records are stored, so the database shows all of these records, including this one.
    ///
    /// Calls that write, and streams, are refused with `self-call`. Each call through another value for the
    /// same database, such as the engine, is refused as well, since it would wait for this write.
    pub fn db(&self) -> &dyn Mikobase {
        self.db
    }

    /// Whether the hook has amended the bucket so that it nests too deep. A bucket that was not amended has
    /// been checked with its request.
    fn is_too_deep(&self) -> bool {
        // `MAX_BUCKET_DEPTH` counts the bucket as one level, so a value in it has one level less.
        let nests_too_deep = |value: &Value| {
            matches!(value, Value::Array(_) | Value::Object(_))
                && json::nests_deeper_than(value, json::MAX_BUCKET_DEPTH - 1)
        };
        self.is_amended && self.bucket().is_some_and(|bucket| bucket.values().any(nests_too_deep))
    }
}

impl fmt::Debug for PendingSave<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSave")
            .field("kind", &self.kind())
            .field("pk", &self.pk)
            .field("class", &self.class())
            .finish_non_exhaustive()
    }
}

fn no_bucket_error() -> Error {
    Error::new(ErrorId::INVALID_REQUEST, "the record is deleted: it has no new bucket")
}

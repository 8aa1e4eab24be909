//! Changes of records, as subscribers get them.

use std::fmt;
use std::time::Duration;

use miko_rpc::travel::reads_binary;
use serde::{Deserialize, Deserializer, Serialize};

use crate::json::{self, Object};
use crate::record::Record;

/// An item of a subscription: a change of a record, or another event that [`ChangeOptions`] ask for.
///
/// ```
/// use miko_core::{ChangeKind, Mikobase, MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let mut changes = db.listen("starfleet.com/officer")?;
/// let pk = db.create("starfleet.com/officer", &json!({"name": "Kirk", "rank": "Commander"}))?;
/// db.patch(&pk, &json!({"rank": "Captain"}))?;
///
/// assert_eq!(changes.recv().unwrap()?.kind, ChangeKind::Create);
/// let promotion = changes.recv().unwrap()?;
/// assert_eq!(promotion.kind, ChangeKind::Update);
/// assert_eq!(promotion.fields.as_str(), r#"{"rank":{"old":"Commander","new":"Captain"}}"#);
/// assert_eq!(promotion.record.unwrap().bucket.get("rank")?, Some(json!("Captain")));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// The number of the transaction or the single write that made the change. Numbers grow from one
    /// transaction to the next, with gaps; all changes of a transaction have the same number.
    /// [`Present`](ChangeKind::Present) and [`Synced`](ChangeKind::Synced) have the number of the last
    /// transaction before the subscription began. [`ChangeOptions::after`] resumes after a number.
    pub seq: i64,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The pk of the record; empty for [`Synced`](ChangeKind::Synced).
    pub pk: String,
    /// The primary class of the record after the change; before the change, if the record was deleted; empty
    /// for [`Synced`](ChangeKind::Synced).
    pub class: String,
    /// The record after the change; `None` if it was deleted, and for [`Synced`](ChangeKind::Synced).
    pub record: Option<Record>,
    /// The fields of the bucket that have changed: `{name: {"old": value, "new": value}}`. `old` is missing
    /// if there was no such field before, and `new` if there is none any more. A `create` has all fields of
    /// the record, and a `delete` all fields that the record had. Empty for [`Present`](ChangeKind::Present)
    /// and [`Synced`](ChangeKind::Synced).
    pub fields: Object,
    /// Whether this is the last change of its transaction that the subscriber gets. A
    /// [replica](ChangeOptions::snapshot) that has applied all changes up to this one has the records that
    /// match the target, as they were at `seq`. `true` for [`Synced`](ChangeKind::Synced), and `false` for
    /// [`Present`](ChangeKind::Present).
    pub last: bool,
}

/// The kind of a [`Change`]. The *set* is the records that match the target of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ChangeKind {
    /// The record was created, and is in the set.
    Create,
    /// The record has changed, and is in the set. It may have entered the set by this change.
    Update,
    /// The record was deleted, and was in the set before.
    Delete,
    /// The record has changed, and is not in the set any more. With [`ChangeOptions::leaving`] only.
    Leave,
    /// The record was in the set when the subscription began. With [`ChangeOptions::snapshot`] only.
    Present,
    /// All records that were in the set when the subscription began have been delivered. With
    /// [`ChangeOptions::snapshot`] only.
    Synced,
}

impl ChangeKind {
    /// The name of the kind, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Leave => "leave",
            Self::Present => "present",
            Self::Synced => "synced",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The options of a subscription. By default a subscription has the changes of records from now on, and no
/// other items. The *set* is the records that match the target of the subscription.
///
/// ```
/// use miko_core::{ChangeKind, ChangeOptions, Mikobase, MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// db.create("starfleet.com/officer", &json!({"name": "Kirk"}))?;
/// let changes = db.changes("starfleet.com/officer".into(), ChangeOptions::snapshot())?;
/// let kinds = changes.take(2).map(|change| Ok(change?.kind)).collect::<miko_core::Result<Vec<_>>>()?;
/// assert_eq!(kinds, [ChangeKind::Present, ChangeKind::Synced]);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeOptions {
    /// Resumes after the transaction with this number ([`Change::seq`]). If the database no longer has all
    /// changes of later transactions, the subscription is refused with `changes-expired`.
    pub after: Option<i64>,
    /// Also reports records that leave the set: those that match the target before a change, and not after
    /// it.
    pub leaving: bool,
    /// Begins with the records that are in the set now. Cannot be combined with `after`.
    pub snapshot: bool,
}

/// In JSON the options are an object. A derived `Deserialize` would accept an array as well.
impl<'de> Deserialize<'de> for ChangeOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Options {
            after: Option<i64>,
            leaving: bool,
            snapshot: bool,
        }
        let Options { after, leaving, snapshot } = if reads_binary(&deserializer) {
            Options::deserialize(deserializer)
        } else {
            json::struct_from_object(deserializer)
        }?;
        Ok(Self { after, leaving, snapshot })
    }
}

impl ChangeOptions {
    /// Begins with the records that are in the set now, and reports those that leave it: what a replica
    /// needs.
    pub fn snapshot() -> Self {
        Self { snapshot: true, leaving: true, ..Self::default() }
    }

    /// Resumes after the transaction with this number.
    pub fn after(seq: i64) -> Self {
        Self { after: Some(seq), ..Self::default() }
    }

    /// Also reports records that leave the set.
    #[must_use]
    pub fn leaving(self) -> Self {
        Self { leaving: true, ..self }
    }
}

/// Limits of the memory that a database uses for changes and live queries, and of the time for which it keeps
/// changes.
///
/// ```
/// use miko_core::{ChangeLimits, SqliteEngine};
///
/// let limits = ChangeLimits { ring: 64 << 20, ..ChangeLimits::default() };
/// let db = SqliteEngine::in_memory()?.change_limits(limits);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeLimits {
    /// The approximate size in bytes of the last changes, which are kept for subscribers that resume and for
    /// live queries: 16 MiB by default. If the process has a memory limit, at most a sixteenth of that limit.
    pub ring: usize,
    /// The approximate size in bytes of the changes that a subscriber has not read yet: 4 MiB by default, and
    /// at most half of the [limit of an answer](crate::Engine::limit_answers). Beyond this size the oldest
    /// changes are left out, and the subscriber gets the error `lagged` in their place. If the process has a
    /// memory limit, at most a sixteenth of that limit.
    pub queue: usize,
    /// The approximate size in bytes of the state of a [live query](crate::LiveQuery): 16 MiB by default. The
    /// state is the pks and the sort values of the records of the result, of the records that the `offset` of
    /// the select skips, and of the next thousand records after its `limit`. Beyond this size the query is
    /// refused with `storage-full`, or ends with this error. If the process has a memory limit, at most a
    /// sixteenth of that limit.
    pub live_query: usize,
    /// How long the last changes are kept after all subscriptions and live queries have ended: 60 s by
    /// default, counted from the first commit after their end. The changes are discarded at the first commit
    /// after this time.
    pub keep: Duration,
}

impl Default for ChangeLimits {
    fn default() -> Self {
        Self { ring: 16 << 20, queue: 4 << 20, live_query: 16 << 20, keep: Duration::from_secs(60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_an_object_in_json() {
        let options = ChangeOptions { after: Some(5), leaving: true, snapshot: false };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<ChangeOptions>(&text).unwrap(), options);
        let binary = rmp_serde::to_vec(&options).unwrap();
        assert_eq!(rmp_serde::from_slice::<ChangeOptions>(&binary).unwrap(), options);
        assert_eq!(serde_json::from_str::<ChangeOptions>("{}").unwrap(), ChangeOptions::default());
        for text in ["[5, true, false]", "[]", r#"{"before": 1}"#] {
            assert!(serde_json::from_str::<ChangeOptions>(text).is_err(), "{text}");
        }
    }
}

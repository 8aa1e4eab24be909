//! A claimed record.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Value, json};

use crate::mikobase::{Edit, Mikobase, Query};
use crate::record::Record;
use crate::response::{Claimed, Results};

/// A record that this caller has claimed: the record cannot be claimed again until this claim ends. Reads and
/// writes of others are not affected.
///
/// A claim ends when it is [finished](Self::finish_with) or [released](Self::release), when its lease is
/// over, when its record is deleted, and when the connection that took the claim ends, for example with its
/// process. A claim that was taken from an engine in this process ends with the engine.
///
/// Dropping this value releases the claim. Exception: while the same thread has a transaction open (with a
/// proxy: while it runs the block of a transaction), the release is refused, since it would wait for that
/// transaction. The claim then stays until its lease is over or the connection ends.
///
/// The value shows the record as it was when it was claimed.
///
/// ```
/// use std::time::Duration;
///
/// use miko_core::q0::{Edits, Select, eq};
/// use miko_core::{MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// db.create("a.b/job", &json!({"state": "waiting", "number": 4}))?;
/// let waiting = || Select::class("a.b/job").path(["state"], eq("waiting"));
///
/// let job = db.claim(waiting(), Duration::from_secs(30))?.expect("a job waits");
/// assert_eq!(job.attempts(), 1);
/// assert!(db.claim(waiting(), Duration::from_secs(30))?.is_none());
///
/// let number = job.bucket.get("number")?.and_then(|n| n.as_i64()).unwrap_or_default();
/// job.finish_with(Edits::new().set(["state"], "done").set(["square"], number * number))?;
/// assert_eq!(db.count(waiting())?, 0);
/// # Ok::<(), miko_core::Error>(())
/// ```
pub struct Claim<'m, M: Mikobase + ?Sized> {
    db: &'m M,
    claimed: Claimed,
    /// Whether dropping the value releases the claim: not if the claim has ended, its release was requested,
    /// or a transaction is to end it.
    releases_on_drop: bool,
}

impl<'m, M: Mikobase + ?Sized> Claim<'m, M> {
    /// Claims the first free record that `select` finds, and waits at most `wait` for one. `None` if there is
    /// none.
    pub(crate) fn take(db: &'m M, select: Query, lease: Duration, wait: Duration) -> Result<Option<Self>> {
        let (lease, wait) = (lease.as_secs_f64(), wait.as_secs_f64());
        let claim = json!({"action": "claim", "select": select, "lease": lease, "wait": wait});
        match db.q0(claim)?.results {
            Results::Claimed(claimed) => {
                Ok(claimed.map(|claimed| Self { db, claimed, releases_on_drop: true }))
            }
            _ => Err(Error::new(ErrorId::INTERNAL, "the results of a claim are those of another action")),
        }
    }

    /// The id of the claim, as the actions `finish` and `release` of Q0 name it.
    pub fn id(&self) -> &str {
        &self.claimed.claim
    }

    /// How often the record was claimed since a claim of it was last finished, including this time. More than
    /// 1 means that an earlier claim ended without `finish`: it was released, for example, or its worker was
    /// killed.
    pub fn attempts(&self) -> u64 {
        self.claimed.attempts
    }

    /// Ends the claim of a record that was changed so that the select of the claim does not find it any more.
    ///
    /// # Errors
    /// `claim-lost`; `invalid_request`, if the select still finds the record: the claim is released then.
    pub fn finish(self) -> Result<()> {
        self.send_finish(json!({})).map(drop)
    }

    /// Edits the record, as [`Mikobase::edit`] does, and ends the claim in the same commit. Returns the
    /// values of the edits.
    ///
    /// # Errors
    /// `claim-lost`: nothing is changed then. The errors of an edit: the claim is released then.
    pub fn finish_with(self, edits: impl Into<Vec<Edit>>) -> Result<Vec<Value>> {
        self.send_finish(json!({"edits": edits.into()}))?.into_values()
    }

    /// As [`finish_with`](Self::finish_with), as a part of a transaction: the claim ends when the transaction
    /// is committed. If the transaction is rolled back, the claim stays until its lease is over or the
    /// connection ends.
    ///
    /// # Errors
    /// `claim-lost`; the errors of an edit, after which the claim stays as after a rollback.
    pub fn finish_in(
        mut self,
        tx: &(impl Mikobase + ?Sized),
        edits: impl Into<Vec<Edit>>,
    ) -> Result<Vec<Value>> {
        self.releases_on_drop = false;
        let edits = edits.into();
        tx.q0(json!({"action": "finish", "claim": self.id(), "edits": edits}))?.into_values()
    }

    /// Deletes the record and ends the claim in the same commit.
    ///
    /// # Errors
    /// `claim-lost`; the errors of a delete: the claim is released then.
    pub fn finish_by_deleting(self) -> Result<()> {
        self.send_finish(json!({"delete": true})).map(drop)
    }

    /// Ends the claim, so that others may claim the record.
    ///
    /// # Errors
    /// `claim-lost`. After any other error the claim stays until its lease is over or the connection ends.
    pub fn release(mut self) -> Result<()> {
        self.releases_on_drop = false;
        self.db.q0(json!({"action": "release", "claim": self.id()})).map(drop)
    }

    /// Sends the action `finish` for this claim. `finish` has its other members, such as `edits`. After an
    /// error, the drop of `self` releases the claim.
    fn send_finish(mut self, mut finish: Value) -> Result<crate::Response> {
        finish["action"] = "finish".into();
        finish["claim"] = self.id().into();
        let finished = self.db.q0(finish)?;
        self.releases_on_drop = false;
        Ok(finished)
    }
}

impl<M: Mikobase + ?Sized> Deref for Claim<'_, M> {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.claimed.record
    }
}

impl<M: Mikobase + ?Sized> Drop for Claim<'_, M> {
    fn drop(&mut self) {
        if self.releases_on_drop {
            // If the release fails, the claim ends with its lease or with the connection.
            let _ = self.db.q0(json!({"action": "release", "claim": self.claimed.claim}));
        }
    }
}

impl<M: Mikobase + ?Sized> fmt::Debug for Claim<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("claimed", &self.claimed).finish_non_exhaustive()
    }
}

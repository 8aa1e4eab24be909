//! Refuses the writes that a store does not take.
//!
//! A read-only store refuses every write before it begins ([`Store::check_writable`]).
//!
//! A store that only appends has two checks, which apply to every caller.
//!
//! 1. A call that changes or claims what exists is refused before it runs ([`Store::check_action`],
//!    [`Store::check_may_change`]).
//! 2. Each write set is checked before it is applied ([`Store::check_appends`]): it may not change a complete
//!    file, nor a record or a property of the database that existed when the write began. A property is
//!    `executable`, or a top-level key of a worldlet such as `comment`. So an import can add records and
//!    cannot replace any.
//!
//! The second check is left out in two cases: if a call writes a single record, since the first check lets
//! only creates pass; and in a merge ([`Store::allow_changes`]).

use miko_rpc::{Error, ErrorId, Result};

use crate::access::Access;
use crate::engine::store::Store;
use crate::mode::Mode;
use crate::query::Request;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::write_set::{RowChange, WriteSet};

impl From<Mode> for Access {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::ReadWrite => Self::Full,
            Mode::Read => Self::ReadOnly,
        }
    }
}

impl<T: Storage> Store<T> {
    /// Sets the access from now on. If the present access is stricter, it stays: access is never widened.
    pub(in crate::engine) fn restrict(&mut self, access: Access) {
        self.access = self.access.min(access);
    }

    /// Refuses any write if the store is read-only. Also called before a subscription or a live query begins:
    /// another process may write to a file that is open in mode `r`, and its commits are not seen here.
    ///
    /// # Errors
    /// `read-only-connection`.
    pub(in crate::engine) fn check_writable(&self) -> Result<()> {
        if self.access != Access::ReadOnly {
            return Ok(());
        }
        let message = "this connection only reads: open the backend in mode `rw`, or serve it without \
                       --read-only, to write";
        Err(Error::new(ErrorId::READ_ONLY_CONNECTION, message))
    }

    /// Refuses `action`, which changes or claims existing records or files, if the store only appends.
    ///
    /// # Errors
    /// `action-not-supported`.
    pub(in crate::engine) fn check_may_change(&self, action: &str) -> Result<()> {
        if self.access != Access::AppendOnly {
            return Ok(());
        }
        let message = format!("this database only takes new records, and `{action}` changes what is there");
        Err(Error::new(ErrorId::ACTION_NOT_SUPPORTED, message).with("found", action))
    }

    /// As [`check_may_change`](Self::check_may_change), for the action of a request.
    #[inline]
    pub(super) fn check_action(&self, request: &Request) -> Result<()> {
        if self.access != Access::AppendOnly {
            return Ok(());
        }
        match request {
            Request::Select(_) | Request::Create(_) => Ok(()),
            Request::Update(_) => self.check_may_change("update"),
            Request::Patch(_) => self.check_may_change("patch"),
            Request::Edit(_) => self.check_may_change("edit"),
            Request::Upsert(_) => self.check_may_change("upsert"),
            Request::Delete(_) => self.check_may_change("delete"),
            Request::Claim(_) => self.check_may_change("claim"),
            Request::Finish(_) => self.check_may_change("finish"),
            Request::Release(_) => self.check_may_change("release"),
        }
    }

    /// If the store only appends, notes the last row that exists before a write. The rows that the write adds
    /// get larger ids, by which [`check_appends`](Self::check_appends) recognizes them.
    #[inline]
    pub(super) fn note_last_row(&mut self) {
        if self.access == Access::AppendOnly {
            self.last_row_before = Some(self.last.get().row);
        }
    }

    /// Turns [`check_appends`](Self::check_appends) off for the running write, which is a merge. A merge may
    /// replace the current version of a record with a later one: the replaced version stays in the history.
    pub(super) fn allow_changes(&mut self) {
        self.last_row_before = None;
    }

    /// Checks a write set of the running write, if the store only appends. For an import of a worldlet or a
    /// schema this is the only check.
    ///
    /// # Errors
    /// `action-not-supported`, if the set changes a record or a property that existed before the write, or a
    /// complete file.
    #[inline]
    pub(super) fn check_appends(&self, write: &WriteSet) -> Result<()> {
        match self.last_row_before {
            None => Ok(()),
            Some(last) => check_appends_after(last, write),
        }
    }
}

fn check_appends_after(last: RowId, write: &WriteSet) -> Result<()> {
    let changed = write.rows.iter().chain(&write.versions).find(|change| change.key <= last);
    if let Some(RowChange { before, after, .. }) = changed {
        let pk = before.as_ref().or(after.as_ref()).map(|Row { pk, .. }| pk.as_str());
        let reason = match before {
            Some(Row { state: None, .. }) => "a deleted record has had this pk",
            _ => "a record with this pk is there",
        };
        return Err(refused(reason).with("pk", pk));
    }
    let Some(others) = &write.others else { return Ok(()) };
    let mut changed_files = others.files.iter().filter_map(|change| change.before.as_ref());
    // A file has a hash as soon as it is complete. The row of an incomplete file may change.
    if let Some(file) = changed_files.find(|file| file.sha256.is_some()) {
        return Err(refused("a file with this pk is there").with("pk", file.pk.as_str()));
    }
    let changed_property = others.metadata.iter().find(|change| {
        // `executable` that was never set counts as `false`, so setting it to `true` changes it.
        let allows_execution = change.key == "executable" && change.after == Some(true.into());
        (change.before.is_some() || allows_execution) && change.before != change.after
    });
    match changed_property {
        None => Ok(()),
        Some(property) => {
            Err(refused("this property of the database is set").with("property", property.key.as_str()))
        }
    }
}

/// The error of a write set that changes what exists. `what` says what exists.
fn refused(what: &str) -> Error {
    let message = format!("this database only takes new records, and {what}");
    Error::new(ErrorId::ACTION_NOT_SUPPORTED, message)
}

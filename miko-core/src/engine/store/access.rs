//! Refuses the writes that a store does not take.
//!
//! A store that only appends refuses in two places. A request whose action changes or claims records is
//! refused before it runs. Any other write is refused by its changes: it may not touch a row or a
//! version of a record that existed when it began. So an import can add records and cannot replace any, and
//! neither depends on who calls.

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
    /// Restricts the writes that are taken from now on. What was refused before remains so.
    pub(in crate::engine) fn restrict(&mut self, access: Access) {
        self.access = self.access.min(access);
    }

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

    /// Checks a write that changes or claims existing records.
    ///
    /// # Errors
    /// `action-not-supported`, if the store only appends.
    pub(in crate::engine) fn check_may_change(&self, action: &str) -> Result<()> {
        if self.access != Access::AppendOnly {
            return Ok(());
        }
        let message = format!("this database only takes new records, and `{action}` changes what is there");
        Err(Error::new(ErrorId::ACTION_NOT_SUPPORTED, message).with("found", action))
    }

    /// As [`check_may_change`](Self::check_may_change), for a request.
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

    /// Notes which records exist, before a write begins.
    #[inline]
    pub(super) fn note_last_record(&mut self) {
        if self.access == Access::AppendOnly {
            self.last_record_before = Some(self.last.get().row);
        }
    }

    /// Lets the running write change existing records, for a merge: its later versions take effect, and those
    /// before them stay in the history.
    pub(super) fn allow_changes(&mut self) {
        self.last_record_before = None;
    }

    /// Checks the changes of a write that no request makes.
    ///
    /// # Errors
    /// `action-not-supported`, if it changes anything that existed before it.
    #[inline]
    pub(super) fn check_appends(&self, write: &WriteSet) -> Result<()> {
        match self.last_record_before {
            None => Ok(()),
            Some(last) => check_appends_after(last, write),
        }
    }
}

fn check_appends_after(last: RowId, write: &WriteSet) -> Result<()> {
    let changed = write.rows.iter().chain(&write.versions).find(|change| change.key <= last);
    if let Some(RowChange { before, after, .. }) = changed {
        let pk = before.as_ref().or(after.as_ref()).map(|Row { pk, .. }| pk.as_str());
        return Err(refused("a record with this pk is there").with("pk", pk));
    }
    let Some(others) = &write.others else { return Ok(()) };
    let replaced = others.files.iter().filter_map(|change| change.before.as_ref());
    if let Some(file) = replaced.into_iter().find(|file| file.sha256.is_some()) {
        return Err(refused("a file with this pk is there").with("pk", file.pk.as_str()));
    }
    let replaced = others.metadata.iter().find(|change| {
        // A property that was never set counts as `false`.
        let is_added = change.before.is_none() && change.after != Some(true.into());
        !is_added && change.before != change.after
    });
    match replaced {
        None => Ok(()),
        Some(property) => {
            Err(refused("this property of the database is set").with("property", property.key.as_str()))
        }
    }
}

fn refused(what: &str) -> Error {
    let message = format!("this database only takes new records, and {what}");
    Error::new(ErrorId::ACTION_NOT_SUPPORTED, message)
}

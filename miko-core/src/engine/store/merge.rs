//! Merges the versions of a temporal worldlet, such as an export of another database, into the history.
//!
//! A merge ([`Store::merge`]) is an [`Import`] that refuses records and class definitions outside of the
//! history, and reports the outcome of each version. An ordinary import of a temporal worldlet adds its
//! versions by the same [`Import::merge_version`].

use miko_rpc::{Error, ErrorId, Result};
use serde_json::Value;

use crate::class::Markers;
use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::import::{Import, RuleCheck};
use crate::engine::store::stored_json::{extras_text, text};
use crate::engine::store::transaction::CommitSharing;
use crate::mikobase::Merged;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::{RowChange, WriteSet};
use crate::storage::{Storage, versions};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::{
    self, IncomingChunk, IncomingFile, IncomingRecord, IncomingState, IncomingVersion, RecordForm, Sink,
    WorldletFaults,
};

/// The outcome of merging one version.
pub(super) enum MergeOutcome {
    /// The version was added.
    Accepted,
    /// The version was there already, with the same content.
    Skipped,
    /// The version cannot be added, for this reason.
    Rejected(&'static str),
}

impl<T: Storage> Import<'_, T> {
    /// Adds a version to the history of its record, at its position in the order of time. If it is the latest
    /// version, it becomes the row of the record.
    ///
    /// # Errors
    /// The errors of applying a write set. A version that cannot be added is no error: it is
    /// [`Rejected`](MergeOutcome::Rejected). Faults of a class definition go to `problems`.
    pub(super) fn merge_version(
        &mut self,
        version: &IncomingVersion,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<MergeOutcome> {
        if !self.store.is_temporal {
            return Ok(MergeOutcome::Rejected("history goes into a temporal database only"));
        }
        // The row that stores the version.
        let row = |created_at, commit| Row {
            pk: version.pk.clone(),
            state: version.state.as_ref().map(stored_state),
            created_at,
            updated_at: version.time,
            commit,
            instance_pk: Some(version.instance_pk.clone()),
        };
        if let Some((_, found)) = self.store.storage.find_version(&version.instance_pk)? {
            // Each database has its own `created_at` and `commit` for a version: they are not compared.
            let is_same = found == row(found.created_at, found.commit);
            let rejected =
                MergeOutcome::Rejected("there is a version with this pk, and it says something else");
            return Ok(if is_same { MergeOutcome::Skipped } else { rejected });
        }
        self.store.pks.skip(&version.pk);
        self.store.pks.skip(&version.instance_pk);
        let commit = self.store.next_commit();
        let Some((id, last)) = self.store.storage.find(&version.pk)? else {
            let id = self.store.next_row_id();
            self.store.apply_row(RowChange::insert(id, row(version.time, commit)))?;
            // Until a stub states when the record was created, its time of creation is that of the earliest
            // version that was read.
            self.without_stated_creation.insert(id);
            self.insert_version_memberships(id, version, place, problems)?;
            return Ok(MergeOutcome::Accepted);
        };
        let is_stub = last.instance_pk.is_none();
        // Two databases may have written versions with the same time. Such versions are in the order of their
        // instance pks.
        let position = (version.time, Some(&version.instance_pk));
        if is_stub || position > (last.updated_at, last.instance_pk.as_ref()) {
            let is_created_by_version = is_stub && self.without_stated_creation.contains(&id);
            let created_at = if is_created_by_version { version.time } else { last.created_at };
            let after = row(created_at, commit);
            let replaced = last.state.clone();
            if is_stub {
                // A stub is no version, so it is not added to the history.
                self.store.apply_row(RowChange::replace(id, last, after))?;
            } else {
                let mut write = WriteSet::default();
                self.store.stage_replacement(id, last, after, &mut write);
                self.store.apply(write)?;
            }
            if let Some(replaced) = &replaced {
                let stack = self.remove_derived_entries(id, replaced)?;
                let new_stack = version.state.as_ref().map(|state| &state.stack);
                self.note_if_deleted_or_left_class((id, &version.pk), &stack, new_stack);
            }
            self.insert_version_memberships(id, version, place, problems)?;
            return Ok(MergeOutcome::Accepted);
        }
        // The version is older than the current one.
        let mut write = WriteSet::default();
        // The time of creation was stated by a stub, or is that of the first version; storage does not tell
        // which. If it is equal to the time of the first version, it counts as taken from there. A still
        // earlier version then becomes the first one, and changes the time of creation.
        let first_time = versions(&self.store.storage, id)?.into_iter().next().map(|first| first.updated_at);
        if first_time == Some(last.created_at) && version.time < last.created_at {
            let after = Row { created_at: version.time, ..last.clone() };
            write.change_row(RowChange::replace(id, last.clone(), after));
        }
        // Storage keeps no time of creation for a past version, so the time that is given here is ignored.
        write.versions.push(RowChange::insert(id, row(version.time, commit)));
        let definition_state =
            version.state.as_ref().filter(|state| stack::has_class(&state.stack, uns::CLASS));
        if definition_state.is_some() {
            // A temporal database lists the records that are or were class definitions: which class had which
            // name at which time is read from the versions of the listed records.
            write.others_mut().definitions.push(id);
        }
        self.store.apply(write)?;
        if let Some(state) = definition_state {
            self.check_past_definition(state, place, problems);
        }
        Ok(MergeOutcome::Accepted)
    }

    /// For a version that has become the current one of a record: inserts the record into the classes of the
    /// version, and notes the place of the version in the worldlet. A tombstone has no classes.
    fn insert_version_memberships(
        &mut self,
        id: RowId,
        version: &IncomingVersion,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let Some(state) = &version.state else {
            self.places.note(id, place, RecordForm::EXPORTED);
            return Ok(());
        };
        let markers = Markers::of(&state.extras);
        self.insert_memberships(id, (&state.stack, &state.bucket), &markers, (place, state.form), problems)
    }
}

impl<T: Storage> Store<T> {
    /// Merges the versions of a worldlet, all or none. If any version is rejected, nothing is written, and
    /// the result lists the rejected and the skipped versions.
    ///
    /// # Errors
    /// `invalid-worldlet`: all faults of the worldlet, if no version is rejected; the errors of a write.
    pub(in crate::engine) fn merge(&mut self, worldlet: &Value) -> Result<Merged> {
        let text = worldlet.to_string();
        let mut merged = Merged::default();
        let result = self.write(CommitSharing::Separate, |store| {
            // A store that only appends takes merges, too: a merge keeps all versions.
            store.allow_changes();
            let mut problems = WorldletFaults::default();
            let mut merge = Merge { import: Import::begin(store), merged: &mut merged };
            worldlet::read(&mut text.as_bytes(), &mut merge, &mut problems)?;
            merge.import.finish(RuleCheck::Skip, &mut problems)?;
            problems.check()?;
            if merged.rejected.is_empty() {
                return Ok(());
            }
            // This error rolls the write back. The caller of `merge` gets the list of rejected versions
            // instead.
            Err(Error::new(ErrorId::CONFLICT, "some version says something else than the one that is there"))
        });
        match result {
            Err(error) if merged.rejected.is_empty() || !is_fault_of_worldlet(&error) => Err(error),
            // Nothing was written. Rejected versions take precedence over faults of the worldlet.
            Err(_) => Ok(Merged { accepted: Vec::new(), ..merged }),
            Ok(()) => Ok(merged),
        }
    }
}

/// A merge in progress: an import that refuses records and class definitions outside of the history, and
/// collects the outcome of each version.
struct Merge<'m, 's, T> {
    import: Import<'s, T>,
    merged: &'m mut Merged,
}

impl<T: Storage> Sink for Merge<'_, '_, T> {
    fn is_temporal(&self) -> bool {
        self.import.is_temporal()
    }

    fn record(&mut self, record: IncomingRecord, problems: &mut WorldletFaults) -> Result<()> {
        let records = Place::Key(&Place::Root, "records");
        let place = Place::Key(&records, &record.pk);
        problems.refuse(place.fault("a merge takes versions, under `history`; records are imported"));
        Ok(())
    }

    fn stub(
        &mut self,
        pk: String,
        created_at: Option<Timestamp>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        self.import.stub(pk, created_at, problems)
    }

    fn reserve(&mut self, pk: &str) -> Result<()> {
        self.import.reserve(pk)
    }

    fn mark_file_refused(&mut self, pk: Option<String>) {
        self.import.mark_file_refused(pk);
    }

    fn version(&mut self, version: IncomingVersion, problems: &mut WorldletFaults) -> Result<()> {
        let history = Place::Key(&Place::Root, "history");
        let place = Place::Key(&history, &version.instance_pk);
        let list = match self.import.merge_version(&version, &place, problems)? {
            MergeOutcome::Accepted => &mut self.merged.accepted,
            MergeOutcome::Skipped => &mut self.merged.skipped,
            MergeOutcome::Rejected(reason) => {
                self.merged.reasons.insert(version.instance_pk.clone(), reason.to_owned());
                &mut self.merged.rejected
            }
        };
        list.push(version.instance_pk);
        Ok(())
    }

    fn class(&mut self, name: &str, _: Value, problems: &mut WorldletFaults) -> Result<()> {
        let classes = Place::Key(&Place::Root, "classes");
        let place = Place::Key(&classes, name);
        problems.refuse(place.fault("a merge takes versions, under `history`; a schema is imported"));
        Ok(())
    }

    fn file(&mut self, file: IncomingFile, problems: &mut WorldletFaults) -> Result<()> {
        self.import.file(file, problems)
    }

    fn chunk(&mut self, chunk: IncomingChunk, problems: &mut WorldletFaults) -> Result<()> {
        self.import.chunk(chunk, problems)
    }

    fn set_property(&mut self, _: &str, _: &Value) -> Result<()> {
        // The database keeps its own properties.
        Ok(())
    }
}

/// Whether the error of a merge says that versions were rejected (`conflict`), or that the worldlet has
/// faults. Other errors, such as those of storage, are no fault of the worldlet.
fn is_fault_of_worldlet(error: &Error) -> bool {
    [ErrorId::CONFLICT, ErrorId::INVALID_WORLDLET].contains(error.id())
}

fn stored_state(state: &IncomingState) -> State {
    State { bucket: text(&state.bucket), stack: text(&state.stack), extras: extras_text(&state.extras) }
}

//! Taking in versions: those of a temporal worldlet, and those that another database has made meanwhile.

use miko_rpc::{Error, ErrorId, Result};
use serde_json::Value;

use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::import::{Import, RuleCheck};
use crate::engine::store::stored_json::{extras_text, map, text};
use crate::engine::store::transaction::Isolation;
use crate::mikobase::Merged;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::{RowChange, WriteSet};
use crate::storage::{Storage, versions};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::{
    self, IncomingChunk, IncomingFile, IncomingRecord, IncomingState, IncomingVersion, Sink, WorldletFaults,
};

/// What became of a version that came in.
pub(super) enum Placed {
    /// It was not there, and is now.
    New,
    /// It was there already.
    Known,
    /// It cannot be there besides what is.
    Contradicts(&'static str),
}

impl<T: Storage> Import<'_, T> {
    /// Puts a version where it belongs in the order of time.
    pub(super) fn place(
        &mut self,
        version: &IncomingVersion,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<Placed> {
        if !self.store.is_temporal {
            return Ok(Placed::Contradicts("history goes into a temporal database only"));
        }
        let row = |created_at, commit| Row {
            pk: version.pk.clone(),
            state: version.state.as_ref().map(state),
            created_at,
            updated_at: version.time,
            commit,
            instance_pk: Some(version.instance_pk.clone()),
        };
        if let Some((_, found)) = self.store.storage.find_version(&version.instance_pk)? {
            let is_same = found == row(found.created_at, found.commit);
            let other = Placed::Contradicts("there is a version with this pk, and it says something else");
            return Ok(if is_same { Placed::Known } else { other });
        }
        let commit = self.store.next_commit();
        let Some((id, last)) = self.store.storage.find(&version.pk)? else {
            let id = self.store.next_row_id();
            self.store.apply_row(RowChange::insert(id, row(version.time, commit)))?;
            self.implied.insert(id);
            self.enter_version(id, version, place, problems)?;
            return Ok(Placed::New);
        };
        let is_stub = last.instance_pk.is_none();
        // Versions of one time, of which two databases may have written one each, are in the order of their
        // pks.
        let order = (version.time, Some(&version.instance_pk));
        if is_stub || order > (last.updated_at, last.instance_pk.as_ref()) {
            let after = row(last.created_at, commit);
            let replaced = last.state.clone();
            if is_stub {
                self.store.apply_row(RowChange::replace(id, last, after))?;
            } else {
                let mut write = WriteSet::default();
                self.store.replace_row(id, last, after, &mut write);
                self.store.apply(write)?;
            }
            if let Some(State { bucket, stack, .. }) = &replaced {
                self.withdraw(id, &map(bucket)?, &map(stack)?)?;
            }
            self.enter_version(id, version, place, problems)?;
            return Ok(Placed::New);
        }
        let mut write = WriteSet::default();
        // A record was created with its first version, unless a stub has said otherwise.
        let first = versions(&self.store.storage, id)?.into_iter().next().map(|first| first.updated_at);
        if first == Some(last.created_at) && version.time < last.created_at {
            let after = Row { created_at: version.time, ..last.clone() };
            write.change_row(RowChange::replace(id, last.clone(), after));
        }
        write.versions.push(RowChange::insert(id, row(version.time, commit)));
        let is_definition =
            version.state.as_ref().filter(|state| stack::classes(&state.stack).contains(&uns::CLASS));
        if is_definition.is_some() {
            write.others_mut().definitions.push(id);
        }
        self.store.apply(write)?;
        if let Some(IncomingState { bucket, stack, .. }) = is_definition {
            self.define(id, bucket, stack, place, problems);
        }
        Ok(Placed::New)
    }

    fn enter_version(
        &mut self,
        id: RowId,
        version: &IncomingVersion,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        match &version.state {
            Some(state) => self.enter(id, &state.bucket, &state.stack, place, problems),
            None => Ok(()),
        }
    }
}

impl<T: Storage> Store<T> {
    /// Adds the versions of a worldlet, all or none.
    pub(in crate::engine) fn merge(&mut self, worldlet: &Value) -> Result<Merged> {
        let text = worldlet.to_string();
        let mut merged = Merged::default();
        let done = self.write(Isolation::Separate, |store| {
            let mut problems = WorldletFaults::default();
            let mut merge = Merge { import: Import::into(store), merged: &mut merged };
            worldlet::read(&mut text.as_bytes(), &mut merge, &mut problems)?;
            merge.import.finish(RuleCheck::Skip, &mut problems)?;
            problems.check()?;
            if merged.rejected.is_empty() {
                return Ok(());
            }
            Err(Error::new(ErrorId::CONFLICT, "some version says something else than the one that is there"))
        });
        match done {
            Err(error) if merged.rejected.is_empty() => Err(error),
            Err(_) => Ok(Merged { accepted: Vec::new(), ..merged }),
            Ok(()) => Ok(merged),
        }
    }
}

/// A merge under way: an import of versions alone, each of which is accounted for.
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

    fn refused_file(&mut self, pk: Option<String>) {
        self.import.refused_file(pk);
    }

    fn version(&mut self, version: IncomingVersion, problems: &mut WorldletFaults) -> Result<()> {
        let history = Place::Key(&Place::Root, "history");
        let place = Place::Key(&history, &version.instance_pk);
        let list = match self.import.place(&version, &place, problems)? {
            Placed::New => &mut self.merged.accepted,
            Placed::Known => &mut self.merged.skipped,
            Placed::Contradicts(reason) => {
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

    fn file(&mut self, file: IncomingFile) -> Result<()> {
        self.import.file(file)
    }

    fn chunk(&mut self, chunk: IncomingChunk, problems: &mut WorldletFaults) -> Result<()> {
        self.import.chunk(chunk, problems)
    }

    fn keep(&mut self, _: &str, _: &Value) -> Result<()> {
        Ok(())
    }
}

fn state(state: &IncomingState) -> State {
    State { bucket: text(&state.bucket), stack: text(&state.stack), extras: extras_text(&state.extras) }
}

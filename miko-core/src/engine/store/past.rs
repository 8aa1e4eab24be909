//! What was: the versions of records, and the state as of a time.
//!
//! The classes of the past are those whose definitions held then. Its conditions are the evaluator's: indexes
//! and membership are about what is.

use miko_rpc::{Error, ErrorId, Result};

use crate::class::Catalog;
use crate::engine::store::Store;
use crate::engine::store::candidate::Candidate;
use crate::engine::store::definitions::catalog_of;
use crate::engine::store::stored_json::map;
use crate::query::{MatchCollector, SelectRequest};
use crate::record::Record;
use crate::response::Results;
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::timestamp::Timestamp;
use crate::uns;
use crate::version::Version;

/// A record as it was, and its row.
struct PastRecord {
    record: Record,
    id: RowId,
}

impl<T: Storage> Store<T> {
    /// The records that a select finds: those that there are, those that there were, or all their versions.
    pub(in crate::engine) fn select(&self, select: &SelectRequest) -> Result<Results> {
        match (select.history, select.cutoff) {
            (false, None) => self.select_now(select).map(Results::Records),
            (false, Some(cutoff)) => self.select_as_of(select, cutoff),
            (true, cutoff) => self.select_versions(select, cutoff),
        }
    }

    /// All versions of a record in order of time.
    ///
    /// # Errors
    /// `not-temporal`, `record_not_found`.
    pub(in crate::engine) fn history(&self, pk: &str) -> Result<Vec<Version>> {
        self.check_temporal()?;
        let Some((id, _)) = self.storage.find(pk)? else {
            return Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk));
        };
        let mut versions = Vec::new();
        self.storage.each_version(id, &mut |version| {
            self.answer.charge_version(&version)?;
            versions.push(version.into());
            Ok(())
        })?;
        Ok(versions)
    }

    pub(in crate::engine) fn check_temporal(&self) -> Result<()> {
        if self.is_temporal {
            return Ok(());
        }
        let message =
            "the database keeps no versions: whether it does is chosen when it is created, by `temporal`";
        Err(Error::new(ErrorId::NOT_TEMPORAL, message))
    }

    fn select_as_of(&self, select: &SelectRequest, cutoff: Timestamp) -> Result<Results> {
        let found =
            self.found_as_of(select, cutoff, |candidate| self.answer.charge_record(&candidate.record))?;
        let records: Vec<_> = found.into_iter().map(|PastRecord { record, .. }| record).collect();
        Ok(Results::Records(records.into()))
    }

    /// The rows of the records that a select finds as of then.
    pub(super) fn rows_as_of(&self, select: &SelectRequest, cutoff: Timestamp) -> Result<Vec<RowId>> {
        Ok(self
            .found_as_of(select, cutoff, |_| Ok(()))?
            .into_iter()
            .map(|PastRecord { id, .. }| id)
            .collect())
    }

    /// The records that a select finds as of then.
    fn found_as_of(
        &self,
        select: &SelectRequest,
        cutoff: Timestamp,
        take: impl Fn(&Candidate<'_>) -> Result<()>,
    ) -> Result<Vec<PastRecord>> {
        self.check_temporal()?;
        let catalog = self.catalog_at(cutoff)?;
        let mut selection = MatchCollector::of(select, take);
        self.each_looked_at(select, |id| {
            let Some(version) = self.storage.version_at(id, cutoff)? else { return Ok(()) };
            let Some(shown) = version.view() else { return Ok(()) };
            let candidate = Candidate::of(Record::from(shown), &catalog)?.numbered(id);
            if select.filter.matches(&candidate)? {
                selection.push(candidate)?;
            }
            Ok(())
        })?;
        let found = selection.finish()?.into_iter();
        Ok(found.map(|Candidate { record, id, .. }| PastRecord { record, id }).collect())
    }

    /// A tombstone is selected with the version that it ended: by itself it says nothing.
    fn select_versions(&self, select: &SelectRequest, cutoff: Option<Timestamp>) -> Result<Results> {
        self.check_temporal()?;
        let then = cutoff.map(|cutoff| self.catalog_at(cutoff)).transpose()?;
        let catalog = then.as_ref().unwrap_or(&self.catalog);
        let mut selection = MatchCollector::of(select, |candidate: &Candidate<'_>| {
            candidate.version.as_ref().map_or(Ok(()), |version| self.answer.charge_version(version))
        });
        self.each_looked_at(select, |id| {
            let mut last_active: Option<Record> = None;
            self.storage.each_version(id, &mut |version| {
                if cutoff.is_some_and(|cutoff| version.updated_at > cutoff) {
                    return Ok(());
                }
                let record = match version.view() {
                    Some(shown) => Record::from(shown),
                    None => match &last_active {
                        Some(ended) => Record { updated_at: version.updated_at, ..ended.clone() },
                        None => return Ok(()),
                    },
                };
                last_active = Some(record.clone());
                let candidate = Candidate::of(record, catalog)?.standing_for(version);
                if select.filter.matches(&candidate)? {
                    selection.push(candidate)?;
                }
                Ok(())
            })
        })?;
        let versions = selection.finish()?.into_iter().filter_map(|candidate| candidate.version);
        Ok(Results::Versions(versions.map(Version::from).collect()))
    }

    /// Looks at the records whose pks the select names, or at all, in order of creation.
    fn each_looked_at(
        &self,
        select: &SelectRequest,
        mut look: impl FnMut(RowId) -> Result<()>,
    ) -> Result<()> {
        let pks = match &select.filter.pks {
            // What comes before pks cannot be reached if a class of it leads nowhere.
            Some(Ok(pks)) if !matches!(select.filter.classes, Some(Err(_))) => Some(pks),
            _ => None,
        };
        if let Some(pks) = pks {
            let mut numbers = Vec::new();
            for pk in pks {
                numbers.extend(self.storage.find(pk)?.map(|(id, _)| id));
            }
            numbers.sort_unstable();
            numbers.dedup();
            return numbers.into_iter().try_for_each(look);
        }
        let mut last = RowId::default();
        while let Some((id, _)) = self.storage.next_row(last, CommitSeq::default())? {
            last = id;
            look(id)?;
        }
        Ok(())
    }

    /// The classes whose definitions held at a time.
    fn catalog_at(&self, time: Timestamp) -> Result<Catalog> {
        let mut definitions = Vec::new();
        for id in self.storage.definitions()? {
            let version = self.storage.version_at(id, time)?;
            let Some(state) = version.and_then(|version| version.state) else { continue };
            if stack::classes(&map(&state.stack)?).contains(&uns::CLASS) {
                definitions.push(map(&state.bucket)?);
            }
        }
        catalog_of(&definitions)
    }
}

impl From<Row> for Version {
    fn from(row: Row) -> Self {
        let object = crate::json::Object::from_text_unchecked;
        let (bucket, stack, extras) = match row.state {
            Some(state) => (Some(state.bucket), Some(state.stack), state.extras),
            None => (None, None, None),
        };
        Self {
            pk: row.pk,
            instance_pk: row.instance_pk.unwrap_or_default(),
            active: bucket.is_some(),
            bucket: bucket.map(object),
            stack: stack.map(object),
            extras: extras.map(object),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

//! Selects on the past of a temporal database: the versions of records (`history`), and the state at a time
//! (`cutoff`).
//!
//! A select with a cutoff uses the classes that were defined at the time of the cutoff. All conditions are
//! evaluated in Rust, since the indexes and the class memberships describe the current state only.

use miko_rpc::{Error, ErrorId, Result};

use crate::class::Catalog;
use crate::engine::store::Store;
use crate::engine::store::answer::charge_found;
use crate::engine::store::candidate::Candidate;
use crate::engine::store::definitions::read_definitions;
use crate::engine::store::stored_json::parse_object;
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

/// The state of a record at the cutoff, and the id of its row.
struct PastRecord {
    record: Record,
    id: RowId,
}

impl<T: Storage> Store<T> {
    /// The result of any select: current records, records as of the cutoff, or versions.
    ///
    /// # Errors
    /// The errors of evaluating the select; `not-temporal`, for a select on the past of a database that keeps
    /// no versions; `request-too-large`, if the result exceeds the size limit of the answer.
    pub(in crate::engine) fn select(&self, select: &SelectRequest) -> Result<Results> {
        match (select.history, select.cutoff) {
            (false, None) => self.select_current(select).map(Results::Records),
            (false, Some(cutoff)) => self.select_as_of(select, cutoff),
            (true, cutoff) => self.select_versions(select, cutoff),
        }
    }

    /// All versions of a record, in order of time.
    ///
    /// # Errors
    /// `not-temporal`, `record_not_found`; `request-too-large`, if the versions exceed the size limit of the
    /// answer.
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

    /// Checks that the database keeps versions.
    ///
    /// # Errors
    /// `not-temporal`.
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
            self.find_as_of(select, cutoff, |candidate| self.answer.charge_record(&candidate.record))?;
        let records: Vec<_> = found.into_iter().map(|PastRecord { record, .. }| record).collect();
        Ok(Results::Records(records.into()))
    }

    /// The ids of the rows that a select finds as of the cutoff.
    pub(super) fn rows_as_of(&self, select: &SelectRequest, cutoff: Timestamp) -> Result<Vec<RowId>> {
        let found = self.find_as_of(select, cutoff, |found| charge_found(&found.record))?;
        Ok(found.into_iter().map(|PastRecord { id, .. }| id).collect())
    }

    /// The records that a select finds as of the cutoff. `charge` is called once for each record of the
    /// result, and counts its size.
    fn find_as_of(
        &self,
        select: &SelectRequest,
        cutoff: Timestamp,
        charge: impl Fn(&Candidate<'_>) -> Result<()>,
    ) -> Result<Vec<PastRecord>> {
        self.check_temporal()?;
        let catalog = self.catalog_at(cutoff)?;
        let mut matches = MatchCollector::of(select, charge);
        self.for_each_candidate_row(select, |id| {
            let Some(version) = self.storage.version_at(id, cutoff)? else { return Ok(()) };
            let Some(record) = version.view() else { return Ok(()) };
            let candidate = Candidate::of(Record::from(record), &catalog)?.with_row_id(id);
            if select.filter.matches(&candidate)? {
                matches.push(candidate)?;
            }
            Ok(())
        })?;
        let found = matches.finish()?.into_iter();
        Ok(found.map(|Candidate { record, id, .. }| PastRecord { record, id }).collect())
    }

    /// The versions that a select finds; with a cutoff, only those that were written until then. For a
    /// tombstone, which has no content, the select is evaluated on the content of the version before it, with
    /// the time of the tombstone. A tombstone without an earlier version is not found.
    fn select_versions(&self, select: &SelectRequest, cutoff: Option<Timestamp>) -> Result<Results> {
        self.check_temporal()?;
        let past_catalog = cutoff.map(|cutoff| self.catalog_at(cutoff)).transpose()?;
        let catalog = past_catalog.as_ref().unwrap_or(&self.catalog);
        let mut matches = MatchCollector::of(select, |candidate: &Candidate<'_>| {
            candidate.version.as_ref().map_or(Ok(()), |version| self.answer.charge_version(version))
        });
        self.for_each_candidate_row(select, |id| {
            // The version that was visited last, as a record; `None` before the first one.
            let mut previous: Option<Record> = None;
            self.storage.each_version(id, &mut |version| {
                if cutoff.is_some_and(|cutoff| version.updated_at > cutoff) {
                    return Ok(());
                }
                let record = match version.view() {
                    Some(record) => Record::from(record),
                    None => match &previous {
                        Some(deleted) => Record { updated_at: version.updated_at, ..deleted.clone() },
                        None => return Ok(()),
                    },
                };
                previous = Some(record.clone());
                let candidate = Candidate::of(record, catalog)?.with_version(version);
                if select.filter.matches(&candidate)? {
                    matches.push(candidate)?;
                }
                Ok(())
            })
        })?;
        let versions = matches.finish()?.into_iter().filter_map(|candidate| candidate.version);
        Ok(Results::Versions(versions.map(Version::from).collect()))
    }

    /// Visits the rows of the records that may match, in order of creation. If the outermost filter of the
    /// select names pks, visits only the records with these pks: a record with another pk cannot match, since
    /// the outermost filter of a select is never negated.
    fn for_each_candidate_row(
        &self,
        select: &SelectRequest,
        mut visit: impl FnMut(RowId) -> Result<()>,
    ) -> Result<()> {
        let pks = match &select.filter.pks {
            // If `class` is a deferred error, such as that of a placeholder without a value, all records are
            // visited: `class` is evaluated before `pk`, so a record with another pk raises the error, too.
            Some(Ok(pks)) if !matches!(select.filter.classes, Some(Err(_))) => Some(pks),
            _ => None,
        };
        if let Some(pks) = pks {
            let mut ids = Vec::new();
            for pk in pks.iter() {
                ids.extend(self.storage.find(pk)?.map(|(id, _)| id));
            }
            ids.sort_unstable();
            ids.dedup();
            return ids.into_iter().try_for_each(visit);
        }
        // All commit numbers are larger than the default.
        let after_any_commit = CommitSeq::default();
        let mut last = RowId::default();
        while let Some((id, _)) = self.storage.next_row(last, after_any_commit)? {
            last = id;
            visit(id)?;
        }
        Ok(())
    }

    /// The classes that were defined at a time. Invalid inheritance is [repaired](Catalog::of_past). For
    /// example, parents that were not defined at that time are left out.
    fn catalog_at(&self, time: Timestamp) -> Result<Catalog> {
        let mut definitions = Vec::new();
        for id in self.storage.definitions()? {
            let version = self.storage.version_at(id, time)?;
            let Some(state) = version.and_then(|version| version.state) else { continue };
            if stack::has_class(&parse_object(&state.stack)?, uns::CLASS) {
                definitions.push(parse_object(&state.bucket)?);
            }
        }
        Ok(Catalog::of_past(read_definitions(&definitions)?))
    }
}

impl From<Row> for Version {
    fn from(row: Row) -> Self {
        let object = crate::json::Object::from_stored_text;
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

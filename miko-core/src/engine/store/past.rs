//! What was: the versions of records, and the state as of a time.
//!
//! The classes of the past are those whose definitions held then. Its conditions are the evaluator's: indexes and membership
//! are about what is.

use crate::class::Catalog;
use crate::engine::store::Store;
use crate::engine::store::candidate::Candidate;
use crate::engine::store::definitions::catalog_of;
use crate::engine::store::write::map;
use crate::engine::tables::{Row, Tables};
use crate::error::{Error, ErrorId, Result};
use crate::query::{Select, stack};
use crate::record::{Record, Records};
use crate::response::Results;
use crate::timestamp::Timestamp;
use crate::uns;
use crate::version::Version;

impl<T: Tables> Store<T> {
    /// The records that a select finds: those that there are, those that there were, or all their versions.
    pub(in crate::engine) fn select(&self, select: &Select) -> Result<Results> {
        match (select.history, select.cutoff) {
            (false, None) => T::select(self, select).map(Results::Records),
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
        let Some((seq, _)) = self.tables.find(pk)? else {
            return Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk));
        };
        let versions: Vec<_> = self.tables.versions(seq)?.into_iter().map(Version::from).collect();
        self.answer.take_versions(&versions)?;
        Ok(versions)
    }

    pub(in crate::engine) fn check_temporal(&self) -> Result<()> {
        if self.tables.is_temporal() {
            return Ok(());
        }
        let message =
            "the database keeps no versions: whether it does is chosen when it is created, by `temporal`";
        Err(Error::new(ErrorId::NOT_TEMPORAL, message))
    }

    fn select_as_of(&self, select: &Select, cutoff: Timestamp) -> Result<Results> {
        let records = self.found_as_of(select, cutoff, |candidate| candidate.record)?;
        let records = Records::from(records);
        self.answer.take_records(&records)?;
        Ok(Results::Records(records))
    }

    /// The numbers of the records that a select finds as of then.
    pub(super) fn numbers_as_of(&self, select: &Select, cutoff: Timestamp) -> Result<Vec<i64>> {
        self.found_as_of(select, cutoff, |candidate| candidate.seq)
    }

    /// What is wanted of each record that a select finds as of then.
    fn found_as_of<R>(
        &self,
        select: &Select,
        cutoff: Timestamp,
        wanted: impl FnMut(Candidate<'_>) -> R,
    ) -> Result<Vec<R>> {
        self.check_temporal()?;
        let catalog = self.catalog_at(cutoff)?;
        let mut found = Vec::new();
        self.each_looked_at(select, |seq| {
            let Some(version) = self.tables.version_at(seq, cutoff)? else { return Ok(()) };
            let Some(shown) = version.shown() else { return Ok(()) };
            let candidate = Candidate::of(Record::from(shown), &catalog)?.numbered(seq);
            if select.condition.holds(&candidate)? {
                found.push(candidate);
            }
            Ok(())
        })?;
        Ok(select.arranged(found).into_iter().map(wanted).collect())
    }

    /// A tombstone is selected with the version that it ended: by itself it says nothing.
    fn select_versions(&self, select: &Select, cutoff: Option<Timestamp>) -> Result<Results> {
        self.check_temporal()?;
        let then = cutoff.map(|cutoff| self.catalog_at(cutoff)).transpose()?;
        let catalog = then.as_ref().unwrap_or(&self.catalog);
        let mut found = Vec::new();
        self.each_looked_at(select, |seq| {
            let mut last_active: Option<Record> = None;
            for version in self.tables.versions(seq)? {
                if cutoff.is_some_and(|cutoff| version.updated_at > cutoff) {
                    break;
                }
                let record = match version.shown() {
                    Some(shown) => Record::from(shown),
                    None => match &last_active {
                        Some(ended) => Record { updated_at: version.updated_at, ..ended.clone() },
                        None => continue,
                    },
                };
                last_active = Some(record.clone());
                let candidate = Candidate::of(record, catalog)?.standing_for(version);
                if select.condition.holds(&candidate)? {
                    found.push(candidate);
                }
            }
            Ok(())
        })?;
        let versions = select.arranged(found).into_iter().filter_map(|candidate| candidate.version);
        let versions: Vec<_> = versions.map(Version::from).collect();
        self.answer.take_versions(&versions)?;
        Ok(Results::Versions(versions))
    }

    /// Looks at the records whose pks the select names, or at all, in order of creation.
    fn each_looked_at(&self, select: &Select, mut look: impl FnMut(i64) -> Result<()>) -> Result<()> {
        let pks = match &select.condition.pks {
            // What comes before pks cannot be reached if a class of it leads nowhere.
            Some(Ok(pks)) if !matches!(select.condition.classes, Some(Err(_))) => Some(pks),
            _ => None,
        };
        if let Some(pks) = pks {
            let mut numbers = Vec::new();
            for pk in pks {
                numbers.extend(self.tables.find(pk)?.map(|(seq, _)| seq));
            }
            numbers.sort_unstable();
            numbers.dedup();
            return numbers.into_iter().try_for_each(look);
        }
        let mut last = 0;
        while let Some((seq, _)) = self.tables.next_row(last, 0)? {
            last = seq;
            look(seq)?;
        }
        Ok(())
    }

    /// The classes whose definitions held at a time.
    fn catalog_at(&self, time: Timestamp) -> Result<Catalog> {
        let mut definitions = Vec::new();
        for seq in self.tables.ever_definitions()? {
            let version = self.tables.version_at(seq, time)?;
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
        let object = crate::json::Object::from_stored;
        let (bucket, stack, extras) = match row.state {
            Some(state) => (Some(state.bucket), Some(state.stack), state.extras),
            None => (None, None, None),
        };
        Self {
            pk: row.pk,
            instance_pk: row.instance.unwrap_or_default(),
            active: bucket.is_some(),
            bucket: bucket.map(object),
            stack: stack.map(object),
            extras: extras.map(object),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

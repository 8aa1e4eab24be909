//! Class definitions in the store: reads them into the catalog, registers their names, and defines, redefines
//! and undefines classes. After a change of classes, indexes the affected stored records anew.

use std::collections::{BTreeMap, BTreeSet};

use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use rpds::HashTrieMapSync;
use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, Definition, Markers};
use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::store::index_entries::{Derived, marker_class};
use crate::engine::store::pending_checks::MAX_LISTED;
use crate::engine::store::stored_json::{defined_by, parse_object, stored_markers};
use crate::json::index_key;
use crate::json::pointer::PointerToken;
use crate::storage::corruption;
use crate::storage::ids::{CommitSeq, ConstraintId, RowId};
use crate::storage::row::State;
use crate::storage::write_set::{IndexEntry, RowChange, WriteSet};
use crate::storage::{Storage, versions};
use crate::timestamp::Timestamp;
use crate::uns;

impl<T: Storage> Store<T> {
    /// Builds the catalog from all stored definitions.
    pub(super) fn load_catalog(&mut self) -> Result<()> {
        let buckets: Vec<_> = self.definition_records()?.into_iter().map(|(_, bucket)| bucket).collect();
        self.catalog = Catalog::of(read_definitions(&buckets)?).map_err(corruption)?;
        self.columns.clear();
        if self.is_temporal {
            // The returned faults are ignored: only an import causes them, and that import has reported them.
            self.load_name_history()?;
        }
        Ok(())
    }

    /// The pk and the bucket of each current definition, in order of creation.
    pub(super) fn definition_records(&self) -> Result<Vec<(String, Map<String, Value>)>> {
        let mut records = Vec::new();
        let Some(class) = self.find_class_id(uns::CLASS)? else { return Ok(records) };
        // `stored_record` leaves out records that were written after this commit. There are none.
        let last_commit = self.last.get().commit;
        for id in self.storage.members(class)? {
            if let Some(ParsedRecord { pk, bucket, .. }) = self.stored_record(id, last_commit)? {
                records.push((pk, bucket));
            }
        }
        Ok(records)
    }

    /// The row id and the pk of the record that defines a class; `None` if the class is not defined.
    pub(super) fn definition_record(&self, name: &str) -> Result<Option<(RowId, String)>> {
        self.find_unique(ConstraintId::DEFINITION_NAME, &index_key(&[&name.into()]))
    }

    /// Registers `row`, which has no class name registered yet, as the definition of `name`.
    ///
    /// # Errors
    /// `duplicate-class`, if the name is built in or has another definition.
    pub(super) fn register_class_name(&mut self, row: RowId, name: &str) -> Result<()> {
        Error::check(self.check_name(Some(row), name)?.into_iter().collect())?;
        let write = WriteSet { added_entries: vec![name_entry(row, name)], ..WriteSet::default() };
        // The returned conflicts are empty: `check_name` has excluded the only possible one.
        self.apply(write).map(drop)
    }

    /// Checks that the definition in `row` may have this name. Returns a fault if the name is built in, or is
    /// the name of another definition. `row` is `None` for a definition that is not stored yet.
    pub(super) fn check_name(&self, row: Option<RowId>, name: &str) -> Result<Option<ErrorItem>> {
        let other = self.definition_record(name)?.filter(|(holder, _)| Some(*holder) != row);
        let message = match &other {
            None if !uns::is_built_in(name) => return Ok(None),
            None => format!("`{name}` is built in, and needs no definition"),
            Some(_) => format!("`{name}` is defined already: update that definition"),
        };
        let item = ErrorItem::new(ErrorId::DUPLICATE_CLASS, message);
        Ok(Some(item.with("class", name).with("other", other.map(|(_, pk)| pk))))
    }

    /// Removes the registration of `row` as the definition of `name`. In a temporal database, notes when the
    /// definition ended.
    pub(super) fn unregister_class_name(&mut self, row: RowId, name: &str) -> Result<()> {
        if self.is_temporal
            && let Some(new_version) = self.storage.row(row)?
        {
            // The row was overwritten already. The definition ended when the new version began.
            note_definition_end(&mut self.definition_ends, name, new_version.updated_at);
        }
        let write = WriteSet { removed_entries: vec![name_entry(row, name)], ..WriteSet::default() };
        self.apply(write).map(drop)
    }

    /// Advances the time of the running write to the end of the last former definition of `name`, if that end
    /// is later. So two definitions of a name are never valid at the same time. The end is later if the clock
    /// was set back, or if the write that ended the definition had a time in the future.
    pub(super) fn advance_time_past_former_definition(&mut self, name: &str) {
        if let Some(end) = self.former_definition_end(name) {
            self.write_time = self.write_time.max(end);
        }
    }

    /// When the last former definition of a class name ended; `None` if there was none. Always `None` in a
    /// database that is not temporal.
    pub(super) fn former_definition_end(&self, name: &str) -> Option<Timestamp> {
        self.definition_ends.get(name).copied()
    }

    /// Reads from the history when the definitions of each class name were valid. Each version of a
    /// definition counts as a definition here. Notes for each name when the last former definition ended.
    /// Returns a fault for each pair of consecutive definitions of one name whose periods overlap, except for
    /// two current definitions: [`register_class_name`](Self::register_class_name) has refused the second.
    pub(super) fn load_name_history(&mut self) -> Result<FaultList> {
        // In order of the names, so that the faults always have the same order.
        let mut periods: BTreeMap<String, Vec<ValidityPeriod>> = BTreeMap::new();
        self.definition_ends = HashTrieMapSync::default();
        for id in self.storage.definitions()? {
            let mut versions = versions(&self.storage, id)?.into_iter().peekable();
            while let Some(version) = versions.next() {
                let Some(State { bucket, stack, .. }) = &version.state else { continue };
                let Some(name) = defined_by(&parse_object(stack)?, &parse_object(bucket)?) else { continue };
                let until = versions.peek().map(|next| next.updated_at);
                if let Some(until) = until {
                    note_definition_end(&mut self.definition_ends, &name, until);
                }
                let instance_pk = version.instance_pk.unwrap_or_default();
                let period = ValidityPeriod { from: version.updated_at, until, instance_pk };
                periods.entry(name).or_default().push(period);
            }
        }
        let mut faults = FaultList::default();
        for (name, mut periods) in periods {
            // An empty period overlaps no other.
            periods.retain(|period| period.until.is_none_or(|until| period.from < until));
            periods.sort_unstable();
            for pair in periods.windows(2) {
                let [earlier, later] = pair else { continue };
                // `register_class_name` has refused the second of two current definitions.
                let both_are_current = earlier.until.is_none() && later.until.is_none();
                if !both_are_current && earlier.until.is_none_or(|until| until > later.from) {
                    let message = format!("`{name}` has two definitions at the same time");
                    let item = ErrorItem::new(ErrorId::DUPLICATE_CLASS, message).with("class", name.as_str());
                    let pointer = format!("/history{}", PointerToken(&later.instance_pk));
                    faults.push(item.with("other", earlier.instance_pk.as_str()).with("pointer", pointer));
                }
            }
        }
        Ok(faults)
    }

    /// Puts the definitions `added` into force and the classes `removed` out of force, and indexes the
    /// affected stored records anew. Records that were written after the commit `up_to` are not indexed: an
    /// import indexes the records that it writes. After an error the caller must fail the write, which undoes
    /// the change.
    ///
    /// # Errors
    /// `class-not-found` for undefined parents; `validation-failed` for cycles, and if the classes inherit
    /// too much; `unique-violation` for the first stored records that violate a new unique constraint.
    pub(super) fn redefine(
        &mut self,
        added: Vec<Definition>,
        removed: &[String],
        up_to: CommitSeq,
    ) -> Result<()> {
        let names: BTreeSet<String> =
            added.iter().map(|definition| definition.name.clone()).chain(removed.iter().cloned()).collect();
        let (old, new) = (self.catalog.clone(), self.catalog.with(added, removed)?);
        // Changed classes and their subclasses, and all classes whose records may contain an object of one of
        // those classes.
        let mut affected: BTreeSet<String> = names
            .iter()
            .flat_map(|name| old.with_subclasses(name).chain(new.with_subclasses(name)))
            .map(str::to_owned)
            .collect();
        old.add_embedding_classes(&mut affected);
        new.add_embedding_classes(&mut affected);
        // If records of a class may hold references, they are always indexed anew: a change of the class of
        // an embedded object may change which references there are.
        let needs_reindex = |class: &&String| {
            old.constraints(class) != new.constraints(class)
                || old.has_references(class)
                || new.has_references(class)
        };
        let reindexed: Vec<String> = affected.iter().filter(needs_reindex).cloned().collect();
        let members = self.members(&reindexed)?;
        self.unindex_members(&members, up_to, &old)?;
        let mut write = WriteSet::default();
        for name in &names {
            let (before, after) = (declared_constraints(&old, name), declared_constraints(&new, name));
            self.change_constraints(before, after, &mut write)?;
        }
        self.apply(write)?;
        self.ids.get_mut().forget_constraints();
        self.catalog = new;
        self.columns.clear();
        self.wake_calls_after_redefinition();
        self.index_members(&members, up_to)
    }

    /// Adds to a write set the change of the constraints that a class declares: `before` are the constraints
    /// of the old definition, `after` those of the new one. A new constraint gets an id.
    fn change_constraints(
        &mut self,
        before: Vec<&Constraint>,
        after: Vec<&Constraint>,
        write: &mut WriteSet,
    ) -> Result<()> {
        for dropped in before.into_iter().filter(|constraint| !after.contains(constraint)) {
            if let Some(id) = self.storage.constraint_id(dropped)? {
                write.others_mut().constraints.push(RowChange::remove(id, dropped.clone()));
            }
        }
        after.into_iter().try_for_each(|constraint| self.constraint_id(constraint, write).map(drop))
    }

    /// The members of these classes, and the records that have a marker of one of them.
    fn members(&self, classes: &[String]) -> Result<BTreeSet<RowId>> {
        let mut members = BTreeSet::new();
        for class in classes {
            for name in [class, &marker_class(class)] {
                if let Some(id) = self.find_class_id(name)? {
                    members.extend(self.storage.members(id)?);
                }
            }
        }
        Ok(members)
    }

    /// Removes the index entries that were derived from the values of these records, by the classes of
    /// `catalog`. The memberships stay. [`redefine`](Self::redefine) removes the entries of all records
    /// before it adds any, so that no unique value conflicts with an outdated entry.
    fn unindex_members(
        &mut self,
        members: &BTreeSet<RowId>,
        up_to: CommitSeq,
        catalog: &Catalog,
    ) -> Result<()> {
        for &id in members {
            if let Some(ParsedRecord { bucket, stack, markers, .. }) = self.stored_record(id, up_to)? {
                let (mut derived, mut write) = (Derived::default(), WriteSet::default());
                let record = (&stack, &bucket);
                self.derive_values(id, (record, &markers), catalog, &mut derived, &mut write)?;
                write.change_entries(derived.entries, Vec::new());
                self.apply(write)?;
            }
        }
        Ok(())
    }

    /// Adds the index entries that are derived from the values of these records, by the classes in force. If
    /// records violate a unique constraint, the error lists only the first of them.
    fn index_members(&mut self, members: &BTreeSet<RowId>, up_to: CommitSeq) -> Result<()> {
        let mut offenders = FaultList::default();
        for &id in members {
            let Some(ParsedRecord { pk, bucket, stack, markers }) = self.stored_record(id, up_to)? else {
                continue;
            };
            // That the references have targets is not checked here, but when the record is written again.
            let (_references, faults) = self.index_values(id, (&stack, &bucket), &markers)?;
            offenders.append_with(faults, |fault| fault.with("pk", pk.as_str()));
            if offenders.len() >= MAX_LISTED {
                break;
            }
        }
        offenders.check()
    }

    /// The record of a row; `None` if the row has no content, or was written after the commit `up_to`.
    fn stored_record(&self, id: RowId, up_to: CommitSeq) -> Result<Option<ParsedRecord>> {
        let Some(row) = self.storage.row(id)?.filter(|row| row.commit <= up_to) else { return Ok(None) };
        let Some(State { bucket, stack, extras }) = row.state else { return Ok(None) };
        let markers = stored_markers(extras.as_deref())?;
        Ok(Some(ParsedRecord {
            pk: row.pk,
            bucket: parse_object(&bucket)?,
            stack: parse_object(&stack)?,
            markers,
        }))
    }
}

/// The constraints that a class declares, without those that it inherits.
fn declared_constraints<'c>(catalog: &'c Catalog, name: &str) -> Vec<&'c Constraint> {
    let constraints = catalog.constraints(name).iter().map(|constraint| &**constraint);
    constraints.filter(|constraint| constraint.class == *name).collect()
}

/// The index entry that makes `row` the definition of a name.
fn name_entry(row: RowId, name: &str) -> IndexEntry {
    IndexEntry::Unique { constraint: ConstraintId::DEFINITION_NAME, value: index_key(&[&name.into()]), row }
}

/// The period in which a version of a definition was valid.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ValidityPeriod {
    from: Timestamp,
    /// `None` if the version is the current one.
    until: Option<Timestamp>,
    instance_pk: String,
}

/// Notes that a definition of `name` ended at `time`. Of several ends, the latest is kept.
fn note_definition_end(ends: &mut HashTrieMapSync<String, Timestamp>, name: &str, time: Timestamp) {
    let last = ends.get(name).map_or(time, |last| time.max(*last));
    ends.insert_mut(name.to_owned(), last);
}

/// Reads the buckets of stored definitions.
///
/// # Errors
/// `internal`, if a bucket cannot be read as a definition.
pub(super) fn read_definitions(buckets: &[Map<String, Value>]) -> Result<Vec<Definition>> {
    let mut definitions = Vec::new();
    for bucket in buckets {
        let mut faults = FaultList::default();
        definitions.extend(Definition::read_stored(bucket, &mut faults));
        // Violated rules are ignored: a newer version of Mikobase may have more rules than the one that
        // stored the definition, and the database must still open.
        faults.retain(|fault| !fault.details.contains_key("rule"));
        Error::check(faults.listed().to_vec()).map_err(corruption)?;
    }
    Ok(definitions)
}

/// A stored record, parsed.
struct ParsedRecord {
    pk: String,
    bucket: Map<String, Value>,
    stack: Map<String, Value>,
    markers: Markers,
}

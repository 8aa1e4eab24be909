//! Derives the index entries of a record: its memberships, its unique and indexed values, and its references.
//! Also reports the unique values of a record that another record has.

use miko_rpc::{Error, ErrorId, ErrorItem, Result, memory};
use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind, Markers, OnDelete, Reference, ReferenceScan};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::stack;
use crate::storage::ids::{ConstraintId, RowId};
use crate::storage::write_set::{IndexEntry, WriteSet};
use crate::storage::{Storage, corruption};
use crate::uns;

/// A class of a record, and the bucket that the class describes: the own bucket of the platter, or the shared
/// bucket of the record.
pub(super) struct Facet<'r> {
    pub(super) class: &'r str,
    pub(super) bucket: &'r Map<String, Value>,
    /// The key of the platter in the stack, if the platter has an own bucket; `None` for the shared bucket.
    pub(super) platter: Option<&'r str>,
}

impl Facet<'_> {
    /// Calls `then` with the place of the bucket in the record.
    fn with_place(&self, then: impl FnOnce(&Place<'_>)) {
        match self.platter {
            None => then(&Place::Key(&Place::Root, "bucket")),
            Some(key) => {
                let stack = Place::Key(&Place::Root, "stack");
                then(&Place::Key(&Place::Key(&stack, key), "bucket"));
            }
        }
    }
}

/// The facets of a record. All platters of one class that have no own bucket share one facet. Exception:
/// each platter of `puck.uno/class` has its own facet, since a second one is a fault, which the validation
/// reports.
pub(super) fn facets<'r>(stack: &'r Map<String, Value>, shared: &'r Map<String, Value>) -> Vec<Facet<'r>> {
    let facet = |(key, platter): (&'r String, &'r Value)| {
        let class = platter.get("class")?.as_str()?;
        let own = platter.get("bucket").and_then(Value::as_object);
        Some(Facet { class, bucket: own.unwrap_or(shared), platter: own.map(|_| key.as_str()) })
    };
    stack::distinct_members(stack).filter_map(facet).collect()
}

/// The stack of a record, and its shared bucket.
pub(super) type StackAndBucket<'r> = (&'r Map<String, Value>, &'r Map<String, Value>);

/// The references of a record that the classes of `catalog` declare, also in objects to which a marker
/// assigns a class. Each is returned with the class that declares it.
pub(super) fn references(
    catalog: &Catalog,
    (stack, shared): StackAndBucket<'_>,
    markers: &Markers,
) -> Vec<(String, Reference)> {
    let mut scan = ReferenceScan::of(catalog, markers);
    for facet in facets(stack, shared) {
        facet.with_place(|place| {
            scan.scan_class(facet.class, facet.bucket, place);
            // Several facets may have the shared bucket. Its marked objects are scanned once, below.
            if facet.platter.is_some() {
                scan.scan_marked(facet.bucket, place);
            }
        });
    }
    scan.scan_marked(shared, &Place::Key(&Place::Root, "bucket"));
    scan.into_found()
}

/// The name of the pseudo-class of `class`, whose members are the records with a marker that assigns `class`.
/// When `class` is redefined, these records are indexed anew: the definition of `class` decides which
/// references are in their marked objects. No class has such a name, since a UNS contains no space.
pub(super) fn marker_class(class: &str) -> String {
    format!("custom_classes {class}")
}

/// The index entries of a record.
#[derive(Debug, Default)]
pub(super) struct Derived {
    /// Unique values, indexed values and references. [`Store::derive`] adds memberships, too.
    pub(super) entries: Vec<IndexEntry>,
    /// The references, each with the class that declares it.
    pub(super) references: Vec<(String, Reference)>,
}

impl<T: Storage> Store<T> {
    /// Whether the index entries of a record with this stack and these markers depend on a bucket. They do in
    /// three cases: a class of the stack has constraints or may hold references; the record has markers,
    /// since marked objects may hold references; the record is a class definition, whose name is in its
    /// bucket.
    pub(super) fn derives_from_bucket(&self, stack: &Map<String, Value>, markers: &Markers) -> bool {
        let needs_bucket = |name: &str| {
            let class = self.catalog.class(name);
            name == uns::CLASS
                || class.is_some_and(|class| !class.constraints.is_empty() || class.holds_references)
        };
        !markers.is_empty() || stack::any_class(stack, needs_bucket)
    }

    /// Derives the index entries of a record by the classes in force. Classes and constraints without an id
    /// get one, and their rows are added to `write`.
    pub(super) fn derive(
        &self,
        row: RowId,
        record: StackAndBucket<'_>,
        markers: &Markers,
        write: &mut WriteSet,
    ) -> Result<Derived> {
        // More entries than most records have.
        const EXPECTED_ENTRIES: usize = 8;
        let mut derived = Derived { entries: Vec::new(), references: Vec::new() };
        if write.added_entries.is_empty() {
            // The vector is empty. It is used for the capacity that it may have from an earlier write.
            derived.entries = std::mem::take(&mut write.added_entries);
        }
        derived.entries.reserve(EXPECTED_ENTRIES);
        self.derive_memberships(row, (record.0, markers), &mut derived.entries, write)?;
        self.derive_values(row, (record, markers), &self.catalog, &mut derived, write)?;
        Ok(derived)
    }

    /// Adds the memberships of a record, also those in the [pseudo-classes](marker_class) of its markers.
    pub(super) fn derive_memberships(
        &self,
        row: RowId,
        (stack, markers): (&Map<String, Value>, &Markers),
        entries: &mut Vec<IndexEntry>,
        write: &mut WriteSet,
    ) -> Result<()> {
        for class in stack::classes(stack) {
            // A temporal database lists the records that are or were class definitions: which class had which
            // name at which time is read from the versions of these records.
            if class == uns::CLASS && self.is_temporal {
                write.others_mut().definitions.push(row);
            }
            let class = self.class_id(class, write)?;
            entries.push(IndexEntry::Member { class, row });
        }
        for class in markers.classes() {
            let class = self.class_id(&marker_class(class), write)?;
            entries.push(IndexEntry::Member { class, row });
        }
        Ok(())
    }

    /// Adds the unique values, the indexed values and the references of a record, by the classes of
    /// `catalog`.
    ///
    /// # Errors
    /// `storage-full` if the memory limit is reached: an indexed value is copied for each class of the
    /// record.
    pub(super) fn derive_values(
        &self,
        row: RowId,
        (record, markers): (StackAndBucket<'_>, &Markers),
        catalog: &Catalog,
        derived: &mut Derived,
        write: &mut WriteSet,
    ) -> Result<()> {
        let (stack, shared) = record;
        let entries = &mut derived.entries;
        let mut holds_references = !markers.is_empty();
        for facet in facets(stack, shared) {
            let Some(class) = catalog.class(facet.class) else { continue };
            let ids = self.constraint_ids(class, write)?;
            for (constraint, &id) in class.constraints.iter().zip(&*ids) {
                // The values of a `join` are unique, too.
                let is_unique = constraint.kind != ConstraintKind::Index;
                if is_unique && let Some(value) = class.key(constraint, facet.bucket) {
                    memory::charge(value.len())?;
                    entries.push(IndexEntry::Unique { constraint: id, value, row });
                }
                // Selects look up values of the shared bucket only. If the platter has an own bucket, the
                // unique value above is from that bucket, and the shared value needs a separate entry.
                if (!is_unique || facet.platter.is_some())
                    && let Some(value) = class.key(constraint, shared)
                {
                    memory::charge(value.len())?;
                    entries.push(IndexEntry::Indexed { constraint: id, value, row });
                }
            }
            holds_references |= class.holds_references;
        }
        if holds_references {
            derived.references = references(catalog, record, markers);
            entries.extend(derived.references.iter().map(|(_, reference)| IndexEntry::Reference {
                target: reference.target.clone(),
                row,
                pointer: reference.pointer.clone(),
                restricts: reference.on_delete == OnDelete::Restrict,
            }));
        }
        Ok(())
    }

    /// Indexes the values and the references of a stored record by the classes in force. The record must have
    /// no entries of either kind yet. Returns the references, each with the class that declares it, and a
    /// fault for each unique value that another record has. If there are faults, nothing was indexed, and the
    /// caller must fail the write.
    pub(super) fn index_values(
        &mut self,
        row: RowId,
        record: StackAndBucket<'_>,
        markers: &Markers,
    ) -> Result<(Vec<(String, Reference)>, FaultList)> {
        let (mut derived, mut write) = (Derived::default(), WriteSet::default());
        self.derive_values(row, (record, markers), &self.catalog, &mut derived, &mut write)?;
        write.change_entries(Vec::new(), derived.entries);
        let mut faults = FaultList::default();
        let conflicts = self.apply(write)?;
        if !conflicts.is_empty() {
            self.report_unique_violations(Some(row), record, &mut faults)?;
        }
        Ok((derived.references, faults))
    }

    /// Adds a `unique-violation` for each unique value of a record that another record has. `row` is the row
    /// of the record; `None` if it has none yet.
    pub(super) fn report_unique_violations(
        &self,
        row: Option<RowId>,
        (stack, shared): StackAndBucket<'_>,
        faults: &mut FaultList,
    ) -> Result<()> {
        for facet in facets(stack, shared) {
            let Some(class) = self.catalog.class(facet.class) else { continue };
            let Some(ids) = self.find_constraint_ids(class)? else { continue };
            for (constraint, &id) in class.constraints.iter().zip(&*ids) {
                if constraint.kind == ConstraintKind::Index {
                    continue;
                }
                let Some(value) = class.key(constraint, facet.bucket) else { continue };
                if let Some((holder, pk)) = self.find_unique(id, &value)?
                    && Some(holder) != row
                {
                    faults.push(unique_violation(constraint, &pk));
                }
            }
        }
        Ok(())
    }

    /// The error of a write that storage has refused, because other records already have unique values of
    /// this record. `row` is the row of this record; `None` if it has none yet.
    pub(super) fn unique_error(&self, row: Option<RowId>, record: StackAndBucket<'_>) -> Result<Error> {
        let mut faults = FaultList::default();
        self.report_unique_violations(row, record, &mut faults)?;
        Ok(match faults.check() {
            Err(error) => error,
            Ok(()) => corruption("a unique value belongs to a record that does not have it"),
        })
    }

    /// The row id and the pk of the record that has a unique value.
    pub(super) fn find_unique(
        &self,
        constraint: ConstraintId,
        value: &str,
    ) -> Result<Option<(RowId, String)>> {
        let Some(id) = self.storage.find_unique(constraint, value)? else { return Ok(None) };
        Ok(self.storage.row(id)?.map(|row| (id, row.pk)))
    }
}

/// The fault of a record with a unique value that another record has. `other` is the pk of that other record.
pub(super) fn unique_violation(constraint: &Constraint, other: &str) -> ErrorItem {
    let message = format!("another record of `{}` has the same {}", constraint.class, constraint.describe());
    unique_violation_with(message, constraint, other)
}

/// As [`unique_violation`], with another message.
pub(super) fn unique_violation_with(
    message: impl Into<String>,
    constraint: &Constraint,
    other: &str,
) -> ErrorItem {
    ErrorItem::new(ErrorId::UNIQUE_VIOLATION, message)
        .with("class", constraint.class.as_str())
        .with("fields", constraint.fields.iter().map(|path| path.join(".")).collect::<Vec<_>>())
        .with("other", other)
}

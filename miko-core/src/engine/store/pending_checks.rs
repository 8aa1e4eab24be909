//! The deferred checks, which run at the end of a write:
//!
//! - Every reference of a written record has an allowed target.
//! - No two records have the same unique value ([`taken_values`](crate::engine::store::taken_values)).
//! - No restricting reference points at a deleted record, nor at a record that has left a class which the
//!   reference requires.
//!
//! Since the checks are deferred, a request of a batch may refer to a record that a later request creates.
//!
//! A restricting reference is one whose field has `on_delete: restrict`, or refers to a file. An import runs
//! the checks of references itself, before the end of its write.

use std::collections::HashMap;

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Value, json};

use crate::class::{OnDelete, Reference};
use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::store::index_entries::references;
use crate::engine::store::pending::{DeferredReference, DeferredTarget};
use crate::engine::store::stored_json::{parse_object, stored_markers};
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::uns;

/// The most records that one fault lists.
pub(super) const MAX_LISTED: usize = 10;

/// The references of a record in its present state in storage, which includes the running write.
struct CurrentReferences {
    row: RowId,
    /// The pk of the record; empty if the record was deleted.
    pk: String,
    /// The references by their JSON pointers, each with the class that declares it. Several classes that
    /// share a bucket may declare a reference at the same place.
    by_pointer: HashMap<String, Vec<(String, Reference)>>,
}

impl CurrentReferences {
    /// The references to `target` at `pointer`.
    fn at<'r>(&'r self, pointer: &str, target: &'r str) -> impl Iterator<Item = &'r (String, Reference)> {
        let at_place = self.by_pointer.get(pointer).into_iter().flatten();
        at_place.filter(move |(_, reference)| reference.target == target)
    }
}

/// The classes whose records represent files.
const FILE_CLASSES: [&str; 2] = [uns::FILE, uns::FILE_REFERENCE];

impl<T: Storage> Store<T> {
    /// Defers the check whether the references of a record have allowed targets. Each reference comes with
    /// the class that declares it.
    pub(super) fn defer_reference_checks(&mut self, row: RowId, references: Vec<(String, Reference)>) {
        let request = self.deferred.request;
        let deferred = references.into_iter().map(|(class, reference)| DeferredReference {
            row,
            class,
            reference,
            request,
        });
        self.deferred.references.extend(deferred);
    }

    /// Defers the check whether a restricting reference points at a deleted record.
    pub(super) fn defer_delete_check(&mut self, pk: &str) {
        let request = self.deferred.request;
        self.deferred.deleted.push(DeferredTarget { pk: pk.to_owned(), request });
    }

    /// Defers the check whether a restricting reference to a record requires a class that the record has
    /// left.
    pub(super) fn defer_left_class_check(&mut self, pk: &str) {
        let request = self.deferred.request;
        self.deferred.left_class.push(DeferredTarget { pk: pk.to_owned(), request });
    }

    /// Runs and discards all deferred checks of the write.
    ///
    /// # Errors
    /// `unique-violation`, `reference-not-found`, `file-not-found`, `reference-restricted`: all faults
    /// together. An error of storage is returned alone.
    pub(super) fn run_deferred_checks(&mut self) -> Result<()> {
        if self.deferred.has_no_checks() {
            return Ok(());
        }
        let deleted = std::mem::take(&mut self.deferred.deleted);
        let mut faults = FaultList::default();
        match self.check_taken_values() {
            Err(error) if error.is(ErrorId::UNIQUE_VIOLATION) => faults.extend(error.into_items()),
            checked => checked?,
        }
        self.drain_reference_checks(|_, _, fault| {
            faults.push(fault);
            Ok(())
        })?;
        for DeferredTarget { pk, request } in &deleted {
            faults.extend(self.check_deleted(pk)?.map(|fault| with_request_index(fault, *request)));
        }
        for DeferredTarget { pk, request } in std::mem::take(&mut self.deferred.left_class) {
            faults.extend(self.check_left_class(&pk)?.map(|fault| with_request_index(fault, request)));
        }
        faults.check()
    }

    /// Checks the deferred references and removes them from the list. For each reference without an allowed
    /// target, calls `report` with the row id of the referring record and the fault.
    pub(super) fn drain_reference_checks(
        &mut self,
        mut report: impl FnMut(&Self, RowId, ErrorItem) -> Result<()>,
    ) -> Result<()> {
        // The references that one write of a record has deferred follow each other, so a cache of one record
        // is enough.
        let mut current = None;
        for deferred in std::mem::take(&mut self.deferred.references) {
            if let Some(fault) = self.check_reference(&deferred, &mut current)? {
                report(self, deferred.row, with_request_index(fault, deferred.request))?;
            }
        }
        Ok(())
    }

    /// The fault of a deferred reference; `None` if its target is allowed, or the record no longer has the
    /// reference. `current` is a cache: the references of the record that was read last.
    fn check_reference(
        &self,
        deferred: &DeferredReference,
        current: &mut Option<CurrentReferences>,
    ) -> Result<Option<ErrorItem>> {
        let DeferredReference { row, class, reference: Reference { target, pointer, .. }, .. } = deferred;
        // If a later request of the batch has removed the reference, there is nothing to check. If the target
        // is allowed, the record need not be read.
        if !self.storage.refers(target, *row, pointer)?
            || self.check_target(class, &deferred.reference)?.is_none()
        {
            return Ok(None);
        }
        // A later request may have taken the class that declares the reference from the record, while another
        // class of the record declares a reference at the same place. Or a later request may have redefined
        // the class. So the check is made again with the references that the record has now.
        let current = self.read_references(*row, current)?;
        let mut declared = current.at(pointer, target).filter(|(declaring, _)| declaring == class);
        declared.find_map(|(class, reference)| self.check_target(class, reference).transpose()).transpose()
    }

    /// The references of the record at `id`. Reads them into `current`, unless `current` has them.
    fn read_references<'c>(
        &self,
        id: RowId,
        current: &'c mut Option<CurrentReferences>,
    ) -> Result<&'c CurrentReferences> {
        let references = match current.take() {
            Some(references) if references.row == id => references,
            _ => self.references_of(id)?,
        };
        Ok(current.insert(references))
    }

    /// The references of the record at `id`, read from storage; none if the record was deleted.
    fn references_of(&self, id: RowId) -> Result<CurrentReferences> {
        let mut current = CurrentReferences { row: id, pk: String::new(), by_pointer: HashMap::new() };
        let Some(Row { pk, state: Some(state), .. }) = self.storage.row(id)? else { return Ok(current) };
        current.pk = pk;
        let (stack, bucket) = (parse_object(&state.stack)?, parse_object(&state.bucket)?);
        let markers = stored_markers(state.extras.as_deref())?;
        for (class, reference) in references(&self.catalog, (&stack, &bucket), &markers) {
            let at_place = current.by_pointer.entry(reference.pointer.clone()).or_default();
            at_place.push((class, reference));
        }
        Ok(current)
    }

    /// The fault of a reference whose target is missing or of no allowed class; `None` if the target is
    /// allowed. `class` declares the reference.
    pub(super) fn check_target(&self, class: &str, reference: &Reference) -> Result<Option<ErrorItem>> {
        if reference.requires_file {
            return self.check_file(class, reference);
        }
        let classes = self.classes_of(&reference.target)?;
        let message = match classes {
            Some(classes) if self.is_allowed_target(&reference.classes, &classes) => return Ok(None),
            Some(_) => {
                format!("the record is of no class that is allowed here: {}", reference.classes.join(", "))
            }
            None => "no active record has this pk".to_owned(),
        };
        let item = ErrorItem::new(ErrorId::REFERENCE_NOT_FOUND, message)
            .with("class", class)
            .with("pointer", reference.pointer.as_str())
            .with("found", reference.target.as_str());
        Ok(Some(if reference.classes.is_empty() {
            item
        } else {
            item.with("allowed", reference.classes.clone())
        }))
    }

    /// As [`check_target`](Self::check_target), for a reference to a file. Its target must be a complete
    /// file, or a record of a [class that represents files](FILE_CLASSES).
    fn check_file(&self, class: &str, reference: &Reference) -> Result<Option<ErrorItem>> {
        let target = &reference.target;
        if self.is_complete_file(target)? || self.classes_of(target)?.is_some_and(|all| represents_file(&all))
        {
            return Ok(None);
        }
        Ok(Some(
            ErrorItem::new(ErrorId::FILE_NOT_FOUND, "no file has this pk")
                .with("class", class)
                .with("pointer", reference.pointer.as_str())
                .with("found", reference.target.as_str()),
        ))
    }

    fn is_complete_file(&self, pk: &str) -> Result<bool> {
        Ok(self.storage.find_file(pk)?.is_some_and(|(_, file)| file.sha256.is_some()))
    }

    /// Whether a target of these classes is allowed; an empty `allowed` allows any.
    fn is_allowed_target(&self, allowed: &[String], classes: &[String]) -> bool {
        allowed.is_empty() || classes.iter().any(|class| self.catalog.is_subclass_of_any(class, allowed))
    }

    /// The classes of the active record with this pk; `None` if there is no such record.
    fn classes_of(&self, pk: &str) -> Result<Option<Vec<String>>> {
        let Some((_, Row { state: Some(state), .. })) = self.storage.find(pk)? else { return Ok(None) };
        Ok(Some(stack::classes(&parse_object(&state.stack)?).into_iter().map(str::to_owned).collect()))
    }

    /// The records whose restricting references point at a pk, each with the JSON pointer of the reference:
    /// at most [`MAX_LISTED`], in the form in which a fault lists them.
    pub(super) fn restricting_references(&self, pk: &str) -> Result<Vec<Value>> {
        let mut restricting_references = Vec::new();
        for (id, pointer) in self.storage.restricting_references(pk, MAX_LISTED)? {
            let row = self.storage.row(id)?;
            restricting_references.push(json!({"pk": row.map(|row| row.pk), "pointer": pointer}));
        }
        Ok(restricting_references)
    }

    /// The fault of a deleted record at which restricting references still point.
    fn check_deleted(&self, pk: &str) -> Result<Option<ErrorItem>> {
        let restricting_references = self.restricting_references(pk)?;
        Ok(restriction_fault(
            "the record cannot be deleted while others point at it",
            pk,
            restricting_references,
        ))
    }
}

/// Checks of the restricting references to a record that has changed.
impl<T: Storage> Store<T> {
    /// The fault of a record that an import has deleted or taken out of a class, if a restricting reference
    /// to the record does not allow that.
    pub(super) fn check_replaced(&self, pk: &str) -> Result<Option<ErrorItem>> {
        match self.classes_of(pk)? {
            Some(classes) => self.check_classes(pk, &classes),
            None => self.check_deleted(pk),
        }
    }

    /// The fault of a record that has left a class, if a restricting reference to the record requires that
    /// class. `None` also if the record was deleted: [`check_deleted`](Self::check_deleted) covers that case.
    fn check_left_class(&self, pk: &str) -> Result<Option<ErrorItem>> {
        self.classes_of(pk)?.map_or(Ok(None), |classes| self.check_classes(pk, &classes))
    }

    /// The fault of a record of these classes, if a restricting reference to the record does not allow them.
    fn check_classes(&self, pk: &str, classes: &[String]) -> Result<Option<ErrorItem>> {
        // All restricting references are read, with their records, since the index does not have the classes
        // that a reference allows. This limit is larger than any number of references; `usize::MAX` would not
        // fit an integer of SQL.
        let no_limit = i32::MAX as usize;
        let restricting = self.storage.restricting_references(pk, no_limit)?;
        if restricting.is_empty() {
            return Ok(None);
        }
        let target_is_file = represents_file(classes) || self.is_complete_file(pk)?;
        // The references of one record follow each other, so each record is read once.
        let (mut restricting_references, mut current) = (Vec::new(), None);
        for (id, pointer) in restricting {
            let current = self.read_references(id, &mut current)?;
            let refused_by = current
                .at(&pointer, pk)
                .filter(|(_, reference)| reference.on_delete == OnDelete::Restrict)
                .find(|(_, reference)| match reference.requires_file {
                    true => !target_is_file,
                    false => !self.is_allowed_target(&reference.classes, classes),
                });
            if let Some((_, Reference { requires_file, classes: allowed, .. })) = refused_by {
                let allowed = if *requires_file { json!(FILE_CLASSES) } else { json!(allowed) };
                restricting_references
                    .push(json!({"pk": current.pk, "pointer": pointer, "allowed": allowed}));
            }
            if restricting_references.len() == MAX_LISTED {
                break;
            }
        }
        Ok(restriction_fault(
            "the record cannot leave the classes that others which point at it require",
            pk,
            restricting_references,
        ))
    }
}

/// Whether a record of these classes represents a file.
fn represents_file(classes: &[String]) -> bool {
    classes.iter().any(|class| FILE_CLASSES.contains(&class.as_str()))
}

/// The `reference-restricted` fault that lists the restricting references; `None` if there are none.
fn restriction_fault(message: &str, pk: &str, restricting_references: Vec<Value>) -> Option<ErrorItem> {
    let item = ErrorItem::new(ErrorId::REFERENCE_RESTRICTED, message).with("pk", pk);
    (!restricting_references.is_empty()).then(|| item.with("pointed_at_by", restricting_references))
}

/// Adds the index of the batch request to a fault.
pub(super) fn with_request_index(fault: ErrorItem, request: Option<usize>) -> ErrorItem {
    match request {
        Some(index) => fault.with("request", index),
        None => fault,
    }
}

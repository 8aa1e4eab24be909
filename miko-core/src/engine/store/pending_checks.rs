//! What a write checks before it ends: its references have targets then, and no restricting reference is
//! left to what it has deleted.

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Value, json};

use crate::class::Reference;
use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::store::index_entries::facets;
use crate::engine::store::pending::Required;
use crate::engine::store::stored_json::map;
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::uns;

/// The number of records that the fault of a restricting reference lists.
pub(super) const MAX_LISTED: usize = 10;

impl<T: Storage> Store<T> {
    /// Requires the targets of the references of a record, at the end of the write.
    pub(super) fn require(&mut self, row: RowId, references: Vec<(String, Reference)>) {
        let request = self.pending.request;
        let required =
            references.into_iter().map(|(class, reference)| Required { row, class, reference, request });
        self.pending.references.extend(required);
    }

    /// Notes that a record was deleted.
    pub(super) fn was_deleted(&mut self, pk: &str) {
        self.pending.deleted.push((pk.to_owned(), self.pending.request));
    }

    /// Notes that a record is no longer of a class that it was of.
    pub(super) fn was_reclassed(&mut self, pk: &str) {
        self.pending.reclassed.push((pk.to_owned(), self.pending.request));
    }

    /// Checks what the write leaves behind.
    pub(super) fn check_pending(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let deleted = std::mem::take(&mut self.pending.deleted);
        let mut faults = FaultList::default();
        self.pending_faults(|_, _, fault| {
            faults.push(fault);
            Ok(())
        })?;
        for (pk, request) in &deleted {
            faults.extend(self.check_deleted(pk)?.map(|fault| of_request(fault, *request)));
        }
        for (pk, request) in std::mem::take(&mut self.pending.reclassed) {
            faults.extend(self.check_reclassed(&pk)?.map(|fault| of_request(fault, request)));
        }
        faults.check()
    }

    /// Calls `report` with the fault of each required reference without a target, and its record. They are
    /// not checked again.
    pub(super) fn pending_faults(
        &mut self,
        mut report: impl FnMut(&Self, RowId, ErrorItem) -> Result<()>,
    ) -> Result<()> {
        for required in std::mem::take(&mut self.pending.references) {
            if let Some(fault) = self.check_reference(&required)? {
                report(self, required.row, of_request(fault, required.request))?;
            }
        }
        Ok(())
    }

    fn check_reference(&self, required: &Required) -> Result<Option<ErrorItem>> {
        let Required { row, class, reference, .. } = required;
        // A later request of the batch may have replaced it.
        if !self.storage.refers(&reference.target, *row, &reference.pointer)? {
            return Ok(None);
        }
        self.check_target(class, reference)
    }

    /// The fault of a reference in a record of `class` without a target, or with one that is not allowed.
    pub(super) fn check_target(&self, class: &str, reference: &Reference) -> Result<Option<ErrorItem>> {
        if reference.is_file {
            return self.check_file(class, reference);
        }
        let classes = self.classes_of(&reference.target)?;
        let message = match classes {
            Some(classes) if self.allows(&reference.classes, &classes) => return Ok(None),
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

    /// A file is referred to by its pk, or by that of a record that stands for it.
    fn check_file(&self, class: &str, reference: &Reference) -> Result<Option<ErrorItem>> {
        let is_file =
            self.storage.find_file(&reference.target)?.is_some_and(|(_, file)| file.sha256.is_some());
        let stands_for_one = |class: &String| [uns::FILE, uns::FILE_REFERENCE].contains(&class.as_str());
        if is_file || self.classes_of(&reference.target)?.is_some_and(|all| all.iter().any(stands_for_one)) {
            return Ok(None);
        }
        Ok(Some(
            ErrorItem::new(ErrorId::FILE_NOT_FOUND, "no file has this pk")
                .with("class", class)
                .with("pointer", reference.pointer.as_str())
                .with("found", reference.target.as_str()),
        ))
    }

    fn allows(&self, allowed: &[String], classes: &[String]) -> bool {
        allowed.is_empty() || classes.iter().any(|class| self.catalog.is_one_of(class, allowed))
    }

    /// The classes of an active record; `None` if there is none.
    fn classes_of(&self, pk: &str) -> Result<Option<Vec<String>>> {
        let Some((_, Row { state: Some(state), .. })) = self.storage.find(pk)? else { return Ok(None) };
        Ok(Some(stack::classes(&map(&state.stack)?).into_iter().map(str::to_owned).collect()))
    }

    /// The first records whose references restrict the deletion of a pk, each with the JSON pointer.
    pub(super) fn pointed_at_by(&self, pk: &str) -> Result<Vec<Value>> {
        let mut pointed_at_by = Vec::new();
        for (id, pointer) in self.storage.restricting(pk, MAX_LISTED)? {
            let row = self.storage.row(id)?;
            pointed_at_by.push(json!({"pk": row.map(|row| row.pk), "pointer": pointer}));
        }
        Ok(pointed_at_by)
    }

    /// The fault of a deleted record to which restricting references are left.
    fn check_deleted(&self, pk: &str) -> Result<Option<ErrorItem>> {
        let pointed_at_by = self.pointed_at_by(pk)?;
        Ok(restricted("the record cannot be deleted while others point at it", pk, pointed_at_by))
    }
}

impl<T: Storage> Store<T> {
    /// The fault of a record that has left a class which a restricting reference requires.
    fn check_reclassed(&self, pk: &str) -> Result<Option<ErrorItem>> {
        let Some(classes) = self.classes_of(pk)? else { return Ok(None) };
        let mut pointed_at_by = Vec::new();
        for (id, pointer) in self.storage.restricting(pk, i32::MAX as usize)? {
            let Some(row) = self.storage.row(id)? else { continue };
            let Some(allowed) = self.allowed_at(&row, pk, &pointer)? else { continue };
            if !self.allows(&allowed, &classes) {
                pointed_at_by.push(json!({"pk": row.pk, "pointer": pointer, "allowed": allowed}));
            }
            if pointed_at_by.len() == MAX_LISTED {
                break;
            }
        }
        Ok(restricted(
            "the record cannot leave the classes that others which point at it require",
            pk,
            pointed_at_by,
        ))
    }

    /// The classes that the reference at `pointer` of a record allows its target to have.
    fn allowed_at(&self, row: &Row, target: &str, pointer: &str) -> Result<Option<Vec<String>>> {
        let Some(state) = &row.state else { return Ok(None) };
        let (stack, bucket) = (map(&state.stack)?, map(&state.bucket)?);
        for facet in facets(&stack, &bucket) {
            let references = self.catalog.references(facet.class, facet.bucket, &facet.pointer());
            let is_it = |reference: &Reference| {
                reference.pointer == pointer && reference.target == target && !reference.is_file
            };
            if let Some(found) = references.into_iter().find(is_it) {
                return Ok(Some(found.classes));
            }
        }
        Ok(None)
    }
}

/// The fault of a record that others restrict; `None` if none does.
fn restricted(message: &str, pk: &str, pointed_at_by: Vec<Value>) -> Option<ErrorItem> {
    let item = ErrorItem::new(ErrorId::REFERENCE_RESTRICTED, message).with("pk", pk);
    (!pointed_at_by.is_empty()).then(|| item.with("pointed_at_by", pointed_at_by))
}

/// Adds the request of a batch to a fault.
fn of_request(fault: ErrorItem, request: Option<usize>) -> ErrorItem {
    match request {
        Some(index) => fault.with("request", index),
        None => fault,
    }
}

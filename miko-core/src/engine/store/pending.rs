//! What a transaction has to look at again before it commits: references point at records that exist then,
//! and records that are gone then are not pointed at.

use serde_json::{Value, json};

use crate::class::{OnDelete, Reference};
use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::store::values::facets;
use crate::engine::store::write::map;
use crate::engine::tables::{Row, Tables};
use crate::error::{ErrorId, ErrorItem, Result};
use crate::uns;

/// What the open transaction has written so far, as far as references go.
#[derive(Debug, Default)]
pub(super) struct Pending {
    references: Vec<Pointing>,
    /// Pks of records that were deleted, each with the request that did it.
    deleted: Vec<(String, Option<usize>)>,
    /// Pks of records that left a class, each with the request that did it.
    reclassed: Vec<(String, Option<usize>)>,
    /// Which request of a batch is being run.
    request: Option<usize>,
}

impl Pending {
    /// What is entered from now on comes from this request of a batch.
    pub(super) fn begin_request(&mut self, index: usize) {
        self.request = Some(index);
    }

    /// Whether other requests of the same transaction may still create what this one refers to.
    pub(super) fn is_in_batch(&self) -> bool {
        self.request.is_some()
    }

    /// How far it goes now, for [`forget_since`](Self::forget_since).
    pub(super) fn mark(&self) -> usize {
        self.references.len()
    }

    /// Leaves unchecked the references that were entered since `mark`.
    pub(super) fn forget_since(&mut self, mark: usize) {
        self.references.truncate(mark);
    }
}

/// A reference, and the record that it stands in.
#[derive(Debug)]
struct Pointing {
    seq: i64,
    class: String,
    reference: Reference,
    request: Option<usize>,
}

/// More are not listed: whoever has so many knows enough.
pub(super) const LISTED: usize = 10;

impl<T: Tables> Store<T> {
    /// Enters the references of a record, which are looked at when the transaction commits.
    pub(super) fn point(&mut self, seq: i64, class: &str, references: Vec<Reference>) -> Result<()> {
        for reference in references {
            let restricts = reference.on_delete == OnDelete::Restrict;
            self.tables.point(&reference.target, seq, &reference.pointer, restricts)?;
            let request = self.pending.request;
            self.pending.references.push(Pointing { seq, class: class.to_owned(), reference, request });
        }
        Ok(())
    }

    /// Notes that a record was deleted.
    pub(super) fn was_deleted(&mut self, pk: &str) {
        self.pending.deleted.push((pk.to_owned(), self.pending.request));
    }

    /// Notes that a record is no longer of a class that it was of.
    pub(super) fn was_reclassed(&mut self, pk: &str) {
        self.pending.reclassed.push((pk.to_owned(), self.pending.request));
    }

    /// Checks what the transaction has left behind.
    pub(super) fn check_pending(&mut self) -> Result<()> {
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

    /// Calls `take` for each reference entered so far that points at nothing, with the number of its record.
    /// They are not looked at again.
    pub(super) fn pending_faults(
        &mut self,
        mut take: impl FnMut(&Self, i64, ErrorItem) -> Result<()>,
    ) -> Result<()> {
        for pointing in std::mem::take(&mut self.pending.references) {
            if let Some(fault) = self.check_reference(&pointing)? {
                take(self, pointing.seq, of_request(fault, pointing.request))?;
            }
        }
        Ok(())
    }

    fn check_reference(&self, pointing: &Pointing) -> Result<Option<ErrorItem>> {
        let Pointing { seq, class, reference, .. } = pointing;
        if !self.tables.points(&reference.target, *seq, &reference.pointer)? {
            return Ok(None);
        }
        self.check_target(class, reference)
    }

    /// The fault of a reference in a record of `class` that points at nothing, or at what it may not point
    /// at.
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

    /// A file is named by its pk, or by that of a record which stands for it.
    fn check_file(&self, class: &str, reference: &Reference) -> Result<Option<ErrorItem>> {
        let is_file =
            self.tables.find_file(&reference.target)?.is_some_and(|(_, file)| file.sha256.is_some());
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
        match self.tables.find(pk)? {
            Some((seq, row)) if row.state.is_some() => self.tables.classes_of(seq).map(Some),
            _ => Ok(None),
        }
    }

    /// The first records that keep a pk from being deleted, and where they point at it.
    pub(super) fn pointed_at_by(&self, pk: &str) -> Result<Vec<Value>> {
        let mut pointed_at_by = Vec::new();
        for (seq, pointer) in self.tables.restricting(pk, LISTED)? {
            let row = self.tables.row(seq)?;
            pointed_at_by.push(json!({"pk": row.map(|row| row.pk), "pointer": pointer}));
        }
        Ok(pointed_at_by)
    }

    /// Does anybody hold on to a record that was deleted?
    fn check_deleted(&self, pk: &str) -> Result<Option<ErrorItem>> {
        let pointed_at_by = self.pointed_at_by(pk)?;
        if pointed_at_by.is_empty() {
            return Ok(None);
        }
        let message = "the record cannot be deleted while others point at it";
        Ok(Some(
            ErrorItem::new(ErrorId::REFERENCE_RESTRICTED, message)
                .with("pk", pk)
                .with("pointed_at_by", pointed_at_by),
        ))
    }
}

impl<T: Tables> Store<T> {
    /// Does a restricting reference require a class that a record has left?
    fn check_reclassed(&self, pk: &str) -> Result<Option<ErrorItem>> {
        let Some(classes) = self.classes_of(pk)? else { return Ok(None) };
        let mut pointed_at_by = Vec::new();
        for (seq, pointer) in self.tables.restricting(pk, i32::MAX as usize)? {
            let Some(row) = self.tables.row(seq)? else { continue };
            let Some(allowed) = self.allowed_at(&row, pk, &pointer)? else { continue };
            if !self.allows(&allowed, &classes) {
                pointed_at_by.push(json!({"pk": row.pk, "pointer": pointer, "allowed": allowed}));
            }
            if pointed_at_by.len() == LISTED {
                break;
            }
        }
        if pointed_at_by.is_empty() {
            return Ok(None);
        }
        let message = "the record cannot leave the classes that others which point at it require";
        Ok(Some(
            ErrorItem::new(ErrorId::REFERENCE_RESTRICTED, message)
                .with("pk", pk)
                .with("pointed_at_by", pointed_at_by),
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

/// Says of a fault which request of a batch it comes from.
fn of_request(fault: ErrorItem, request: Option<usize>) -> ErrorItem {
    match request {
        Some(index) => fault.with("request", index),
        None => fault,
    }
}

//! Imports simple records as text: their buckets and stacks are stored as they are in the worldlet.
//!
//! A record is simple if all of this holds:
//!
//! - Its entry has the form of an export without extras ([`TextRecord`]).
//! - Its stack has one platter, which has no bucket. The stack is written as it would be stored.
//! - The stack has a place in [`TextImport::classes`]: that map takes no
//!   [long stacks](MAX_CACHED_STACK_LENGTH), and only a [limited number](MAX_STACKS) of others.
//! - It is no class definition, and its pk is not in use.
//!
//! All other records are parsed to JSON values and imported by [`import`](super::import).
//!
//! At the end of the import the records are checked. Each record without extras is first checked as text. If
//! the text is not accepted, [`import`](super::import) parses the record and checks the values.

use std::collections::HashMap;

use miko_rpc::Result;

use crate::class::{AcceptedText, WriteKind};
use crate::diagnostics::{Faults, Place};
use crate::engine::store::Store;
use crate::engine::store::stored_json::MAX_CACHED_STACK_LENGTH;
use crate::json::{self, TextChecker};
use crate::stack::{self, Stack};
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::{IndexEntry, RowChange};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::TextRecord;

/// The state that an import keeps between the records that it stores or checks as text.
#[derive(Debug, Default)]
pub(super) struct TextImport {
    /// The class of each stack that was met, by the text of the stack; `None` if records with this stack are
    /// imported as values.
    classes: HashMap<String, Option<String>>,
    checker: TextChecker,
}

/// The most stacks in `TextImport::classes`: more than most worldlets have. Records with further stacks are
/// parsed.
const MAX_STACKS: usize = 1000;

impl TextImport {
    /// The class of a stack; `None` if records with this stack are imported as values.
    fn class_of(&mut self, stack: &str) -> Option<&str> {
        if !self.classes.contains_key(stack) {
            if self.classes.len() >= MAX_STACKS || stack.len() > MAX_CACHED_STACK_LENGTH {
                return None;
            }
            self.classes.insert(stack.to_owned(), class_for_text_import(stack));
        }
        self.classes.get(stack)?.as_deref()
    }
}

/// The class of a stack that has one platter without a bucket, and whose text is equal to the text that would
/// be stored for it. `None` for any other stack, and for the stack of a class definition.
fn class_for_text_import(text: &str) -> Option<String> {
    let mut faults = Faults::default();
    let parsed = Stack::read_stored_stack(json::from_text(text).ok()?, &Place::Root, &mut faults)?;
    let (errors, _warnings) = faults.into_parts();
    errors.check().ok()?;
    let stored = parsed.into_map(None);
    // A stored stack has its shadow first, then its platters: here exactly one.
    let [_shadow, (_, platter)] = stored.iter().collect::<Vec<_>>()[..] else { return None };
    let [class] = stack::classes(&stored)[..] else { return None };
    let is_plain = class != uns::CLASS && platter.get("bucket").is_none() && json::text_of(&stored) == text;
    is_plain.then(|| class.to_owned())
}

impl<T: Storage> Store<T> {
    /// Inserts a new record as a part of the running write, with the membership in its class. Returns its row
    /// id. Returns `None` if the record is not simple: it was not inserted then, and the caller parses it and
    /// imports the values. `now` is the time of a record that states none.
    pub(super) fn insert_imported(
        &mut self,
        record: &TextRecord<'_>,
        now: Timestamp,
        text_import: &mut TextImport,
    ) -> Result<Option<RowId>> {
        let Some(class) = text_import.class_of(record.stack) else { return Ok(None) };
        if self.storage.find(record.pk)?.is_some() {
            return Ok(None);
        }
        let updated_at =
            record.updated_at.or(record.created_at).map_or_else(|| now.within_rfc3339_years(), Ok)?;
        let state = State { bucket: record.bucket.to_owned(), stack: record.stack.to_owned(), extras: None };
        let row = Row {
            pk: record.pk.to_owned(),
            state: Some(state),
            created_at: record.created_at.unwrap_or(updated_at),
            updated_at,
            commit: self.next_commit(),
            instance_pk: self.next_instance_pk(updated_at),
        };
        let id = self.next_row_id();
        let mut write = self.transaction.empty_set();
        // The vector is empty. It is used for the capacity that it may have from an earlier write.
        let mut entries = std::mem::take(&mut write.added_entries);
        entries.push(IndexEntry::Member { class: self.class_id(class, &mut write)?, row: id });
        write.change_row(RowChange::insert(id, row));
        write.change_entries(Vec::new(), entries);
        // The set has no unique values, so there is no conflict.
        self.apply(write)?;
        Ok(Some(id))
    }

    /// Checks an imported record without extras by its text, and indexes its unique and indexed values.
    /// Returns `false` if the record was not accepted: it has a fault, or cannot be judged by its text. The
    /// caller then parses the record, and checks and indexes the values.
    pub(super) fn accept_imported(
        &mut self,
        id: RowId,
        bucket: &str,
        stack: &str,
        text_import: &mut TextImport,
    ) -> Result<bool> {
        if text_import.class_of(stack).is_none() {
            return Ok(false);
        }
        // The class is looked up again: the name that `class_of` returns borrows all of `text_import`, and
        // the checker is needed beside the name.
        let TextImport { classes, checker } = text_import;
        let Some(Some(name)) = classes.get(stack) else { return Ok(false) };
        let Some(class) = self.catalog.class(name).cloned() else {
            // Without a definition there is nothing to check. A strict database refuses such a class.
            return Ok(!self.strict);
        };
        let Some(AcceptedText { keys, .. }) =
            class.accept_text(&self.catalog, bucket, WriteKind::Import, checker)
        else {
            return Ok(false);
        };
        if keys.is_empty() {
            return Ok(true);
        }
        let mut write = self.transaction.empty_set();
        // The vector is used for its capacity, as in `insert_imported`.
        let mut entries = std::mem::take(&mut write.added_entries);
        self.derive_from_keys(id, &class, keys, &mut entries, &mut write)?;
        write.change_entries(Vec::new(), entries);
        // If another record has one of the unique values, nothing is applied. The caller then parses the
        // record, finds the same conflict and reports it, so the import fails. If the write set had new ids
        // of constraints, these ids are in the id cache of the store (`id_cache.rs`) and not in storage. The
        // failure of the import clears the id cache.
        let conflicts = self.apply(write)?;
        Ok(conflicts.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_with_long_stacks_are_imported_as_values() {
        let mut texts = TextImport::default();
        let stack = |class: &str| json::text_of(&Stack::of_class(class.to_owned()).into_map(None));
        let long = format!("a.b/{}", "x".repeat(MAX_CACHED_STACK_LENGTH));
        assert_eq!(texts.class_of(&stack("a.b/x")), Some("a.b/x"));
        assert_eq!(texts.class_of(&stack(&long)), None);
        assert_eq!(texts.classes.len(), 1);
    }
}

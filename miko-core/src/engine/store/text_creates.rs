//! Creates records from buckets that are JSON text, as they were sent.
//!
//! Text that surely has no fault is stored without being parsed
//! ([decision 0034](../../../../docs/decisions/0034-buckets-as-text.md)). Missing defaults are added to the
//! text, and its fields are put in the order of the class. Any other text is parsed into a
//! `serde_json::Value`, and the record is created as by the action `create`.

use std::sync::Arc;

use miko_rpc::{Error, Result, memory};

use crate::bucket::Bucket;
use crate::class::{AcceptedText, Class, ConstraintKind, Markers, WriteKind};
use crate::engine::store::Store;
use crate::engine::store::refusal::RejectedWrite;
use crate::engine::store::stored_json::{parse_object, text};
use crate::engine::store::transaction::CommitSharing;
use crate::query::CreateRequest;
use crate::response::Response;
use crate::stack::Stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::State;
use crate::storage::write_set::{IndexEntry, WriteSet};
use crate::uns;

/// What the new records of one call have in common.
pub(in crate::engine) struct NewRecords<'c> {
    /// The class as the caller gave it, for the errors of a name that is no UNS.
    class: &'c str,
    /// The class without its protocol, as it is stored; `None` if it is no valid UNS.
    valid_class: Option<&'c str>,
    /// Stores buckets as text; `None` if all buckets have to be parsed.
    text_creator: Option<TextCreator>,
}

/// Creates records of a class from the text of their buckets.
struct TextCreator {
    /// The class, without its protocol.
    class: String,
    /// `None` if the class is not defined.
    definition: Option<Arc<Class>>,
    /// The text of the stack of each record.
    stack: String,
}

/// A bucket that is ready to be stored.
struct AcceptedBucket {
    text: String,
    /// The index keys of the bucket, each with the position of its constraint in `Class::constraints`.
    keys: Vec<(usize, String)>,
}

impl TextCreator {
    /// Checks the text of a bucket. `None` if it has to be parsed.
    fn accept<T: Storage>(&self, store: &mut Store<T>, bucket: &str) -> Option<AcceptedBucket> {
        match &self.definition {
            Some(class) => {
                let AcceptedText { text, keys } =
                    class.accept_text(&store.catalog, bucket, WriteKind::Create, &mut store.text_checker)?;
                Some(AcceptedBucket { text: text.into_owned(), keys })
            }
            None => {
                store.text_checker.check(bucket)?;
                Some(AcceptedBucket { text: bucket.to_owned(), keys: Vec::new() })
            }
        }
    }
}

impl<T: Storage> Store<T> {
    /// Prepares to create records of a class.
    fn new_records<'c>(&self, class: &'c str) -> NewRecords<'c> {
        // The name of a defined class was parsed when it was defined.
        let valid_class = match self.catalog.class(class) {
            Some(_) => Some(class),
            None => uns::parse(class).ok(),
        };
        NewRecords {
            class,
            valid_class,
            text_creator: valid_class.and_then(|class| self.text_creator(class)),
        }
    }

    /// The creator of records of a class. `None` in three cases, in which all buckets of the class have to be
    /// parsed: the records are class definitions, which change the catalog; a strict database refuses the
    /// records, since the class is neither defined nor built in; there are hooks, which get parsed buckets.
    fn text_creator(&self, class: &str) -> Option<TextCreator> {
        let definition = self.catalog.class(class).cloned();
        let is_allowed = definition.is_some() || !self.strict || uns::is_built_in(class);
        if class == uns::CLASS || !is_allowed || !self.hooks.is_empty() {
            return None;
        }
        let stack = match &definition {
            Some(definition) => definition.stack_text.clone(),
            None => text(&Stack::of_class(class.to_owned()).into_map(None)),
        };
        Some(TextCreator { class: class.to_owned(), definition, stack })
    }

    /// Creates a record from the text of its bucket. Returns its pk; `None` if the bucket has to be parsed:
    /// nothing was created then.
    pub(in crate::engine) fn create_from_text(
        &mut self,
        class: &str,
        bucket: &Bucket,
    ) -> Result<Option<String>> {
        let new_records = self.new_records(class);
        let Some(creator) = &new_records.text_creator else { return Ok(None) };
        let Some(accepted) = creator.accept(self, bucket.as_str()) else { return Ok(None) };
        let sharing = self.sharing_of_create(accepted.text.len());
        self.write(sharing, |store| store.store_accepted(creator, accepted)).map(Some)
    }

    /// Creates records, all or none. Buckets that cannot be stored as text are parsed. Returns the pks.
    pub(in crate::engine) fn create_many(
        &mut self,
        class: &str,
        buckets: Vec<Bucket>,
    ) -> Result<Vec<String>> {
        let new_records = self.new_records(class);
        let creates_definitions = new_records.valid_class == Some(uns::CLASS) && !buckets.is_empty();
        // With a memory limit the commit is not deferred: many records may reach the limit, and SQLite may
        // then roll back the transaction, which must not contain writes that were answered.
        let is_deferrable = !creates_definitions && memory::current_limit().is_none();
        let sharing = match is_deferrable {
            true => CommitSharing::Deferrable,
            false => self.undeferred_sharing(|_| creates_definitions),
        };
        self.write(sharing, |store| {
            store.transaction.count_records(buckets.len());
            store.run_each(buckets.into_iter().map(Ok), |store, bucket| {
                let pk = store.create_one_of_many(&new_records, bucket)?;
                store.answer.charge(pk.len())?;
                Ok(pk)
            })
        })
    }

    fn create_one_of_many(&mut self, new_records: &NewRecords<'_>, bucket: Bucket) -> Result<String> {
        if let Some(creator) = &new_records.text_creator
            && let Some(accepted) = creator.accept(self, bucket.as_str())
        {
            return self.store_accepted(creator, accepted);
        }
        let NewRecords { class, valid_class, .. } = *new_records;
        let request = CreateRequest::of_class(class, valid_class, bucket.to_value()?)?;
        Response::from(self.create(request)?).into_pk()
    }

    /// Stores a bucket that was accepted, as a part of the running write. Returns the pk of its record.
    ///
    /// # Errors
    /// `unique-violation`, with the faults of the later phases ([`refusal`](super::refusal)); the errors of
    /// storage.
    fn store_accepted(&mut self, creator: &TextCreator, accepted: AcceptedBucket) -> Result<String> {
        let AcceptedBucket { text, keys } = accepted;
        // `text` is moved into the row. After a conflict the bucket is needed to describe the
        // `unique-violation`.
        let may_conflict = creator.definition.as_ref().is_some_and(|class| class.has_unique_values());
        let bucket = may_conflict.then(|| text.clone());
        let state = State { bucket: text, stack: creator.stack.clone(), extras: None };
        let mut write = self.transaction.empty_set();
        let chosen_pk = None;
        let (id, pk, _) = self.stage_insert(chosen_pk, state, &mut write)?;
        // The list is empty. It is used for the capacity that it may have from an earlier write.
        let mut entries = std::mem::take(&mut write.added_entries);
        entries.push(IndexEntry::Member { class: self.class_id(&creator.class, &mut write)?, row: id });
        if let Some(class) = &creator.definition {
            self.derive_from_keys(id, class, keys, &mut entries, &mut write)?;
        }
        write.change_entries(Vec::new(), entries);
        // There are no hooks to run: a database with hooks has no `TextCreator`.
        let conflicts = self.apply_after_hooks(write)?;
        if conflicts.is_empty() {
            return Ok(pk);
        }
        // A record that conflicts has unique values, so `bucket` is `Some`.
        Err(self.create_conflict_error(creator, id, bucket.as_deref().unwrap_or("{}"))?)
    }

    /// Adds the unique and indexed values of a record to `entries`. `keys` are its index keys, each with the
    /// position of its constraint in `Class::constraints`. The record must have one platter, without an own
    /// bucket: then each constraint has at most one entry.
    pub(super) fn derive_from_keys(
        &self,
        row: RowId,
        class: &Class,
        keys: Vec<(usize, String)>,
        entries: &mut Vec<IndexEntry>,
        write: &mut WriteSet,
    ) -> Result<()> {
        let ids = self.constraint_ids(class, write)?;
        entries.extend(keys.into_iter().map(|(position, value)| match class.constraints[position].kind {
            ConstraintKind::Index => IndexEntry::Indexed { constraint: ids[position], value, row },
            _ => IndexEntry::Unique { constraint: ids[position], value, row },
        }));
        Ok(())
    }

    /// The error of a new record whose unique values other records have.
    fn create_conflict_error(&self, creator: &TextCreator, row: RowId, bucket: &str) -> Result<Error> {
        let (stack, bucket) = (parse_object(&creator.stack)?, parse_object(bucket)?);
        let markers = Markers::default();
        self.conflict_error(&RejectedWrite::new_record(Some(row), None, (&stack, &bucket), &markers))
    }
}

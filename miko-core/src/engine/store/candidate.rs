//! A record on which the evaluator (`query/evaluate.rs`) evaluates a select.

use miko_rpc::Result;

use crate::class::Catalog;
use crate::query::RecordView;
use crate::record::Record;
use crate::stack;
use crate::storage::corruption;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::timestamp::Timestamp;

/// A record, its classes, and the class definitions by which a select is evaluated on it: the definitions as
/// of the cutoff, if the select has one.
pub(in crate::engine) struct Candidate<'c> {
    pub(in crate::engine) record: Record,
    /// In a select of versions: the version that is tested. `record` has its content and its times. If it is
    /// a tombstone, which has no content, `record` has the content of the version before. `None` in any other
    /// select.
    pub(in crate::engine) version: Option<Row>,
    /// The id of the row of the record; the default unless [`with_row_id`](Self::with_row_id) has set it.
    pub(in crate::engine) id: RowId,
    classes: Vec<String>,
    catalog: &'c Catalog,
}

impl<'c> Candidate<'c> {
    /// A candidate of a record, without the id of the row and without a version.
    ///
    /// # Errors
    /// `internal`, if the stored stack cannot be read; `storage-full`, if memory does not suffice to read it.
    pub(in crate::engine) fn of(record: Record, catalog: &'c Catalog) -> Result<Self> {
        let stack = record.stack.to_map().map_err(corruption)?;
        let classes = stack::classes(&stack).into_iter().map(str::to_owned).collect();
        Ok(Self { record, version: None, id: RowId::default(), classes, catalog })
    }

    pub(in crate::engine) fn with_row_id(self, id: RowId) -> Self {
        Self { id, ..self }
    }

    pub(in crate::engine) fn with_version(self, version: Row) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl RecordView for Candidate<'_> {
    fn pk(&self) -> &str {
        &self.record.pk
    }

    fn bucket(&self) -> &str {
        self.record.bucket.as_str()
    }

    fn is_instance_of(&self, classes: &[String]) -> bool {
        self.classes.iter().any(|class| self.catalog.is_subclass_of_any(class, classes))
    }

    fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.record.updated_at
    }
}

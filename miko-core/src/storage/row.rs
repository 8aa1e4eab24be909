//! The rows of the tables of records, claims and files, and the forms in which records are read.

use super::ids::{CommitSeq, RowId};
use crate::json::Object;
use crate::record::Record;
use crate::timestamp::Timestamp;

/// A row of the table `record`, or a past version of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) pk: String,
    /// `None` in a tombstone, and in a stub.
    pub(crate) state: Option<State>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) commit: CommitSeq,
    /// The instance pk of this version, in a temporal database. There, a row without an instance pk is a
    /// stub: the versions of the record are still to be imported. In any other database always `None`.
    pub(crate) instance_pk: Option<String>,
}

impl Row {
    /// An estimate of the bytes that storing the row takes. They are charged to the memory limit. The size of
    /// this type counts twice: a rough allowance for what the tables add. For a row without content the
    /// estimate is 0, so that a delete is possible although the limit is reached.
    pub(crate) fn stored_size(&self) -> usize {
        self.state.as_ref().map_or(0, |state| 2 * size_of::<Self>() + self.pk.len() + state.text_length())
    }

    /// The approximate size of this value in memory, in bytes.
    pub(crate) fn memory_size(&self) -> usize {
        size_of::<Self>() + self.pk.len() + self.state.as_ref().map_or(0, State::text_length)
    }

    /// The sort key of the row among the versions of its record: time, then instance pk. A stub has no
    /// instance pk, so among equal times it comes first.
    pub(crate) fn position(&self) -> (Timestamp, &str) {
        (self.updated_at, self.instance_pk.as_deref().unwrap_or_default())
    }

    /// The record of the row, borrowed; `None` for a tombstone or a stub.
    pub(crate) fn view(&self) -> Option<RecordRef<'_>> {
        self.state.as_ref().map(|State { bucket, stack, extras }| RecordRef {
            pk: &self.pk,
            bucket,
            stack,
            extras: extras.as_deref(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// The content of the row of an active record, without the pk. Answers share the texts instead of copying
/// them.
#[derive(Debug, Clone)]
pub(crate) struct StoredRecord {
    pub(crate) id: RowId,
    pub(crate) bucket: Object,
    pub(crate) stack: Object,
    pub(crate) extras: Option<Object>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) commit: CommitSeq,
    pub(crate) instance_pk: Option<Box<str>>,
}

impl StoredRecord {
    /// The record of a row; `None` for a row without content.
    pub(crate) fn of(id: RowId, row: &Row) -> Option<Self> {
        Self::with_stack(id, row, |stack| Object::from_stored_text(stack))
    }

    /// As [`of`](Self::of), but the closure `stack` makes the stack from its text. The closure may return an
    /// object that other records share.
    pub(crate) fn with_stack(id: RowId, row: &Row, stack: impl FnOnce(&str) -> Object) -> Option<Self> {
        let State { bucket, stack: stack_text, extras } = row.state.as_ref()?;
        Some(Self {
            id,
            bucket: Object::from_stored_text(bucket.as_str()),
            stack: stack(stack_text),
            extras: extras.as_deref().map(Object::from_stored_text),
            created_at: row.created_at,
            updated_at: row.updated_at,
            commit: row.commit,
            instance_pk: row.instance_pk.as_deref().map(Into::into),
        })
    }

    /// The record for an answer. It shares the texts with this value.
    pub(crate) fn to_record(&self, pk: String) -> Record {
        Record {
            pk,
            bucket: self.bucket.clone(),
            stack: self.stack.clone(),
            extras: self.extras.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// The row, with copies of the texts.
    pub(crate) fn to_row(&self, pk: &str) -> Row {
        let text = |object: &Object| object.as_str().to_owned();
        Row {
            pk: pk.to_owned(),
            state: Some(State {
                bucket: text(&self.bucket),
                stack: text(&self.stack),
                extras: self.extras.as_ref().map(text),
            }),
            created_at: self.created_at,
            updated_at: self.updated_at,
            commit: self.commit,
            instance_pk: self.instance_pk.as_deref().map(str::to_owned),
        }
    }
}

/// The content of a record, as JSON text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) bucket: String,
    pub(crate) stack: String,
    pub(crate) extras: Option<String>,
}

impl State {
    /// The number of bytes of the texts.
    pub(crate) fn text_length(&self) -> usize {
        self.bucket.len() + self.stack.len() + self.extras.as_ref().map_or(0, String::len)
    }
}

/// A borrowed record, as a select finds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordRef<'r> {
    pub(crate) pk: &'r str,
    pub(crate) bucket: &'r str,
    pub(crate) stack: &'r str,
    pub(crate) extras: Option<&'r str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl RecordRef<'_> {
    /// The number of bytes of the texts, with the pk.
    pub(crate) fn text_length(&self) -> usize {
        self.pk.len() + self.bucket.len() + self.stack.len() + self.extras.map_or(0, str::len)
    }

    /// Converts to a record. If `shared` is given, it must have the same text as the stack: the record then
    /// shares its memory instead of copying the text.
    pub(crate) fn with_stack(self, shared: Option<Object>) -> Record {
        Record {
            pk: self.pk.to_owned(),
            bucket: Object::from_stored_text(self.bucket),
            stack: shared.unwrap_or_else(|| Object::from_stored_text(self.stack)),
            extras: self.extras.map(Object::from_stored_text),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl From<RecordRef<'_>> for Record {
    fn from(record: RecordRef<'_>) -> Self {
        record.with_stack(None)
    }
}

/// A row of `claim`: the last claim of a record. When the claim is released or its lease ends, the row stays,
/// to count the attempts. Finishing the claim or deleting the record removes the row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClaimRow {
    /// The id of the claim, which the answer to `claim` has. It is not a pk.
    pub(crate) id: String,
    /// How often the record was claimed since a claim of it was last finished, this claim included.
    pub(crate) attempts: u64,
    /// When the lease of the claim ends; in the past after a release.
    pub(crate) lease_end: Timestamp,
    /// The select of a lasting claim, as JSON text: `finish` checks the record by it, also after a restart.
    /// `None` for a claim that ends with its connection: its select is kept in memory.
    pub(crate) lasting_select: Option<String>,
}

/// A row of `file`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileRow {
    pub(crate) pk: String,
    /// The hash of the content in lower-case hexadecimal digits; `None` while the file is incomplete.
    pub(crate) sha256: Option<String>,
    /// The JSON text of an object, whose key `type` has the media type. The text is `null` while an import
    /// has not read the type.
    pub(crate) mime: String,
    /// The size of the content in bytes; 0 while the file is incomplete.
    pub(crate) size: u64,
    pub(crate) created_at: Timestamp,
}

//! The image: the current states of the records that were read last, as they are answered.
//!
//! Storage is the truth. The image has the state of a record that storage has, or none. So a write drops the
//! records that it changes, before it is known whether it succeeds, and what a running write reads is not
//! entered: it may be undone.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::json::Object;
use crate::record::Record;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{Row, State};
use crate::timestamp::Timestamp;

/// With a memory limit, the image may take this part of it (1/16).
const LIMIT_DIVISOR: usize = 16;

/// What a record takes besides its texts, with its place in the cache.
const OVERHEAD: usize = size_of::<ImageRecord>() + 128;

/// The most distinct stacks that records share.
const MAX_SHARED_STACKS: usize = 1024;

/// Records by pk. The least valuable ones are dropped when they exceed the size.
#[derive(Debug)]
pub(super) struct Image(RefCell<Content>);

#[derive(Debug)]
struct Content {
    records: Cache<Box<str>, ImageRecord, SizeWeighter, RandomState>,
    /// The stacks of records: those of one class are equal, and are kept once.
    stacks: HashSet<Arc<str>, RandomState>,
    /// In bytes; 0 if nothing is kept.
    size: usize,
}

/// The state of an active record.
#[derive(Debug, Clone)]
pub(super) struct ImageRecord {
    id: RowId,
    bucket: Object,
    stack: Object,
    extras: Option<Object>,
    created_at: Timestamp,
    updated_at: Timestamp,
    commit: CommitSeq,
    instance_pk: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct SizeWeighter;

impl Weighter<Box<str>, ImageRecord> for SizeWeighter {
    fn weight(&self, pk: &Box<str>, record: &ImageRecord) -> u64 {
        let extras = record.extras.as_ref().map_or(0, |extras| extras.as_str().len());
        let instance_pk = record.instance_pk.as_ref().map_or(0, |pk| pk.len());
        (OVERHEAD + pk.len() + record.bucket.as_str().len() + extras + instance_pk) as u64
    }
}

impl Image {
    /// In bytes.
    pub(super) const DEFAULT_SIZE: usize = 64 << 20;

    /// An empty image of at most this many bytes; 0 keeps nothing.
    pub(super) fn of_size(size: usize) -> Self {
        let items = size / (2 * OVERHEAD);
        let records = Cache::with(
            items,
            size as u64,
            SizeWeighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        Self(RefCell::new(Content { records, stacks: HashSet::default(), size }))
    }

    /// The image for a memory limit of the process.
    pub(super) fn within(&self, memory_limit: usize) -> Self {
        Self::of_size(self.0.borrow().size.min(memory_limit / LIMIT_DIVISOR))
    }

    /// Whether anything is kept.
    pub(super) fn is_enabled(&self) -> bool {
        self.0.borrow().size > 0
    }

    /// Calls `read` with a record, if the image has it.
    pub(super) fn get<R>(&self, pk: &str, read: impl FnOnce(&ImageRecord) -> R) -> Option<R> {
        self.0.borrow().records.get(pk).map(read)
    }

    /// Enters a record. A tombstone is not kept.
    pub(super) fn enter(&self, id: RowId, row: &Row) {
        let Some(State { bucket, stack, extras }) = &row.state else { return };
        let mut content = self.0.borrow_mut();
        let record = ImageRecord {
            id,
            bucket: Object::from_text_unchecked(bucket.as_str()),
            stack: content.shared_stack(stack),
            extras: extras.as_deref().map(Object::from_text_unchecked),
            created_at: row.created_at,
            updated_at: row.updated_at,
            commit: row.commit,
            instance_pk: row.instance_pk.as_deref().map(Into::into),
        };
        content.records.insert(row.pk.as_str().into(), record);
    }

    /// Drops a record.
    pub(super) fn forget(&self, pk: &str) {
        self.0.borrow_mut().records.remove(pk);
    }

    /// Drops all records.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().records.clear();
    }
}

impl Content {
    /// The stack with this text, shared with other records that have it.
    fn shared_stack(&mut self, text: &str) -> Object {
        if let Some(stack) = self.stacks.get(text) {
            return Object::from_text_unchecked(Arc::clone(stack));
        }
        if self.stacks.len() >= MAX_SHARED_STACKS {
            self.stacks.clear();
        }
        let stack: Arc<str> = text.into();
        self.stacks.insert(Arc::clone(&stack));
        Object::from_text_unchecked(stack)
    }
}

impl ImageRecord {
    pub(super) fn id(&self) -> RowId {
        self.id
    }

    /// The record as it is answered. Its texts are shared with the image.
    pub(super) fn to_record(&self, pk: &str) -> Record {
        Record {
            pk: pk.to_owned(),
            bucket: self.bucket.clone(),
            stack: self.stack.clone(),
            extras: self.extras.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// The row as storage has it.
    pub(super) fn to_row(&self, pk: &str) -> Row {
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

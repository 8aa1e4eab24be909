//! Subscriptions of a local engine.

use std::iter;
use std::sync::Arc;

use miko_rpc::{Overflow, Result, Stream};

use super::LocalEngine;
use super::shared_store::SharedStore;
use super::streams::StoreStream;
use super::view::View;
use crate::change::{Change, ChangeKind, ChangeLimits, ChangeOptions};
use crate::engine::Engine;
use crate::engine::store::subscribe::InitialItems;
use crate::engine::store::subscriptions::MissedChanges;
use crate::json::Object;
use crate::record::Record;
use crate::storage::Storage;
use crate::target::Target;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage> LocalEngine<T> {
    /// Sets the limits of changes and live queries: see [`Engine::limit_changes`].
    #[must_use]
    pub fn change_limits(self, limits: ChangeLimits) -> Self {
        self.limit_changes(limits);
        self
    }
}

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// Subscribes to changes.
    pub(super) fn open_changes(&self, target: &Target, options: ChangeOptions) -> Result<Stream<Change>> {
        let mut store = self.read()?;
        // The changes of a commit are sent together, and must fit into one frame. So the queue is at most as
        // large as a piece of a stream: half of the answer limit.
        let max_queue_size = self.piece_size(usize::MAX);
        let (subscription, initial) = store.begin_subscription(target, options, max_queue_size)?;
        let (size, overflow) = (subscription.queue_size, Overflow::DropOldest);
        let (sink, changes) = match initial {
            InitialItems::Nothing => Stream::feed(size, overflow),
            InitialItems::Missed(missed) => {
                let missed = UnreadChanges { store: Arc::clone(&self.store), missed };
                Stream::feed_after(missed, size, overflow)
            }
            InitialItems::Snapshot { seq, records } => {
                let records = StoreStream::of(&self.store, records);
                let present = records.map(move |record| present_change(seq, record?));
                Stream::feed_after(present.chain(iter::once(Ok(synced_change(seq)))), size, overflow)
            }
        };
        // The store has stayed locked since the subscription began, so no commit in between is missed.
        store.subscribe(subscription, sink);
        Ok(changes)
    }
}

/// The changes that a subscriber has missed, with their sequence numbers in the stream. The iterator locks
/// the store to read each commit.
struct UnreadChanges<T: Storage> {
    store: Arc<SharedStore<T>>,
    missed: MissedChanges,
}

impl<T: Storage> Iterator for UnreadChanges<T> {
    type Item = Result<(u64, Change)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(change) = self.missed.next_of_commit() {
                return Some(Ok(change));
            }
            let commit = self.store.lock().and_then(|store| store.next_missed(&self.missed));
            match commit.transpose()? {
                Ok(commit) => self.missed.read(&commit),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A record that matched the target when the subscription began, as a change with its sequence number.
fn present_change(seq: i64, record: Record) -> Result<(u64, Change)> {
    let change = Change {
        seq,
        kind: ChangeKind::Present,
        pk: record.pk.clone(),
        class: record.class()?,
        record: Some(record),
        fields: no_fields(),
        last: false,
    };
    // No `seq` is negative.
    Ok((seq.unsigned_abs(), change))
}

/// The change that follows the last record of a snapshot, with its sequence number.
fn synced_change(seq: i64) -> (u64, Change) {
    let (pk, class) = (String::new(), String::new());
    let kind = ChangeKind::Synced;
    (seq.unsigned_abs(), Change { seq, kind, pk, class, record: None, fields: no_fields(), last: true })
}

fn no_fields() -> Object {
    Object::from_stored_text("{}")
}

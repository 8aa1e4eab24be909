//! Live queries of a local engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use miko_rpc::{Result, Stream};

use super::LocalEngine;
use super::shared_store::SharedStore;
use super::streams::StoreStream;
use super::view::{Committed, View};
use crate::engine::store::live_query::{BegunWatch, Watch};
use crate::engine::store::streams::FoundRecords;
use crate::query::SelectRequest;
use crate::record::Record;
use crate::storage::Storage;
use crate::watch::{ResultChange, ResultChangeKind};

/// Makes the items of the stream of a live query. Dropping this value ends the watch, which is the state of
/// the live query in the store.
struct WatchStream<T: Storage> {
    store: Arc<SharedStore<T>>,
    watch: Watch,
    /// The records of the first result. `None` after all of them were returned.
    present: Option<StoreStream<T, FoundRecords>>,
    /// How many records of `present` were returned so far.
    returned: u64,
    /// The number of the last commit that the records of `present` include.
    seq: i64,
    /// The changes of the current step that were not returned yet. A step has the changes of one commit or,
    /// if the select has run again, of all commits since the step before.
    step: VecDeque<ResultChange>,
}

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// Begins a live query.
    pub(super) fn open_watch(&self, select: SelectRequest) -> Result<Stream<ResultChange>> {
        let mut store = self.read()?;
        let BegunWatch { watch, seq, records } = store.begin_watch(select)?;
        let (id, select) = (watch.id(), watch.select());
        let mut items = WatchStream {
            store: Arc::clone(&self.store),
            watch,
            present: Some(StoreStream::of(&self.store, records)),
            returned: 0,
            seq,
            step: VecDeque::new(),
        };
        let (signal, stream) = Stream::on_demand(move || items.next());
        // The store has stayed locked since the watch has begun, so no commit in between is missed.
        store.add_watcher(id, select, signal);
        Ok(stream)
    }
}

impl<T: Storage> WatchStream<T> {
    /// The next item, with its sequence number; `Pending` while the result is up to date.
    fn next(&mut self) -> Poll<Option<Result<(u64, ResultChange)>>> {
        let change = match self.next_change() {
            Ok(Some(change)) => change,
            Ok(None) => return Poll::Pending,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        Poll::Ready(Some(Ok((change.seq.unsigned_abs(), change))))
    }

    /// The next change; `None` while the result is up to date.
    fn next_change(&mut self) -> Result<Option<ResultChange>> {
        if let Some(present) = &mut self.present {
            if let Some(record) = present.next().transpose()? {
                let index = self.returned;
                self.returned += 1;
                return Ok(Some(self.present_record(record, index)));
            }
            self.present = None;
            return Ok(Some(self.synced()));
        }
        // `read` is called only if there is something to read: it may have to roll storage back, to hide the
        // writes of an open transaction from this reader, and a rollback takes time.
        if self.step.is_empty() && self.store.lock()?.has_unread(self.watch.id()) {
            self.step = self.store.read(Committed)?.next_step(&mut self.watch)?.into();
        }
        Ok(self.step.pop_front())
    }

    /// The item of a record of the first result. `index` is the position of the record in that result.
    fn present_record(&self, record: Record, index: u64) -> ResultChange {
        ResultChange {
            seq: self.seq,
            kind: ResultChangeKind::Present,
            pk: record.pk.clone(),
            from: None,
            index: Some(index),
            record: Some(record),
            last: false,
        }
    }

    /// The item after the records of the first result. It says that all of them were sent.
    fn synced(&self) -> ResultChange {
        ResultChange {
            seq: self.seq,
            kind: ResultChangeKind::Synced,
            pk: String::new(),
            from: None,
            index: None,
            record: None,
            last: true,
        }
    }
}

impl<T: Storage> Drop for WatchStream<T> {
    fn drop(&mut self) {
        let id = self.watch.id();
        self.store.do_now_or_after_callback(move |store| store.end_watch(id));
    }
}

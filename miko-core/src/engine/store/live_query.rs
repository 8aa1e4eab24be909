//! Live queries: brings the results of selects up to date when their readers ask.
//!
//! A watch is the state of one open live query. Its window has the first records that the select finds
//! ([`window`]). When the reader asks, the commits since the last time are applied to the window, one after
//! another, until the result has changed. The reader gets one step: the changes from the result that it has
//! to the result in the window ([`edits`]).
//!
//! The subscriptions keep the last commits in a buffer of bounded size, the ring. In three cases the select
//! runs again and fills the window anew: the ring lacks a commit; a class was redefined; so many records have
//! left the window that it lacks records of the result.

mod edits;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, Signal, memory};

use crate::class::Catalog;
use crate::engine::store::Store;
use crate::engine::store::change_matches::{ChangedRecord, StackClasses, before_and_after};
use crate::engine::store::changes::LoggedCommit;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::streams::FoundRecords;
use crate::engine::store::subscribe::check_tested_size;
use crate::engine::store::watches::{Unread, WatchId};
use crate::query::{self, Query, Request, SelectRequest};
use crate::record::Record;
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{RecordRef, Row};
use crate::watch::{ResultChange, ResultChangeKind};

use edits::{ListEdit, list_edits};
use window::{SPARE_RECORDS, Window, WindowRecord};

/// The reader's side of a watch. The store's side is the `Watcher` in [`watches`](super::watches).
pub(in crate::engine) struct Watch {
    id: WatchId,
    /// The select that fills the window. Its offset is 0. Its limit, if it has one, is the sum of `offset`,
    /// `limit` and the [spare records](SPARE_RECORDS).
    select: Arc<SelectRequest>,
    /// The offset and the limit of the select as it was requested.
    offset: usize,
    limit: Option<usize>,
    window: Window,
    /// The result that the reader has: the first result, changed by the steps that the reader has got.
    reader_result: Vec<Arc<WindowRecord>>,
    /// The most bytes that the window may take.
    max_size: usize,
}

/// A watch that has begun, with the stream of the records of its first result.
pub(in crate::engine) struct BegunWatch {
    pub(in crate::engine) watch: Watch,
    /// The number of the last commit, as in [`ResultChange::seq`].
    pub(in crate::engine) seq: i64,
    pub(in crate::engine) records: (StreamId, FoundRecords),
}

impl<T: Storage> Store<T> {
    /// Begins a watch of a select. The caller then calls [`add_watcher`](Self::add_watcher) before it unlocks
    /// the store: the watcher assumes that the result includes the last commit.
    ///
    /// # Errors
    /// The errors of running the select; `request-too-large`, if its conditions are too large to be tested
    /// for each change; `storage-full`, if the result is too large, or too many watches, subscriptions or
    /// streams are open; `read-only-connection`; the errors of committing an open group.
    pub(in crate::engine) fn begin_watch(&mut self, select: SelectRequest) -> Result<BegunWatch> {
        // In mode `r` another process may commit changes, which this store would not notice.
        self.check_writable()?;
        check_tested_size(select.approximate_size())?;
        self.check_room_for_subscription()?;
        let (offset, limit) = (saturating_usize(select.offset), select.limit.map(saturating_usize));
        let limit_plus_offset = select.limit.map(|limit| limit.saturating_add(select.offset));
        let limit_with_spare = limit_plus_offset.map(|count| count.saturating_add(SPARE_RECORDS));
        let select = Arc::new(SelectRequest { offset: 0, limit: limit_with_spare, ..select });
        let max_size = self.live_query_size();
        let is_export = false;
        let (stream, (window, found_records)) = self.open_stream(is_export, |store| {
            let window = store.find_window(&select, max_size)?;
            let rows = window.result(offset, limit).iter().map(|record| record.row).collect();
            Ok((window, FoundRecords::of(rows)))
        })?;
        let last = self.last.get().commit;
        // From now on `next_step` takes the commits from the ring.
        self.keep_commits_after(last);
        let id = self.watches.new_id();
        let reader_result = window.result(offset, limit).to_vec();
        let watch = Watch { id, select, offset, limit, window, reader_result, max_size };
        Ok(BegunWatch { watch, seq: self.subscriptions.seq_of(last), records: (stream, found_records) })
    }

    /// Adds the watcher of a watch that has begun. From now on the watcher wakes the reader after each commit
    /// that may change the result.
    pub(in crate::engine) fn add_watcher(
        &mut self,
        watch: WatchId,
        select: Arc<SelectRequest>,
        signal: Signal,
    ) {
        self.watches.add(watch, select, signal, self.last.get().commit);
    }

    pub(in crate::engine) fn end_watch(&mut self, watch: WatchId) {
        self.watches.remove(watch);
    }

    /// Whether commits that the reader has not read may have changed the result. Uncommitted writes of a
    /// group of calls are ignored: their commit wakes the reader. `false` also after the end of the watch.
    pub(in crate::engine) fn has_unread(&self, watch: WatchId) -> bool {
        self.watches.progress(watch).is_some_and(|(_, unread)| unread != Unread::Nothing)
    }

    /// The next step of a watch: the changes of the result by one commit or, if the select has run again, by
    /// all commits since the last step. Empty, if the reader has the current result, or the watch has ended.
    ///
    /// # Errors
    /// The errors of the select; `storage-full`, if the result is too large; the errors of committing an open
    /// group.
    pub(in crate::engine) fn next_step(&mut self, watch: &mut Watch) -> Result<Vec<ResultChange>> {
        // The changes of an open group are published only when its writes are committed.
        self.transaction.commit_group_so_far(&mut self.storage)?;
        self.publish_commits();
        while let Some((seen_before, unread)) = self.watches.progress(watch.id) {
            // `None` if the ring lacks a commit, or a class was redefined.
            let next = match unread {
                Unread::Nothing => break,
                Unread::Commits => self.subscriptions.commit_after(seen_before),
                Unread::Everything => None,
            };
            let window_is_complete = match &next {
                Some(commit) => watch.apply(commit, &mut self.subscriptions.classes, &self.catalog)?,
                None => false,
            };
            // The commit that has brought the window up to date; `None` if the select has to run again.
            let commit = next.filter(|_| window_is_complete);
            let seen = match &commit {
                Some(commit) => commit.seq,
                None => {
                    self.transaction.before_select(&mut self.storage);
                    watch.window = self.find_window(&watch.select, watch.max_size)?;
                    self.last.get().commit
                }
            };
            let has_later_commit = self.subscriptions.commit_after(seen).is_some();
            let unread = if has_later_commit { Unread::Commits } else { Unread::Nothing };
            self.watches.advance(watch.id, seen, unread);
            let step = self.step_to_window(watch, commit.as_deref(), seen)?;
            // The step is empty if the window has changed and the result has not.
            if !step.is_empty() {
                return Ok(step);
            }
        }
        Ok(Vec::new())
    }

    /// Runs the select of a watch, and makes a window of the records that the select finds.
    ///
    /// # Errors
    /// The errors of the select; `storage-full`, if the window takes more than `max_size` bytes, or exceeds
    /// the memory limit.
    fn find_window(&self, select: &SelectRequest, max_size: usize) -> Result<Window> {
        let rows = self.select_current_rows(select)?;
        let mut classes = StackClasses::default();
        let mut records = Vec::with_capacity(rows.len());
        for id in rows {
            let Some(row) = self.storage.row(id)? else { continue };
            let Some(record) = row.view() else { continue };
            let record = ChangedRecord::of(record, &mut classes, &self.catalog);
            records.push(Arc::new(WindowRecord::of(id, &record, select)));
        }
        let window = Window::of(records, select);
        check_size(&window, max_size)?;
        memory::charge(window.size())?;
        Ok(window)
    }

    /// The changes from the result that the reader has (`Watch::reader_result`) to the result in the window,
    /// which includes all commits up to `seen`. Sets `reader_result` to the result in the window. `commit` is
    /// the commit with the number `seen`; `None` if the select has run again.
    fn step_to_window(
        &self,
        watch: &mut Watch,
        commit: Option<&LoggedCommit>,
        seen: CommitSeq,
    ) -> Result<Vec<ResultChange>> {
        let new = watch.window.result(watch.offset, watch.limit);
        let (edits, range) = list_edits(&watch.reader_result, new, |record| record.row);
        let rows_to_send = edits.iter().filter_map(|edit| Some(new[edit.new_index()?].row)).collect();
        let records = self.records_as_of(&rows_to_send, commit, seen)?;
        let seq = self.subscriptions.seq_of(seen);
        let count = edits.len();
        let mut step = Vec::with_capacity(count);
        for (number, edit) in edits.into_iter().enumerate() {
            let (kind, from, index) = match edit {
                ListEdit::Leave { from } => (ResultChangeKind::Leave, Some(from), None),
                ListEdit::Move { from, index, .. } => (ResultChangeKind::Move, Some(from), Some(index)),
                ListEdit::Enter { index } => (ResultChangeKind::Enter, None, Some(index)),
                ListEdit::Change { index } => (ResultChangeKind::Change, Some(index), Some(index)),
            };
            let (window_record, is_sent) = match edit {
                ListEdit::Leave { from } => (&watch.reader_result[from], false),
                ListEdit::Move { new: new_index, .. } => (&new[new_index], true),
                ListEdit::Enter { index } | ListEdit::Change { index } => (&new[index], true),
            };
            let record = if is_sent { records.get(&window_record.row).cloned() } else { None };
            let as_u64 = |index: usize| index as u64;
            let (from, index) = (from.map(as_u64), index.map(as_u64));
            let pk = window_record.pk.to_string();
            step.push(ResultChange { seq, kind, pk, from, index, record, last: number + 1 == count });
        }
        // Behind `range` both lists are equal. So the replaced part ends as far before the end of
        // `reader_result` as `range` ends before the end of `new`.
        let old_end = watch.reader_result.len() - (new.len() - range.end);
        watch.reader_result.splice(range.start..old_end, new[range].iter().cloned());
        Ok(step)
    }

    /// The records of `rows` as they were after the commit `seen`. `commit` is the commit with that number;
    /// `None` if the select has run again: then `seen` is the last commit, and storage has the records.
    fn records_as_of(
        &self,
        rows: &HashSet<RowId>,
        commit: Option<&LoggedCommit>,
        seen: CommitSeq,
    ) -> Result<HashMap<RowId, Record>> {
        let mut records = HashMap::with_capacity(rows.len());
        let is_needed = |id: &RowId| rows.contains(id);
        for change in commit.iter().flat_map(|commit| &commit.changes).filter(|change| is_needed(&change.key))
        {
            if let (_, Some(after)) = before_and_after(change) {
                records.insert(change.key, after.into());
            }
        }
        // For each row that was written after `seen`: its state before the first of these writes. The ring
        // has all commits after `seen`, since it had the commit `seen`.
        let mut pre_images: HashMap<RowId, &Row> = HashMap::new();
        for commit in self.subscriptions.commits_after(seen) {
            for change in commit.changes.iter().filter(|change| is_needed(&change.key)) {
                if let Some(before) = &change.before {
                    pre_images.entry(change.key).or_insert(before);
                }
            }
        }
        for id in rows {
            if records.contains_key(id) {
                continue;
            }
            let record = match pre_images.get(id) {
                Some(row) => row.view().map(Record::from),
                None => self.storage.row(*id)?.as_ref().and_then(Row::view).map(Record::from),
            };
            records.extend(record.map(|record| (*id, record)));
        }
        Ok(records)
    }
}

impl Watch {
    pub(in crate::engine) fn id(&self) -> WatchId {
        self.id
    }

    pub(in crate::engine) fn select(&self) -> Arc<SelectRequest> {
        Arc::clone(&self.select)
    }

    /// Applies a commit to the window. Returns whether the window has all records of the result after the
    /// commit. If it has not, the caller has to run the select again.
    ///
    /// # Errors
    /// The errors of evaluating the filter of the select; `storage-full`, if the window is too large.
    fn apply(
        &mut self,
        commit: &LoggedCommit,
        classes: &mut StackClasses,
        catalog: &Catalog,
    ) -> Result<bool> {
        let Self { select, window, .. } = self;
        let mut record_if_matching = |id: RowId, record: RecordRef<'_>| -> Result<Option<WindowRecord>> {
            let record = ChangedRecord::of(record, classes, catalog);
            let is_match = select.filter.matches(&record)?;
            Ok(is_match.then(|| WindowRecord::of(id, &record, select)))
        };
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for change in &commit.changes {
            let (before, after) = before_and_after(change);
            if let Some(record) = before {
                removed.extend(record_if_matching(change.key, record)?);
            }
            if let Some(record) = after {
                added.extend(record_if_matching(change.key, record)?);
            }
        }
        window.change(removed, added, select);
        window.shrink(select);
        check_size(window, self.max_size)?;
        let offset_plus_limit = self.limit.map_or(usize::MAX, |limit| limit.saturating_add(self.offset));
        Ok(window.has_first(offset_plus_limit))
    }
}

impl ListEdit {
    /// The index that an item has in the new list after the edit has moved, inserted or changed it; `None` if
    /// the edit removes an item.
    fn new_index(self) -> Option<usize> {
        match self {
            Self::Leave { .. } => None,
            Self::Move { new, .. } => Some(new),
            Self::Enter { index } | Self::Change { index } => Some(index),
        }
    }
}

/// Reads the select of a live query.
///
/// # Errors
/// The faults of the query; `invalid_request`, if it is no select, or a select of the past.
pub(in crate::engine) fn read_select(query: Query) -> Result<SelectRequest> {
    let invalid_request = |message: &str| Error::new(ErrorId::INVALID_REQUEST, message);
    let (Request::Select(select), _) = query::parse(query)? else {
        return Err(invalid_request("only a `select` can be watched"));
    };
    if select.history {
        let message = "a live query has the records of now: watch a select without `history`";
        return Err(invalid_request(message).with("pointer", "/history"));
    }
    if select.cutoff.is_some() {
        let message = "a past state does not change: watch a select without `cutoff`";
        return Err(invalid_request(message).with("pointer", "/cutoff"));
    }
    Ok(select)
}

/// Refuses a window that takes more than `allowed` bytes, with `storage-full`.
fn check_size(window: &Window, allowed: usize) -> Result<()> {
    if window.size() <= allowed {
        return Ok(());
    }
    let message = "the result of the live query is too large to be kept up to date: give it a `limit`";
    Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed))
}

fn saturating_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

//! Live queries: the result of a select that is kept up to date.

use std::fmt;
use std::task::Poll;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result, Stream};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// A change of the result of a live query.
///
/// Changes are applied to the result in their order. A change removes the record at `from`, if there is a
/// `from`; then it inserts `record` at `index`, if there is an `index`. [`apply`](Self::apply) does both.
///
/// ```
/// use miko_core::{Mikobase, MikobaseExt, Record, ResultChangeKind, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// db.create("game.com/score", &json!({"player": "Sulu", "points": 70}))?;
/// let best = json!({"action": "select", "class": "game.com/score",
///                   "sort": ["points", {"reverse": true}], "limit": 3});
/// let mut result: Vec<Record> = Vec::new();
/// for change in db.watch_select(best)? {
///     let change = change?;
///     let is_synced = change.kind == ResultChangeKind::Synced;
///     change.apply(&mut result)?;
///     if is_synced {
///         break;
///     }
/// }
/// assert_eq!(result[0].bucket.get("player")?, Some(json!("Sulu")));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResultChange {
    /// The number of the transaction that made the change, as in [`Change::seq`](crate::Change::seq). If a
    /// step has the changes of several transactions, each has the number of the last of these transactions.
    /// For [`Present`](ResultChangeKind::Present) and [`Synced`](ResultChangeKind::Synced), this is the
    /// number of the last transaction before the watch began.
    pub seq: i64,
    /// The kind of the change.
    pub kind: ResultChangeKind,
    /// The pk of the record; empty for [`Synced`](ResultChangeKind::Synced).
    pub pk: String,
    /// The index of the record in the result before this change; `None` if the record was not in the result.
    pub from: Option<u64>,
    /// The index at which the record is inserted, after it was removed from `from`; `None` if the record has
    /// left the result, and for [`Synced`](ResultChangeKind::Synced).
    pub index: Option<u64>,
    /// The record as it was at `seq`; `None` if the record has left the result, and for
    /// [`Synced`](ResultChangeKind::Synced).
    pub record: Option<Record>,
    /// Whether this is the last change of its step (the changes from one result to the next). After the last
    /// change, the result equals that of the select at `seq`.
    pub last: bool,
}

/// The kind of a [`ResultChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ResultChangeKind {
    /// The record was in the result when the watch began.
    Present,
    /// All records that were in the result when the watch began have been delivered.
    Synced,
    /// The record has entered the result.
    Enter,
    /// The record has left the result.
    Leave,
    /// The record has changed, and is moved: it is removed at `from`, and inserted at `index`.
    Move,
    /// The record has changed, and is replaced in its place: `from` and `index` are equal.
    Change,
}

impl ResultChangeKind {
    /// The name of the kind, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Synced => "synced",
            Self::Enter => "enter",
            Self::Leave => "leave",
            Self::Move => "move",
            Self::Change => "change",
        }
    }
}

impl fmt::Display for ResultChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ResultChange {
    /// Applies the change to the result so far.
    ///
    /// # Errors
    /// `internal`, if `from` or `index` is beyond the end of the result, because an earlier change was not
    /// applied, or if the change has an index without a record. The result is then unchanged.
    pub fn apply(self, result: &mut Vec<Record>) -> Result<()> {
        let checked = |index: u64, end: usize| {
            usize::try_from(index).ok().filter(|index| *index < end).ok_or_else(|| self.does_not_fit())
        };
        if self.index.is_some() && self.record.is_none() {
            return Err(self.does_not_fit());
        }
        let from = self.from.map(|from| checked(from, result.len())).transpose()?;
        let rest = result.len() - usize::from(from.is_some());
        let index = self.index.map(|index| checked(index, rest + 1)).transpose()?;
        if let Some(from) = from {
            result.remove(from);
        }
        if let (Some(index), Some(record)) = (index, self.record) {
            result.insert(index, record);
        }
        Ok(())
    }

    fn does_not_fit(&self) -> Error {
        let message = "the change does not fit the result: apply all changes of a result in order";
        Error::new(ErrorId::INTERNAL, message).with("pk", self.pk.as_str())
    }
}

/// The result of a select that is kept up to date: [`MikobaseExt::watch`](crate::MikobaseExt::watch).
///
/// [`records`](Self::records) returns the result after the last step that was received. [`recv`](Self::recv)
/// waits for the next step: the changes of one transaction, or of several if they are delivered together.
/// Dropping a `LiveQuery` ends the watch.
pub struct LiveQuery {
    changes: Stream<ResultChange>,
    records: Vec<Record>,
    seq: i64,
    /// The received changes of a step whose last change has not arrived yet.
    step: Vec<ResultChange>,
    /// Whether an error was returned: nothing is received after it.
    has_failed: bool,
}

impl LiveQuery {
    /// Receives the first step: all records of the result.
    pub(crate) fn begin(changes: Stream<ResultChange>) -> Result<Self> {
        let mut query = Self { changes, records: Vec::new(), seq: 0, step: Vec::new(), has_failed: false };
        query.recv().unwrap_or_else(|| Err(Error::new(ErrorId::SESSION_GONE, "the watch has ended")))?;
        Ok(query)
    }

    /// The result of the select, as of [`seq`](Self::seq).
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The number of the last transaction of the last step ([`ResultChange::seq`]).
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Waits for the next step, which is applied to [`records`](Self::records). `None` at the end of the
    /// watch.
    ///
    /// # Errors
    /// The errors that end the stream of [`watch_select`](crate::Mikobase::watch_select): the records stay as
    /// after the last step. `internal`, if a step does not fit the records: the server is faulty, and the
    /// records are invalid.
    pub fn recv(&mut self) -> Option<Result<Vec<ResultChange>>> {
        match self.receive_step(|changes| Poll::Ready(changes.recv())) {
            Poll::Ready(step) => step,
            // Unreachable: the closure never returns `Pending`.
            Poll::Pending => None,
        }
    }

    /// As [`recv`](Self::recv); `Pending` if no whole step has arrived yet.
    pub fn try_recv(&mut self) -> Poll<Option<Result<Vec<ResultChange>>>> {
        self.receive_step(Stream::try_recv)
    }

    /// As [`recv`](Self::recv); `Pending` if no whole step has arrived within this time.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Poll<Option<Result<Vec<ResultChange>>>> {
        // `None`, no deadline, if the timeout is too long for an `Instant`.
        let deadline = Instant::now().checked_add(timeout);
        self.receive_step(|changes| {
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            changes.recv_timeout(left)
        })
    }

    /// Receives changes by `next` until a step is complete, and applies the step. If `next` is pending, keeps
    /// the changes so far for the next call.
    fn receive_step(
        &mut self,
        mut next: impl FnMut(&mut Stream<ResultChange>) -> Poll<Option<Result<ResultChange>>>,
    ) -> Poll<Option<Result<Vec<ResultChange>>>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(change) = next(&mut self.changes) else { return Poll::Pending };
            let Some(change) = change else { return Poll::Ready(None) };
            match change {
                Ok(change) => {
                    let is_last = change.last;
                    self.step.push(change);
                    if is_last {
                        let applied = self.apply_step();
                        self.has_failed = applied.is_err();
                        return Poll::Ready(Some(applied));
                    }
                }
                Err(error) => {
                    self.has_failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Applies the received step to the records, and returns it.
    ///
    /// # Errors
    /// `internal`, if the step does not fit the records, which are then invalid.
    fn apply_step(&mut self) -> Result<Vec<ResultChange>> {
        let step = std::mem::take(&mut self.step);
        self.seq = step.last().map_or(self.seq, |last| last.seq);
        // The records of a step leave from the last to the first, and enter from the first to the last. A run
        // of several records that leave, or of several that enter, is applied in one pass. Applied one by
        // one, each change would move all records behind its index.
        for run in step.chunk_by(|a, b| a.kind == b.kind) {
            match run {
                [ResultChange { kind: ResultChangeKind::Leave, .. }, _, ..] => self.remove_run(run)?,
                [ResultChange { kind: ResultChangeKind::Enter, .. }, _, ..] => self.insert_run(run)?,
                _ => run.iter().try_for_each(|change| change.clone().apply(&mut self.records))?,
            }
        }
        Ok(step)
    }

    /// Removes records whose indices descend. So no removal moves a record that is removed after it: each
    /// index is also the index of the record before the first removal.
    fn remove_run(&mut self, leaving: &[ResultChange]) -> Result<()> {
        let mut leaving = leaving.iter().rev().peekable();
        let mut index = 0;
        self.records.retain(|_| {
            let leaves = leaving.next_if(|change| change.from == Some(index)).is_some();
            index += 1;
            !leaves
        });
        leaving.next().map_or(Ok(()), |change| Err(change.does_not_fit()))
    }

    /// Inserts records whose indices ascend. So no insertion moves a record that was inserted before it: each
    /// index is also the index of the record after the last insertion.
    fn insert_run(&mut self, entering: &[ResultChange]) -> Result<()> {
        let mut records = Vec::with_capacity(self.records.len() + entering.len());
        let mut staying = std::mem::take(&mut self.records).into_iter();
        for change in entering {
            let (Some(index), Some(record)) = (change.index, &change.record) else {
                return Err(change.does_not_fit());
            };
            let staying_before =
                index.checked_sub(records.len() as u64).ok_or_else(|| change.does_not_fit())?;
            records.extend(staying.by_ref().take(usize::try_from(staying_before).unwrap_or(usize::MAX)));
            if records.len() as u64 != index {
                return Err(change.does_not_fit());
            }
            records.push(record.clone());
        }
        records.extend(staying);
        self.records = records;
        Ok(())
    }
}

/// Yields each step, as [`LiveQuery::recv`].
impl Iterator for LiveQuery {
    type Item = Result<Vec<ResultChange>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv()
    }
}

impl fmt::Debug for LiveQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveQuery")
            .field("seq", &self.seq)
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(value: serde_json::Value) -> ResultChange {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_change_that_does_not_fit_leaves_the_result_as_it_was() {
        let mut result = Vec::new();
        for (kind, from, index) in
            [("leave", Some(0), None), ("enter", None, Some(1)), ("move", Some(0), Some(0))]
        {
            let does_not_fit = json!({"seq": 1, "kind": kind, "pk": "x", "from": from, "index": index,
                                "record": null, "last": true});
            assert!(change(does_not_fit).apply(&mut result).unwrap_err().is(ErrorId::INTERNAL), "{kind}");
        }
        let without_record =
            json!({"seq": 1, "kind": "enter", "pk": "x", "index": 0, "record": null, "last": true});
        assert!(change(without_record).apply(&mut result).unwrap_err().is(ErrorId::INTERNAL));
        assert!(result.is_empty());
    }
}

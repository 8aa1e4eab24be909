//! Readers kept from an open transaction: by rolling back and replaying, or by a second connection on a WAL.

use crate::records::Record;
use crate::store::Store;
use crate::support::{Table, interleaved, seconds_per_call};
use crate::{PRELOADED, ROUNDS};

/// An open transaction. With one connection for all, a reader's call rolls it back, and its own next call
/// replays what it had written; as other writers wait, nothing can have changed meanwhile.
pub(crate) struct Open<'s> {
    pub(crate) store: &'s Store,
    pub(crate) written: Vec<&'s Record>,
    pub(crate) applied: bool,
}

impl<'s> Open<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        Self { store, written: Vec::new(), applied: false }
    }

    pub(crate) fn apply(&mut self) {
        if !self.applied {
            self.store.step("BEGIN IMMEDIATE");
            self.written.iter().for_each(|record| self.store.insert(record));
            self.applied = true;
        }
    }

    pub(crate) fn write(&mut self, record: &'s Record) {
        self.apply();
        self.store.insert(record);
        self.written.push(record);
    }

    /// Somebody else's read.
    pub(crate) fn read_beside(&mut self, pk: &str) -> Option<Vec<u8>> {
        if self.applied && self.store.reader.is_none() {
            self.store.step("ROLLBACK");
            self.applied = false;
        }
        self.store.read(pk)
    }

    pub(crate) fn commit(mut self) {
        self.apply();
        self.store.step("COMMIT");
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Readers {
    None,
    OneAtTheEnd,
    AfterEachWrite,
}

pub(crate) fn transaction(store: &Store, records: &[Record], readers: Readers, other: &str) {
    let mut open = Open::new(store);
    for (n, record) in records.iter().enumerate() {
        open.write(record);
        let last = n + 1 == records.len();
        if matches!(readers, Readers::AfterEachWrite) || last && matches!(readers, Readers::OneAtTheEnd) {
            assert!(open.read_beside(other).is_some());
        }
    }
    open.commit();
}

pub(crate) fn open_transactions(memory: &Store, wal: &Store, fresh: &[Record], other: &str) -> Table {
    assert_hidden(memory, fresh);
    assert_hidden(wal, fresh);
    let mut cases = [
        ("`:memory:`, no reader", memory, Readers::None),
        ("replay, one read before the commit", memory, Readers::OneAtTheEnd),
        ("replay, a read after each write", memory, Readers::AfterEachWrite),
        ("WAL, no reader", wal, Readers::None),
        ("WAL, one read before the commit", wal, Readers::OneAtTheEnd),
        ("WAL, a read after each write", wal, Readers::AfterEachWrite),
    ];
    let mut table = Table::new(cases.map(|(name, ..)| name));
    for size in [2, 10, 100] {
        let samples = interleaved(ROUNDS, &mut cases, |(_, store, readers)| {
            let transactions: Vec<_> = fresh[..2_000].chunks(size).collect();
            let seconds = seconds_per_call(transactions.len(), |n| {
                transaction(store, transactions[n], *readers, other)
            });
            store.shrink();
            seconds * 1e6
        });
        table.measured(format!("transaction of {size} creates, µs"), &samples);
    }
    table
}

/// What is timed must also be right: unseen before the commit, whole after it.
pub(crate) fn assert_hidden(store: &Store, records: &[Record]) {
    let mut open = Open::new(store);
    for record in &records[..3] {
        open.write(record);
        assert!(open.read_beside(&record.pk).is_none(), "a reader saw what is not committed");
    }
    open.commit();
    assert!(
        records[..3].iter().all(|record| store.read(&record.pk).is_some()),
        "a committed record is missing"
    );
    store.shrink();
}

pub(crate) fn reads_beside_a_transaction(
    memory: &Store,
    wal: &Store,
    fresh: &[Record],
    preloaded: &[Record],
) -> Table {
    let mut cases = [
        ("`:memory:`, rolled back for the reader", memory, 10),
        ("WAL, no transaction open", wal, 0),
        ("WAL, a transaction open", wal, 10),
    ];
    let mut table = Table::new(cases.map(|(name, ..)| name));
    let samples = interleaved(ROUNDS, &mut cases, |(_, store, writes)| {
        let mut open = Open::new(store);
        fresh[..*writes].iter().for_each(|record| open.write(record));
        let seconds = seconds_per_call(30_000, |n| {
            assert!(open.read_beside(&preloaded[n * 7_919 % PRELOADED].pk).is_some());
        });
        open.commit();
        store.shrink();
        1.0 / seconds
    });
    table.measured("read by key beside 10 uncommitted creates, /s", &samples);
    table
}

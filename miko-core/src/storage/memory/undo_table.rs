//! A sorted map with rollback.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// A table: sorted keys with a value each, and the undo log of the changes since the last commit.
#[derive(Debug)]
pub(super) struct UndoTable<K, V> {
    entries: BTreeMap<K, V>,
    /// For each change, in order: the key, and its previous value; `None` if the key had no value.
    undo: Vec<(K, Option<V>)>,
}

impl<K, V> Default for UndoTable<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), undo: Vec::new() }
    }
}

impl<K: Ord + Clone, V: Clone> UndoTable<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn range(&self, keys: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.range(keys)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let previous = self.entries.insert(key.clone(), value);
        self.undo.push((key, previous));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((key, value)) = self.entries.remove_entry(key) {
            self.undo.push((key, Some(value)));
        }
    }

    /// The entry with the largest key.
    pub(super) fn last(&self) -> Option<(&K, &V)> {
        self.entries.last_key_value()
    }
}

/// Commits and rolls back a table. A trait, so that tables of different types fit into one list.
pub(super) trait UndoLog {
    /// Makes the changes since the last commit permanent.
    fn commit(&mut self);
    /// Undoes the changes since the last commit.
    fn roll_back(&mut self);
}

impl<K: Ord + Clone, V> UndoLog for UndoTable<K, V> {
    fn commit(&mut self) {
        // `clear` would keep the memory, which is much after a large import. A new vector has none.
        self.undo = Vec::new();
    }

    fn roll_back(&mut self) {
        while let Some((key, previous)) = self.undo.pop() {
            match previous {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Operation {
        Insert(u8, u8),
        Remove(u8),
        Commit,
        RollBack,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let operation = prop_oneof![
            4 => (0..8u8, any::<u8>()).prop_map(|(key, value)| Operation::Insert(key, value)),
            2 => (0..8u8).prop_map(Operation::Remove),
            1 => Just(Operation::Commit),
            1 => Just(Operation::RollBack),
        ];
        prop::collection::vec(operation, 0..40)
    }

    proptest! {
        #[test]
        fn a_rollback_restores_the_committed_entries(operations in operations()) {
            let mut table = UndoTable::default();
            let (mut committed, mut current) = (BTreeMap::new(), BTreeMap::new());
            for operation in operations {
                match operation {
                    Operation::Insert(key, value) => {
                        table.insert(key, value);
                        current.insert(key, value);
                    }
                    Operation::Remove(key) => {
                        table.remove(&key);
                        current.remove(&key);
                    }
                    Operation::Commit => {
                        table.commit();
                        committed = current.clone();
                    }
                    Operation::RollBack => {
                        table.roll_back();
                        current = committed.clone();
                    }
                }
                prop_assert_eq!(&table.entries, &current);
            }
        }
    }
}

//! A sorted map that can be put back to what it was.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// One table: keys in order, each with a value, and how to undo what was done since the last commit.
#[derive(Debug)]
pub(super) struct UndoTable<K, V> {
    entries: BTreeMap<K, V>,
    /// What stood under a key before it was changed, in the order of the changes.
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for UndoTable<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), before: Vec::new() }
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
        let before = self.entries.insert(key.clone(), value);
        self.before.push((key, before));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((key, value)) = self.entries.remove_entry(key) {
            self.before.push((key, Some(value)));
        }
    }

    pub(super) fn last(&self) -> Option<(&K, &V)> {
        self.entries.last_key_value()
    }
}

/// What is done to a table whatever it holds.
pub(super) trait UndoLog {
    /// How many changes there were since the last commit.
    fn changes(&self) -> usize;
    /// Makes them last.
    fn commit(&mut self);
    /// Takes them back.
    fn roll_back(&mut self);
}

impl<K: Ord + Clone, V> UndoLog for UndoTable<K, V> {
    fn changes(&self) -> usize {
        self.before.len()
    }

    fn commit(&mut self) {
        // A large import shall not be remembered by the memory that it took.
        self.before = Vec::new();
    }

    fn roll_back(&mut self) {
        while let Some((key, before)) = self.before.pop() {
            match before {
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
    enum Step {
        Insert(u8, u8),
        Remove(u8),
        Commit,
        RollBack,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..8u8, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            2 => (0..8u8).prop_map(Step::Remove),
            1 => Just(Step::Commit),
            1 => Just(Step::RollBack),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn a_rollback_leaves_what_was_committed(steps in steps()) {
            let mut table = UndoTable::default();
            let (mut committed, mut now) = (BTreeMap::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        table.insert(key, value);
                        now.insert(key, value);
                    }
                    Step::Remove(key) => {
                        table.remove(&key);
                        now.remove(&key);
                    }
                    Step::Commit => {
                        table.commit();
                        committed = now.clone();
                    }
                    Step::RollBack => {
                        table.roll_back();
                        now = committed.clone();
                    }
                }
                prop_assert_eq!(&table.entries, &now);
            }
        }
    }
}

//! A set of row ids, in order of creation. The maps of index entries have a set for each class, and for each
//! value of an index.

use crate::storage::ids::RowId;

/// Row ids in ascending order. In an index whose values are distinct, most sets have one row, so a set of one
/// row takes no allocation.
#[derive(Debug, Clone)]
pub(super) enum RowSet {
    One(RowId),
    Many(Box<Chunks>),
}

/// Rows in ascending order, in chunks: an insertion or a removal moves the rows of one chunk, and a new row,
/// which has the largest id, is appended.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    /// None of them is empty.
    chunks: Vec<Vec<RowId>>,
    /// The number of rows.
    len: usize,
}

/// The most rows of a chunk. Small in tests, so that they reach splits.
const MAX_CHUNK: usize = if cfg!(test) { 16 } else { 512 };

impl Chunks {
    /// Adds a row. Returns whether it was not there.
    fn insert(&mut self, row: RowId) -> bool {
        let added = match self.chunks.last_mut() {
            None => self.append_chunk(row),
            Some(last) if last.last().is_some_and(|largest| *largest < row) => {
                if last.len() < MAX_CHUNK {
                    last.push(row);
                    true
                } else {
                    self.append_chunk(row)
                }
            }
            Some(_) => self.insert_between(row),
        };
        self.len += usize::from(added);
        added
    }

    fn append_chunk(&mut self, row: RowId) -> bool {
        self.chunks.push(vec![row]);
        true
    }

    /// Adds a row that is not larger than all others.
    fn insert_between(&mut self, row: RowId) -> bool {
        let index = self.chunk_of(row);
        let chunk = &mut self.chunks[index];
        let Err(place) = chunk.binary_search(&row) else { return false };
        if chunk.len() < MAX_CHUNK {
            chunk.insert(place, row);
            return true;
        }
        let half = MAX_CHUNK / 2;
        let mut upper_half = chunk.split_off(half);
        match place.checked_sub(half) {
            Some(place) => upper_half.insert(place, row),
            None => chunk.insert(place, row),
        }
        self.chunks.insert(index + 1, upper_half);
        true
    }

    /// Removes a row. Returns whether it was there.
    fn remove(&mut self, row: RowId) -> bool {
        let index = self.chunk_of(row);
        let Some(chunk) = self.chunks.get_mut(index) else { return false };
        let Ok(place) = chunk.binary_search(&row) else { return false };
        chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(index);
        } else if chunk.len() < chunk.capacity() / 4 {
            // Frees memory after many removals, and leaves room for some insertions.
            chunk.shrink_to(2 * chunk.len());
        }
        self.len -= 1;
        true
    }

    fn contains(&self, row: RowId) -> bool {
        self.chunks.get(self.chunk_of(row)).is_some_and(|chunk| chunk.binary_search(&row).is_ok())
    }

    /// The index of the chunk that has the row, if it is there, and to which it is added otherwise.
    fn chunk_of(&self, row: RowId) -> usize {
        self.chunks.partition_point(|chunk| chunk[0] <= row).saturating_sub(1)
    }

    /// The rows after `last`.
    fn after(&self, last: RowId) -> impl Iterator<Item = RowId> {
        let (first_chunk, others) = match self.chunks.get(self.chunk_of(last)..) {
            Some([first, others @ ..]) => (&first[first.partition_point(|row| *row <= last)..], others),
            _ => (&[][..], &[][..]),
        };
        first_chunk.iter().chain(others.iter().flatten()).copied()
    }
}

impl RowSet {
    pub(super) const fn of(row: RowId) -> Self {
        Self::One(row)
    }

    /// Adds a row. Returns whether it was not in the set.
    pub(super) fn insert(&mut self, row: RowId) -> bool {
        match self {
            Self::One(one) if *one == row => false,
            Self::One(one) => {
                let both = vec![(*one).min(row), (*one).max(row)];
                *self = Self::Many(Box::new(Chunks { chunks: vec![both], len: 2 }));
                true
            }
            Self::Many(rows) => rows.insert(row),
        }
    }

    /// Removes a row. Returns whether it was in the set.
    pub(super) fn remove(&mut self, row: RowId) -> bool {
        match self {
            Self::One(one) if *one != row => false,
            Self::One(_) => {
                // An empty set is a `Many` without rows.
                *self = Self::Many(Box::default());
                true
            }
            Self::Many(rows) => rows.remove(row),
        }
    }

    pub(super) fn contains(&self, row: RowId) -> bool {
        match self {
            Self::One(one) => *one == row,
            Self::Many(rows) => rows.contains(row),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(rows) => rows.len,
        }
    }

    /// Appends to `rows` the first rows of the set after `last`: at most `max`, which is not 0.
    pub(super) fn push_after(&self, last: RowId, max: usize, rows: &mut Vec<RowId>) {
        match self {
            Self::One(one) => rows.extend(Some(*one).filter(|one| *one > last)),
            Self::Many(all) => rows.extend(all.after(last).take(max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_set_equals_a_sorted_set(
            first in 1..100_i64,
            changes in prop::collection::vec((prop::bool::weighted(0.6), 1..100_i64), 0..300),
            max in 1..9_usize,
        ) {
            let (mut set, mut model) = (RowSet::of(RowId(first)), BTreeSet::from([RowId(first)]));
            for (adds, row) in changes {
                let row = RowId(row);
                let (changed, expected) = match adds {
                    true => (set.insert(row), model.insert(row)),
                    false => (set.remove(row), model.remove(&row)),
                };
                prop_assert_eq!(changed, expected);
                prop_assert_eq!((set.len(), set.contains(row)), (model.len(), adds));
                if let RowSet::Many(rows) = &set {
                    prop_assert!(rows.chunks.iter().all(|chunk| (1..=MAX_CHUNK).contains(&chunk.len())));
                }
                let mut rows = Vec::new();
                loop {
                    let before = rows.len();
                    set.push_after(rows.last().copied().unwrap_or_default(), max, &mut rows);
                    if rows.len() == before {
                        break;
                    }
                }
                prop_assert!(rows.iter().eq(&model));
            }
        }
    }
}

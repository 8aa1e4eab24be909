//! A set of row ids, in order of creation. The maps of index entries have a set for each class, and for each
//! value of an index.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::storage::ids::RowId;

/// Row ids in ascending order. In an index whose values are distinct, most sets have one row, so a set of one
/// row takes no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowSet {
    One(RowId),
    #[expect(clippy::box_collection, reason = "it halves the size of a set, and most have one row")]
    Many(Box<BTreeSet<RowId>>),
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
                *self = Self::Many(Box::new(BTreeSet::from([*one, row])));
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
            Self::Many(rows) => rows.remove(&row),
        }
    }

    pub(super) fn contains(&self, row: RowId) -> bool {
        match self {
            Self::One(one) => *one == row,
            Self::Many(rows) => rows.contains(&row),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(rows) => rows.len(),
        }
    }

    /// Appends to `rows` the first rows of the set after `last`: at most `max`, which is not 0.
    pub(super) fn push_after(&self, last: RowId, max: usize, rows: &mut Vec<RowId>) {
        match self {
            Self::One(one) => rows.extend(Some(*one).filter(|one| *one > last)),
            Self::Many(all) => {
                rows.extend(all.range((Bound::Excluded(last), Bound::Unbounded)).take(max));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_set_equals_a_sorted_set(
            first in 1..9_i64,
            changes in prop::collection::vec((any::<bool>(), 1..9_i64), 0..40),
            max in 1..5_usize,
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

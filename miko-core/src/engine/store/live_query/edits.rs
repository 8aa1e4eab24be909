//! The edits from one list to another: from one result of a live query to the next.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// An edit of a list. Edits are made one after another: `from` and `index` are positions in the list as the
/// edits before this one have left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListEdit {
    /// Removes the item at `from`. This is also the index of the item in the old list, since items leave
    /// first, from the last to the first.
    Leave { from: usize },
    /// Removes the item at `from`, and inserts it with its new content at `index`. The index of the item in
    /// the new list is `new`.
    Move { from: usize, index: usize, new: usize },
    /// Inserts an item at `index`, which is also the index of the item in the new list.
    Enter { index: usize },
    /// Replaces the content of the item at `index`, which is also the index of the item in the new list.
    Change { index: usize },
}

/// An item that is in both lists, with different content.
struct Changed {
    /// Its position in the old list, counting only the items that are in both lists.
    old_rank: usize,
    /// Its position in the new list, counting only the items that are in both lists.
    new_rank: usize,
    /// Its index in the new list.
    new_index: usize,
    /// How many unchanged items precede it in the old list. An item is unchanged if it is equal in both
    /// lists.
    unchanged_before: usize,
}

/// The edits that turn `old` into `new`, and the range of `new` that differs. Before and behind that range
/// both lists have equal items. `key` identifies an item.
///
/// The items that are equal in both lists get no edit, so they must have the same order in both. In results
/// of one select they do: the order of two records depends only on their content and on which is older.
///
/// The edits have this order: items leave, from the last to the first; items are moved, in the order of the
/// new list; items enter, from the first to the last; the content of items that stay in place is replaced.
pub(super) fn list_edits<T: PartialEq, K: Eq + Hash>(
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
) -> (Vec<ListEdit>, Range<usize>) {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let ends = old[start..].iter().rev().zip(new[start..].iter().rev());
    let equal_end = ends.take_while(|(old, new)| old == new).count();
    let (old, range) = (&old[start..old.len() - equal_end], start..new.len() - equal_end);
    let new = &new[range.clone()];
    // From here on, both lists are the parts that differ. Indexes count from `start`, except in edits.

    let old_indexes: HashMap<K, usize> =
        old.iter().enumerate().map(|(index, item)| (key(item), index)).collect();
    // Whether each item of the old list is also in the new list.
    let mut stays = vec![false; old.len()];
    // For each item of the new list, its index in the old list, if it is there.
    let origins: Vec<Option<usize>> = new.iter().map(|item| old_indexes.get(&key(item)).copied()).collect();
    origins.iter().flatten().for_each(|old| stays[*old] = true);

    let mut edits = Vec::new();
    for index in (0..old.len()).rev().filter(|index| !stays[*index]) {
        edits.push(ListEdit::Leave { from: start + index });
    }
    let (in_place, moved) = split_off_moved(changed_items(old, new, &origins, &stays));
    edits.extend(moves(&moved, start));
    let entered = origins.iter().enumerate().filter(|(_, origin)| origin.is_none());
    edits.extend(entered.map(|(index, _)| ListEdit::Enter { index: start + index }));
    edits.extend(in_place.iter().map(|item| ListEdit::Change { index: start + item.new_index }));
    (edits, range)
}

/// The items that are in both lists with different content, in the order of the new list.
fn changed_items<T: PartialEq>(
    old: &[T],
    new: &[T],
    origins: &[Option<usize>],
    stays: &[bool],
) -> Vec<Changed> {
    // For each staying item of the old list: how many staying items precede it, and how many of the preceding
    // ones are unchanged.
    let mut preceding = vec![(0, 0); old.len()];
    let mut is_unchanged = vec![false; old.len()];
    for (index, origin) in origins.iter().enumerate() {
        if let Some(origin) = origin {
            is_unchanged[*origin] = old[*origin] == new[index];
        }
    }
    let (mut staying, mut unchanged) = (0, 0);
    for index in (0..old.len()).filter(|index| stays[*index]) {
        preceding[index] = (staying, unchanged);
        staying += 1;
        unchanged += usize::from(is_unchanged[index]);
    }
    let mut changed = Vec::new();
    let mut in_both = 0;
    for (index, origin) in origins.iter().enumerate() {
        let Some(origin) = *origin else { continue };
        if !is_unchanged[origin] {
            let (old_rank, unchanged_before) = preceding[origin];
            changed.push(Changed { old_rank, new_rank: in_both, new_index: index, unchanged_before });
        }
        in_both += 1;
    }
    changed
}

/// Splits changed items into items that stay in place and items that are moved. The items that stay in place
/// have the same order in both lists, among each other and among the unchanged items. Both parts are in the
/// order of the new list. The number of moved items is not always the smallest possible.
fn split_off_moved(changed: Vec<Changed>) -> (Vec<Changed>, Vec<Changed>) {
    let mut in_place: Vec<Changed> = Vec::new();
    let mut moved = Vec::new();
    for (changed_before, item) in changed.into_iter().enumerate() {
        // Of the items in both lists, `new_rank` precede this item in the new list. Of those,
        // `changed_before` have changed, and the rest are unchanged.
        let keeps_unchanged_before = item.unchanged_before == item.new_rank - changed_before;
        if keeps_unchanged_before && in_place.last().is_none_or(|last| last.old_rank < item.old_rank) {
            in_place.push(item);
        } else {
            moved.push(item);
        }
    }
    (in_place, moved)
}

/// The moves of items, in the order of the new list. The moves are made on a list that has only the items
/// that are in both lists. `start` is the number of equal items at the start of both lists, and is added to
/// all indexes.
///
/// Before each move there are three kinds of items: unmoved items, which need no move; arrived items, which
/// were moved already; and waiting items, which are still to be moved. The slot of an item is the number of
/// unmoved items before it. Among items with the same slot, the arrived items come first, in the order of the
/// new list, then the waiting items, in the order of the old list.
fn moves(moved: &[Changed], start: usize) -> Vec<ListEdit> {
    // The ranks of the moved items in the old list, in ascending order.
    let mut old_ranks: Vec<usize> = moved.iter().map(|item| item.old_rank).collect();
    old_ranks.sort_unstable();
    // The slots that the moved items have in the old list, in the order of the old list; and the slots that
    // they have in the new list, in the order of the new list. Both ascend.
    let old_slots: Vec<usize> =
        old_ranks.iter().enumerate().map(|(position, old_rank)| old_rank - position).collect();
    let new_slots: Vec<usize> = moved.iter().enumerate().map(|(nth, item)| item.new_rank - nth).collect();
    // The waiting items, each as its position in `old_ranks`.
    let mut waiting = FenwickTree::full(moved.len());
    let mut edits = Vec::with_capacity(moved.len());
    for (nth, item) in moved.iter().enumerate() {
        let position = old_ranks.partition_point(|old_rank| *old_rank < item.old_rank);
        waiting.remove(position);
        let old_slot = old_slots[position];
        // The arrived items with a smaller slot precede the item, and those with the same slot, too.
        let arrived = new_slots[..nth].partition_point(|slot| *slot <= old_slot);
        // The unmoved, the arrived and the waiting items before the item.
        let from = old_slot + arrived + waiting.count_below(position);
        // The waiting items whose slot is smaller than the new slot of the item precede its new position.
        let smaller_slots = old_slots.partition_point(|slot| *slot < new_slots[nth]);
        // `new_rank` counts the unmoved and the arrived items before the item: each item in both lists that
        // precedes it in the new list is unmoved, or has arrived by now.
        let index = item.new_rank + waiting.count_below(smaller_slots);
        edits.push(ListEdit::Move { from: start + from, index: start + index, new: start + item.new_index });
    }
    edits
}

/// A set of numbers below a bound, as a Fenwick tree. It counts its members below a number in logarithmic
/// time.
struct FenwickTree(Vec<usize>);

impl FenwickTree {
    /// All numbers below `bound`.
    fn full(bound: usize) -> Self {
        // The element of a position, counted from 1, is the number of members in a range that ends there. The
        // length of the range is the lowest set bit of the position.
        Self((1..=bound).map(|position| position & position.wrapping_neg()).collect())
    }

    fn remove(&mut self, number: usize) {
        let mut position = number + 1;
        while let Some(count) = self.0.get_mut(position - 1) {
            *count -= 1;
            position += position & position.wrapping_neg();
        }
    }

    /// How many numbers of the set are below `number`.
    fn count_below(&self, number: usize) -> usize {
        let (mut position, mut count) = (number, 0);
        while position > 0 {
            count += self.0[position - 1];
            position &= position - 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An item: its key, and its content.
    type Item = (u8, u8);

    /// Makes the edits on `old`.
    fn applied(old: &[Item], new: &[Item], edits: &[ListEdit]) -> Vec<Item> {
        let mut list = old.to_vec();
        for edit in edits {
            match *edit {
                ListEdit::Leave { from } => assert_eq!(list.remove(from), old[from]),
                ListEdit::Move { from, index, new: new_index } => {
                    assert_eq!(list.remove(from).0, new[new_index].0);
                    list.insert(index, new[new_index]);
                }
                ListEdit::Enter { index } => list.insert(index, new[index]),
                ListEdit::Change { index } => {
                    assert_eq!(list[index].0, new[index].0);
                    list[index] = new[index];
                }
            }
        }
        list
    }

    /// A list of items, and a changed list in which the unchanged items have the same order.
    fn lists() -> impl Strategy<Value = (Vec<Item>, Vec<Item>)> {
        let old = vec(any::<u8>(), 0..30).prop_map(|mut keys| {
            keys.sort_unstable();
            keys.dedup();
            keys
        });
        let old =
            old.prop_shuffle().prop_map(|keys| keys.into_iter().map(|key| (key, 0)).collect::<Vec<_>>());
        let changes = vec((0_u8..4, any::<prop::sample::Index>(), any::<u8>()), 0..20);
        (old, changes).prop_map(|(old, changes)| {
            let mut new = old.clone();
            for (kind, at, key) in changes {
                let place = |len: usize| at.index(len.max(1));
                match kind {
                    0 if !new.is_empty() => drop(new.remove(place(new.len()))),
                    1 if !new.is_empty() => {
                        let (moved, content) = new.remove(place(new.len()));
                        new.insert(usize::from(key) % (new.len() + 1), (moved, content + 1));
                    }
                    2 if !new.is_empty() => {
                        let place = place(new.len());
                        new[place].1 += 1;
                    }
                    _ if !old.iter().chain(&new).any(|(used, _)| *used == key) => {
                        new.insert(place(new.len() + 1), (key, 0));
                    }
                    _ => {}
                }
            }
            (old, new)
        })
    }

    proptest! {
        #[test]
        fn edits_lead_from_the_old_list_to_the_new_one((old, new) in lists()) {
            let (edits, range) = list_edits(&old, &new, |item| item.0);
            prop_assert_eq!(applied(&old, &new, &edits), &new[..]);
            let is_within = |edit: &ListEdit| match *edit {
                ListEdit::Leave { from } => from >= range.start,
                ListEdit::Move { new, .. } => range.contains(&new),
                ListEdit::Enter { index } | ListEdit::Change { index } => range.contains(&index),
            };
            prop_assert!(edits.iter().all(is_within));
        }
    }

    #[test]
    fn only_the_item_that_is_out_of_order_is_moved() {
        let old = [(1, 0), (2, 0), (3, 0), (4, 0)];
        let edits = |new: &[Item]| list_edits(&old, new, |item| item.0).0;
        assert_eq!(edits(&old), []);
        assert_eq!(edits(&[(1, 0), (2, 1), (3, 1), (4, 0)]), [1, 2].map(|index| ListEdit::Change { index }));
        assert_eq!(edits(&[(1, 0), (3, 0), (4, 0), (2, 1)]), [ListEdit::Move { from: 1, index: 3, new: 3 }]);
        assert_eq!(
            edits(&[(5, 0), (1, 0), (2, 0), (3, 0)]),
            [ListEdit::Leave { from: 3 }, ListEdit::Enter { index: 0 }]
        );
    }
}

//! The steps from one result to the next.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// A step. Each one is made on the list that those before it have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// Takes out the item at `from`, which is at `old` of the old list.
    Leave { from: usize, old: usize },
    /// Takes out the item at `from`, and puts it in at `index`. It is at `new` of the new list.
    Move { from: usize, index: usize, new: usize },
    /// Puts in the item at `index`, which is its place in the new list.
    Enter { index: usize },
    /// Puts another content in the place of the item at `index`, which is its place in the new list.
    Change { index: usize },
}

/// An item that is in both lists with another content.
struct Changed {
    /// Its place in the old list, without the items that leave.
    old: usize,
    /// Its place in the new list, without the items that enter.
    new: usize,
    /// Its place in the new list.
    index: usize,
    /// How many of the items that stay as they are precede it in the old list.
    unchanged_before: usize,
}

/// The edits that make `new` of `old`, and the range of `new` outside of which both are equal at both ends.
/// `key` identifies an item. Items that are equal in both lists must have the same order in both: they need
/// no edit.
pub(super) fn edits<T: PartialEq, K: Eq + Hash>(
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
) -> (Vec<Edit>, Range<usize>) {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let ends = old[start..].iter().rev().zip(new[start..].iter().rev());
    let equal_end = ends.take_while(|(old, new)| old == new).count();
    let (old, range) = (&old[start..old.len() - equal_end], start..new.len() - equal_end);
    let new = &new[range.clone()];

    let old_places: HashMap<K, usize> = old.iter().enumerate().map(|(at, item)| (key(item), at)).collect();
    let mut stays = vec![false; old.len()];
    // For each item of the new list its place in the old one.
    let origins: Vec<Option<usize>> = new.iter().map(|item| old_places.get(&key(item)).copied()).collect();
    origins.iter().flatten().for_each(|old| stays[*old] = true);

    let mut edits = Vec::new();
    for at in (0..old.len()).rev().filter(|at| !stays[*at]) {
        edits.push(Edit::Leave { from: start + at, old: start + at });
    }
    let (in_place, moved) = without_those_in_place(changed_items(old, new, &origins, &stays));
    edits.extend(moves(&moved, start));
    let entered = origins.iter().enumerate().filter(|(_, origin)| origin.is_none());
    edits.extend(entered.map(|(at, _)| Edit::Enter { index: start + at }));
    edits.extend(in_place.iter().map(|item| Edit::Change { index: start + item.index }));
    (edits, range)
}

/// The items that are in both lists with another content, in the order of the new list.
fn changed_items<T: PartialEq>(
    old: &[T],
    new: &[T],
    origins: &[Option<usize>],
    stays: &[bool],
) -> Vec<Changed> {
    // For each item of the old list that stays: its place among those, and the unchanged ones before it.
    let mut places = vec![(0, 0); old.len()];
    let mut is_unchanged = vec![false; old.len()];
    for (at, origin) in origins.iter().enumerate() {
        if let Some(origin) = origin {
            is_unchanged[*origin] = old[*origin] == new[at];
        }
    }
    let (mut staying, mut unchanged) = (0, 0);
    for at in (0..old.len()).filter(|at| stays[*at]) {
        places[at] = (staying, unchanged);
        staying += 1;
        unchanged += usize::from(is_unchanged[at]);
    }
    let mut changed = Vec::new();
    let mut in_both = 0;
    for (index, origin) in origins.iter().enumerate() {
        let Some(origin) = *origin else { continue };
        if !is_unchanged[origin] {
            let (old, unchanged_before) = places[origin];
            changed.push(Changed { old, new: in_both, index, unchanged_before });
        }
        in_both += 1;
    }
    changed
}

/// Splits changed items into those that need no move and the others. The first keep their order among each
/// other and among the unchanged items. Both are in the order of the new list.
fn without_those_in_place(changed: Vec<Changed>) -> (Vec<Changed>, Vec<Changed>) {
    let mut in_place: Vec<Changed> = Vec::new();
    let mut moved = Vec::new();
    for (at, item) in changed.into_iter().enumerate() {
        let keeps_its_place = item.unchanged_before == item.new - at;
        if keeps_its_place && in_place.last().is_none_or(|last| last.old < item.old) {
            in_place.push(item);
        } else {
            moved.push(item);
        }
    }
    (in_place, moved)
}

/// The moves of items, in the order of the new list. Each one is put in behind the item that precedes it in
/// the new list, which has its place among the others already.
///
/// `start` is the number of items that precede the places in `moved`.
fn moves(moved: &[Changed], start: usize) -> Vec<Edit> {
    let mut by_old: Vec<usize> = moved.iter().map(|item| item.old).collect();
    by_old.sort_unstable();
    // How many items that do not move precede each one: in the old list, in its order, and in the new one.
    let others_before_old: Vec<usize> = by_old.iter().enumerate().map(|(rank, old)| old - rank).collect();
    let others_before_new: Vec<usize> = moved.iter().enumerate().map(|(at, item)| item.new - at).collect();
    let mut waiting = Counter::full(moved.len());
    let mut edits = Vec::with_capacity(moved.len());
    for (at, item) in moved.iter().enumerate() {
        let rank = by_old.partition_point(|old| *old < item.old);
        waiting.remove(rank);
        let others = others_before_old[rank];
        // One that was moved to the same gap between the others was put in behind the one before it.
        let arrived_before = others_before_new[..at].partition_point(|before| *before <= others);
        let from = others + arrived_before + waiting.count_before(rank);
        // The items that were not moved yet are still at their old places among the others.
        let waiting_before = others_before_old.partition_point(|before| *before < others_before_new[at]);
        let index = item.new + waiting.count_before(waiting_before);
        edits.push(Edit::Move { from: start + from, index: start + index, new: start + item.index });
    }
    edits
}

/// A set of the numbers below a bound that counts those below a number: a Fenwick tree.
struct Counter(Vec<usize>);

impl Counter {
    /// All numbers below `bound`.
    fn full(bound: usize) -> Self {
        Self((1..=bound).map(|at| at & at.wrapping_neg()).collect())
    }

    fn remove(&mut self, number: usize) {
        let mut at = number + 1;
        while let Some(count) = self.0.get_mut(at - 1) {
            *count -= 1;
            at += at & at.wrapping_neg();
        }
    }

    /// How many numbers of the set are below `number`.
    fn count_before(&self, number: usize) -> usize {
        let (mut at, mut count) = (number, 0);
        while at > 0 {
            count += self.0[at - 1];
            at &= at - 1;
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
    fn applied(old: &[Item], new: &[Item], edits: &[Edit]) -> Vec<Item> {
        let mut list = old.to_vec();
        for edit in edits {
            match *edit {
                Edit::Leave { from, old: place } => assert_eq!(list.remove(from), old[place]),
                Edit::Move { from, index, new: place } => {
                    assert_eq!(list.remove(from).0, new[place].0);
                    list.insert(index, new[place]);
                }
                Edit::Enter { index } => list.insert(index, new[index]),
                Edit::Change { index } => {
                    assert_eq!(list[index].0, new[index].0);
                    list[index] = new[index];
                }
            }
        }
        list
    }

    /// A list of items, and another one in which those that are unchanged have the same order.
    fn lists() -> impl Strategy<Value = (Vec<Item>, Vec<Item>)> {
        let old = vec(any::<u8>(), 0..30).prop_map(|mut keys| {
            keys.sort_unstable();
            keys.dedup();
            keys
        });
        let old =
            old.prop_shuffle().prop_map(|keys| keys.into_iter().map(|key| (key, 0)).collect::<Vec<_>>());
        let steps = vec((0_u8..4, any::<prop::sample::Index>(), any::<u8>()), 0..20);
        (old, steps).prop_map(|(old, steps)| {
            let mut new = old.clone();
            for (step, at, key) in steps {
                let place = |len: usize| at.index(len.max(1));
                match step {
                    0 if !new.is_empty() => drop(new.remove(place(new.len()))),
                    1 if !new.is_empty() => {
                        let (key, content) = new.remove(place(new.len()));
                        new.insert(usize::from(key) % (new.len() + 1), (key, content + 1));
                    }
                    2 if !new.is_empty() => {
                        let place = place(new.len());
                        new[place].1 += 1;
                    }
                    _ if !old.iter().chain(&new).any(|(known, _)| *known == key) => {
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
            let (edits, range) = edits(&old, &new, |item| item.0);
            prop_assert_eq!(applied(&old, &new, &edits), &new[..]);
            let is_within = |edit: &Edit| match *edit {
                Edit::Leave { from, .. } => from >= range.start,
                Edit::Move { new, .. } => range.contains(&new),
                Edit::Enter { index } | Edit::Change { index } => range.contains(&index),
            };
            prop_assert!(edits.iter().all(is_within));
        }
    }

    #[test]
    fn an_item_that_keeps_its_index_is_not_moved() {
        let old = [(1, 0), (2, 0), (3, 0), (4, 0)];
        let edits = |new: &[Item]| edits(&old, new, |item| item.0).0;
        assert_eq!(edits(&old), []);
        assert_eq!(
            edits(&[(1, 0), (2, 1), (3, 1), (4, 0)]),
            [2, 1].map(|index| Edit::Change { index: 3 - index })
        );
        assert_eq!(edits(&[(1, 0), (3, 0), (4, 0), (2, 1)]), [Edit::Move { from: 1, index: 3, new: 3 }]);
        assert_eq!(
            edits(&[(5, 0), (1, 0), (2, 0), (3, 0)]),
            [Edit::Leave { from: 3, old: 3 }, Edit::Enter { index: 0 }]
        );
    }
}

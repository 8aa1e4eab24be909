//! A list of named values, which keeps their order and finds a value by its name.

use std::sync::{Arc, OnceLock};

/// A list of named values in a given order. No two have the same name: the caller ensures it.
#[derive(Debug, Clone)]
pub(super) struct NamedList<T> {
    /// The elements are shared with clones of the list, and with other lists.
    list: Vec<Arc<Named<T>>>,
    /// The positions of the values in `list`, sorted by name. Empty if the values are few enough for a linear
    /// search.
    by_name: Box<[usize]>,
}

/// A value with its name.
#[derive(Debug)]
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) value: T,
    /// A text that is derived from the name and the value when it is first needed: the JSON member that the
    /// default of a field adds to a bucket.
    pub(super) text: OnceLock<String>,
}

/// Up to this number of values, a linear search by name is faster than a binary search.
const LINEAR_SCAN_MAX: usize = 16;

impl<T> NamedList<T> {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The names and the values in their order.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.shared().iter().map(|named| (named.name.as_str(), &named.value))
    }

    /// The elements of the list. Other lists can share them by cloning the `Arc`s.
    #[inline]
    pub(super) fn shared(&self) -> &[Arc<Named<T>>] {
        &self.list
    }

    /// The value with a name.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let position = if self.list.len() <= LINEAR_SCAN_MAX {
            self.list.iter().position(|named| named.name == name)?
        } else {
            let name_at = |position: &usize| self.list[*position].name.as_str();
            self.by_name[self.by_name.binary_search_by(|position| name_at(position).cmp(name)).ok()?]
        };
        Some(&self.list[position].value)
    }

    /// Whether there is a value with this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl<T> Default for NamedList<T> {
    fn default() -> Self {
        Self { list: Vec::new(), by_name: Box::default() }
    }
}

impl<T> FromIterator<Arc<Named<T>>> for NamedList<T> {
    fn from_iter<I: IntoIterator<Item = Arc<Named<T>>>>(elements: I) -> Self {
        let list: Vec<_> = elements.into_iter().collect();
        let mut by_name = Vec::new();
        if list.len() > LINEAR_SCAN_MAX {
            by_name.extend(0..list.len());
            by_name.sort_unstable_by_key(|&position: &usize| list[position].name.as_str());
        }
        Self { list, by_name: by_name.into() }
    }
}

impl<T> FromIterator<(String, T)> for NamedList<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(values: I) -> Self {
        let named = |(name, value)| Arc::new(Named { name, value, text: OnceLock::new() });
        values.into_iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_are_found_by_their_names() {
        for count in [0, 1, LINEAR_SCAN_MAX, LINEAR_SCAN_MAX + 1, 100] {
            let name = |n: usize| format!("{}", (n * 7919) % 1000);
            let list: NamedList<usize> = (0..count).map(|n| (name(n), n)).collect();
            assert!(list.iter().map(|(name, _)| name).eq((0..count).map(name)), "{count}");
            assert_eq!((list.len(), list.is_empty()), (count, count == 0));
            for n in 0..count {
                assert_eq!(list.get(&name(n)), Some(&n), "{n} of {count}");
            }
            assert!(!list.contains("x") && !list.contains(""), "{count}");
        }
    }
}

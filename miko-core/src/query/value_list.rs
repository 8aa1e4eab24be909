//! The lists of values and of pks in a condition. Evaluation looks up a value of each record in such a list.
//!
//! A short list is searched element by element. A longer one gets a lookup table when the first record is
//! tested: a select that storage answers by an index needs no table.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::OnceLock;

use serde_json::Value;

use crate::diagnostics::{Faults, Place, readers};
use crate::json;
use crate::query::folding::Folding;
use crate::query::value_ref::ValueRef;

/// Up to this number of elements, a linear search is as fast as a lookup.
const LINEAR_SEARCH_MAX: usize = 8;

/// The values of the operator `in`, `includes_all` or `includes_any`.
#[derive(Debug, Clone)]
pub(super) struct ValueList {
    values: Vec<Value>,
    /// The lookup table of a long list: the index keys of the values. Two values are equal exactly if their
    /// index keys are equal. Empty until the first lookup, and always for a short list.
    index_keys: OnceLock<HashSet<String>>,
}

impl ValueList {
    pub(super) fn of(values: Vec<Value>) -> Self {
        Self { values, index_keys: OnceLock::new() }
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether the list contains a value. `folding` applies to the value; the texts of the list are folded
    /// already.
    pub(super) fn contains(&self, actual: &ValueRef<'_>, folding: Folding) -> bool {
        match self.lookup_table() {
            None => self.values.iter().any(|value| actual.equals_folded(value, folding)),
            Some(table) => table.contains(&index_key_of(actual, folding)),
        }
    }

    /// Whether the list contains at least one of `items`, which are the elements of an array in a bucket.
    pub(super) fn contains_any_of(&self, items: &[Value]) -> bool {
        match self.lookup_table() {
            None => self.values.iter().any(|value| items.iter().any(|item| json::equal(item, value))),
            Some(table) => items.iter().any(|item| table.contains(&json::index_key(&[item]))),
        }
    }

    /// Whether each value of the list is among `items`, which are the elements of an array in a bucket.
    pub(super) fn is_within(&self, items: &[Value]) -> bool {
        match self.lookup_table() {
            None => self.values.iter().all(|value| items.iter().any(|item| json::equal(item, value))),
            Some(table) => {
                let item_keys = items.iter().map(|item| json::index_key(&[item]));
                let found: HashSet<String> = item_keys.filter(|key| table.contains(key)).collect();
                found.len() == table.len()
            }
        }
    }

    /// The lookup table, built at the first call; `None` for a short list.
    fn lookup_table(&self) -> Option<&HashSet<String>> {
        let build = || self.values.iter().map(|value| json::index_key(&[value])).collect();
        (self.values.len() > LINEAR_SEARCH_MAX).then(|| self.index_keys.get_or_init(build))
    }
}

/// The index key of a value at the end of a path, after folding. An absent value has the index key of null.
fn index_key_of(actual: &ValueRef<'_>, folding: Folding) -> String {
    match actual {
        ValueRef::Composite(value) => json::index_key(&[value]),
        ValueRef::Absent | ValueRef::Null => json::index_key(&[&Value::Null]),
        ValueRef::Bool(value) => json::index_key(&[&Value::from(*value)]),
        ValueRef::Number(number) => json::index_key(&[&Value::from(number.clone())]),
        ValueRef::Text(text) => json::index_key(&[&Value::from(folding.apply(text))]),
    }
}

/// The pks of a condition.
#[derive(Debug, Default)]
pub(crate) struct PkList {
    pks: Vec<String>,
    /// The lookup table of a long list: indices into `pks`, sorted by pk. Empty until the first lookup, and
    /// always for a short list.
    sorted_indices: OnceLock<Vec<usize>>,
}

impl PkList {
    /// Reads a pk or an array of pks.
    pub(super) fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        readers::pks(value, place, faults).map(Self::from)
    }

    pub(crate) fn contains_pk(&self, pk: &str) -> bool {
        if self.pks.len() <= LINEAR_SEARCH_MAX {
            return self.pks.iter().any(|listed| listed == pk);
        }
        let sorted_indices = self.sorted_indices.get_or_init(|| {
            let mut indices: Vec<usize> = (0..self.pks.len()).collect();
            indices.sort_unstable_by_key(|index| &self.pks[*index]);
            indices
        });
        sorted_indices.binary_search_by(|index| self.pks[*index].as_str().cmp(pk)).is_ok()
    }
}

impl From<Vec<String>> for PkList {
    fn from(pks: Vec<String>) -> Self {
        Self { pks, sorted_indices: OnceLock::new() }
    }
}

impl Deref for PkList {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.pks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let texts = || prop::sample::select(vec!["a", "A", " a", "b", ""]).prop_map(Value::from);
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-2..3_i64).prop_map(Value::from),
            (-2..3_i64).prop_map(|number| (number as f64).into()),
            Just(json!(u64::MAX)),
            Just(json!(0.5)),
            texts(),
            prop::collection::vec(texts(), 0..3).prop_map(Value::from),
            texts().prop_map(|text| json!({"k": text, "n": 1})),
            texts().prop_map(|text| json!({"n": 1.0, "k": text})),
        ]
    }

    proptest! {
        #[test]
        fn a_lookup_finds_what_a_search_finds(
            values in prop::collection::vec(any_value(), 0..12),
            items in prop::collection::vec(any_value(), 0..12),
            ignores_case: bool,
        ) {
            let folding = Folding { ignores_case, collapses_whitespace: false };
            let folded = |value: &Value| match value {
                Value::String(text) => folding.apply(text).into_owned().into(),
                other => other.clone(),
            };
            let list = ValueList::of(values.iter().map(folded).collect());
            for item in &items {
                let expected = values.iter().any(|value| json::equal(&folded(value), &folded(item)));
                prop_assert_eq!(list.contains(&item.into(), folding), expected, "{}", item);
            }
            let list = ValueList::of(values.clone());
            let is_in = |value: &Value, others: &[Value]| others.iter().any(|one| json::equal(one, value));
            prop_assert_eq!(list.contains_any_of(&items), items.iter().any(|item| is_in(item, &values)));
            prop_assert_eq!(list.is_within(&items), values.iter().all(|value| is_in(value, &items)));
        }

        #[test]
        fn a_pk_is_found_in_a_list_of_any_length(
            pks in prop::collection::vec("[ab]{0,3}", 0..12),
            pk in "[ab]{0,3}",
        ) {
            let expected = pks.contains(&pk);
            prop_assert_eq!(PkList::from(pks).contains_pk(&pk), expected);
        }
    }
}

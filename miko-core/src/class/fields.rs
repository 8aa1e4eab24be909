//! The fields of a class or a hash, in their order and by their names.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::field::Field;

/// Fields in their order. No two have the same name.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// Each is shared by the class that declares it and all of its subclasses.
    list: Vec<Arc<NamedField>>,
    /// The positions of the fields in the order of their names, if they are too many for a linear search.
    by_name: Box<[usize]>,
}

/// A field with its name.
#[derive(Debug)]
pub(super) struct NamedField {
    pub(super) name: String,
    pub(super) field: Field,
    /// The text of the member that the default makes, once it was needed.
    default_member: OnceLock<String>,
}

impl NamedField {
    /// The text of the member that the default makes.
    pub(super) fn default_member(&self) -> Option<&str> {
        let default = self.field.default.as_ref()?;
        let text = || format!("{}:{default}", Value::from(self.name.as_str()));
        Some(self.default_member.get_or_init(text))
    }
}

/// Up to this number of fields, a linear search is faster.
const LINEAR_SCAN_MAX: usize = 16;

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The fields in their order.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.shared().map(|field| (field.name.as_str(), &field.field))
    }

    /// As [`iter`](Self::iter), for those who share the fields.
    #[inline]
    pub(super) fn shared(&self) -> std::slice::Iter<'_, Arc<NamedField>> {
        self.list.iter()
    }

    /// The text of the member that the default of the field at a position makes.
    pub(super) fn default_member(&self, position: usize) -> Option<&str> {
        self.list.get(position)?.default_member()
    }

    /// The field with a name.
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        let position = if self.list.len() <= LINEAR_SCAN_MAX {
            self.list.iter().position(|field| field.name == name)?
        } else {
            let name_at = |position: &usize| self.list[*position].name.as_str();
            self.by_name[self.by_name.binary_search_by(|position| name_at(position).cmp(name)).ok()?]
        };
        Some(&self.list[position].field)
    }

    /// Whether there is a field with this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl FromIterator<Arc<NamedField>> for Fields {
    fn from_iter<I: IntoIterator<Item = Arc<NamedField>>>(fields: I) -> Self {
        let list: Vec<_> = fields.into_iter().collect();
        let mut by_name = Vec::new();
        if list.len() > LINEAR_SCAN_MAX {
            by_name.extend(0..list.len());
            by_name.sort_unstable_by_key(|&position: &usize| list[position].name.as_str());
        }
        Self { list, by_name: by_name.into() }
    }
}

impl FromIterator<(String, Field)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Field)>>(fields: I) -> Self {
        let named = |(name, field)| Arc::new(NamedField { name, field, default_member: OnceLock::new() });
        fields.into_iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_are_found_by_their_names() {
        for count in [0, 1, LINEAR_SCAN_MAX, LINEAR_SCAN_MAX + 1, 100] {
            let name = |n: usize| format!("{}", (n * 7919) % 1000);
            let field = |n: usize| (name(n), Field { required: n.is_multiple_of(3), ..Field::default() });
            let fields: Fields = (0..count).map(field).collect();
            assert!(fields.iter().map(|(name, _)| name).eq((0..count).map(name)), "{count}");
            assert_eq!(fields.is_empty(), count == 0);
            for n in 0..count {
                assert_eq!(
                    fields.get(&name(n)).map(|field| field.required),
                    Some(n % 3 == 0),
                    "{n} of {count}"
                );
            }
            assert!(!fields.contains("x") && !fields.contains(""), "{count}");
        }
    }
}

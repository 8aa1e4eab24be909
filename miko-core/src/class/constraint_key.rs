//! The values of a record that a constraint is about, as the key of an index.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::catalog::Class;
use super::constraint::Constraint;
use super::definition::FieldPath;
use super::field::{Field, FieldType};
use super::reference::pk_of;
use crate::json::{key_of, members};

impl Class {
    /// Is the field one that points at a record?
    pub(crate) fn is_reference(&self, path: &FieldPath) -> bool {
        self.field(path).is_some_and(Field::is_reference)
    }

    /// The values that a constraint is about, as a key; `None` where one of them is null or absent.
    pub(crate) fn key(&self, constraint: &Constraint, bucket: &Map<String, Value>) -> Option<String> {
        let value = |path: &FieldPath| {
            let value = value_at(bucket, path)?;
            // A reference is the same value in both of its spellings.
            let pk = if self.is_reference(path) { pk_of(value) } else { None };
            Some(pk.map_or(Cow::Borrowed(value), |pk| Cow::Owned(pk.into())))
        };
        let values: Vec<Cow<'_, Value>> = constraint.fields.iter().map(value).collect::<Option<_>>()?;
        Some(key_of(&values.iter().map(|value| &**value).collect::<Vec<_>>()))
    }

    /// The field that keys lead to.
    fn field(&self, path: &[String]) -> Option<&Field> {
        let mut fields = &self.fields;
        let (last, parents) = path.split_last()?;
        let find =
            |fields: &'_ [(String, Field)], key: &String| fields.iter().position(|(name, _)| name == key);
        for key in parents {
            match &fields[find(fields, key)?].1.field_type {
                FieldType::Hash(hash) => fields = &hash.fields,
                _ => return None,
            }
        }
        Some(&fields[find(fields, last)?].1)
    }
}

/// The value at `path`, unless it is null.
fn value_at<'v>(bucket: &'v Map<String, Value>, path: &[String]) -> Option<&'v Value> {
    let (last, parents) = path.split_last()?;
    let mut map = bucket;
    for key in parents {
        map = members::get(map, key)?.as_object()?;
    }
    members::get(map, last).filter(|value| !value.is_null())
}

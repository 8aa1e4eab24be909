//! The index key of a record under a constraint: a text that stands for the values of the record in the
//! fields of the constraint, and is stored in their place (see [`IndexKey`]).

use serde_json::{Map, Value};

use super::catalog::Class;
use super::constraint::{Constraint, FieldPath};
use super::field::{Field, FieldType};
use super::reference::pk_of;
use crate::json::{IndexKey, members};

impl Class {
    /// Whether the field at a path is declared as a reference.
    pub(crate) fn is_reference(&self, path: &FieldPath) -> bool {
        self.field(path).is_some_and(Field::is_reference)
    }

    /// The index key of the values that a bucket has in the fields of a constraint; `None` if one of them is
    /// null or absent.
    pub(crate) fn key(&self, constraint: &Constraint, bucket: &Map<String, Value>) -> Option<String> {
        let mut key = IndexKey::new();
        for path in &constraint.fields {
            let value = value_at(bucket, path)?;
            // A reference that is written as a string has the same key as one that is written as `{"pk": …}`.
            match pk_of(value).filter(|_| self.is_reference(path)) {
                Some(pk) => key.push(&pk.into()),
                None => key.push(value),
            }
        }
        Some(key.into_text())
    }

    /// The field at a path; `None` if the class declares no field there.
    fn field(&self, path: &[String]) -> Option<&Field> {
        let mut fields = &self.fields;
        let (last, parents) = path.split_last()?;
        for key in parents {
            match &fields.get(key)?.field_type {
                FieldType::Hash(hash) => fields = &hash.fields,
                _ => return None,
            }
        }
        fields.get(last)
    }
}

/// The value at `path`; `None` if it is null or absent.
fn value_at<'v>(bucket: &'v Map<String, Value>, path: &[String]) -> Option<&'v Value> {
    let (last, parents) = path.split_last()?;
    let mut map = bucket;
    for key in parents {
        map = members::get(map, key)?.as_object()?;
    }
    members::get(map, last).filter(|value| !value.is_null())
}

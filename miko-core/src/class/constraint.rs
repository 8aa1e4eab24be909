//! What a class says about its records as a whole: which values are unique, and which are indexed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::catalog::Class;
use super::definition::{Definition, FieldPath};
use super::field::{Field, FieldType};
use super::reference::pk_of;
use crate::json::{key_of, members};

/// Values of the records of a class and its subclasses that an engine keeps in an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Constraint {
    pub(crate) kind: ConstraintKind,
    /// The class that declares it.
    pub(crate) class: String,
    pub(crate) fields: Vec<FieldPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ConstraintKind {
    /// No two active records have the same tuple. One that holds a null is exempt.
    Unique,
    /// The same, and no update changes it.
    Join,
    /// Queries find records by it.
    Index,
}

impl ConstraintKind {
    /// The name under which it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Join => "join",
            Self::Index => "index",
        }
    }
}

impl Constraint {
    /// The fields as messages name them: `rank, name.surname`.
    pub(crate) fn describe(&self) -> String {
        let names: Vec<String> = self.fields.iter().map(|path| path.join(".")).collect();
        names.join(", ")
    }
}

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

/// What a definition declares, fields first.
pub(super) fn declared_constraints(definition: &Definition) -> Vec<Constraint> {
    let class = &definition.name;
    let mut constraints = Vec::new();
    for (name, field) in &definition.fields {
        collect(class, field, vec![name.clone()], &mut constraints);
    }
    let tuples = definition.uniques.iter().map(|fields| (ConstraintKind::Unique, fields.clone()));
    let join = (!definition.join.is_empty()).then(|| (ConstraintKind::Join, definition.join.clone()));
    constraints.extend(tuples.chain(join).map(|(kind, fields)| Constraint {
        kind,
        class: class.clone(),
        fields,
    }));
    constraints
}

/// What a field and its sub-fields declare.
fn collect(class: &str, field: &Field, path: FieldPath, constraints: &mut Vec<Constraint>) {
    let of = |kind| Constraint { kind, class: class.to_owned(), fields: vec![path.clone()] };
    if field.unique {
        constraints.push(of(ConstraintKind::Unique));
    } else if field.index {
        constraints.push(of(ConstraintKind::Index));
    }
    if let FieldType::Hash(hash) = &field.field_type {
        for (name, sub_field) in &hash.fields {
            let path = path.iter().cloned().chain([name.clone()]).collect();
            collect(class, sub_field, path, constraints);
        }
    }
}

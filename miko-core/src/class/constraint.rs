//! What a class says about its records as a whole: which values are unique, and which are indexed.

use super::definition::{Definition, FieldPath};
use super::field::{Field, FieldType};

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

//! Constraints on the records of a class: unique values, joins and indexes.

use std::sync::Arc;

use super::field::{Field, FieldType, Fields};

/// The path of a field: the keys that lead to it from the bucket.
pub(crate) type FieldPath = Vec<String>;

/// A constraint on the tuple of some fields, in the records of a class and its subclasses. An engine keeps
/// the tuples in an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Constraint {
    pub(crate) kind: ConstraintKind,
    /// The class that declares the constraint.
    pub(crate) class: String,
    pub(crate) fields: Vec<FieldPath>,
}

/// The rule of a constraint for the tuple of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ConstraintKind {
    /// No two active records have the same tuple. A tuple with a null or absent value is exempt.
    Unique,
    /// As `Unique`, but every value is required, and no update may change the tuple.
    Join,
    /// No rule. The index lets queries look the tuple up.
    Index,
}

impl ConstraintKind {
    /// The name of the kind, as the database stores it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Join => "join",
            Self::Index => "index",
        }
    }
}

impl Constraint {
    /// The fields as error messages show them: `rank, name.surname`.
    pub(crate) fn describe(&self) -> String {
        let names: Vec<String> = self.fields.iter().map(|path| path.join(".")).collect();
        names.join(", ")
    }
}

/// The constraints that a class declares: those of single fields first, then its `uniques` and its `join`.
/// `join` is empty if the class declares none.
pub(super) fn declared_constraints(
    class: &str,
    fields: &Fields,
    uniques: Vec<Vec<FieldPath>>,
    join: Vec<FieldPath>,
) -> Vec<Arc<Constraint>> {
    let mut constraints = Vec::new();
    for (name, field) in fields.iter() {
        collect_of_field(class, field, vec![name.to_owned()], &mut constraints);
    }
    let tuples = uniques.into_iter().map(|fields| (ConstraintKind::Unique, fields));
    let join = (!join.is_empty()).then_some((ConstraintKind::Join, join));
    constraints.extend(tuples.chain(join).map(|(kind, fields)| Constraint {
        kind,
        class: class.to_owned(),
        fields,
    }));
    constraints.into_iter().map(Arc::new).collect()
}

/// Collects the constraints that a field and its sub-fields declare. Elements of arrays and hashes have none.
fn collect_of_field(class: &str, field: &Field, path: FieldPath, constraints: &mut Vec<Constraint>) {
    let constraint = |kind| Constraint { kind, class: class.to_owned(), fields: vec![path.clone()] };
    if field.unique {
        // The index of a unique constraint serves queries, too, so `index` adds nothing to it.
        constraints.push(constraint(ConstraintKind::Unique));
    } else if field.index {
        constraints.push(constraint(ConstraintKind::Index));
    }
    if let FieldType::Hash(hash) = &field.field_type {
        for (name, sub_field) in hash.fields.iter() {
            let path = path.iter().cloned().chain([name.to_owned()]).collect();
            collect_of_field(class, sub_field, path, constraints);
        }
    }
}

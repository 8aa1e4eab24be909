//! The plan of a select: the access path to its records, and the predicates that each record of the path must
//! still satisfy.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::ids::{ClassId, ConstraintId};
use crate::class::{Class, Constraint};
use crate::query::{PathTest, SelectRequest};

/// How a select is executed with the classes that are in force.
#[derive(Debug)]
pub(crate) struct Plan<'q> {
    pub(crate) select: &'q SelectRequest,
    pub(crate) access_path: AccessPath<'q>,
    /// The predicates that each record of the access path must still satisfy. Predicates that the access path
    /// implies are left out. With a residual filter, further conditions of the select may be left out as
    /// well, and storage need not apply any predicate.
    pub(crate) predicates: Vec<Predicate<'q>>,
    /// `None` if storage filters, sorts and limits the records. Otherwise the plan has a residual filter, and
    /// this is the reason: storage returns candidates, and the evaluator (`query/evaluate.rs`) filters, sorts
    /// and limits them.
    pub(crate) residual_filter_reason: Option<&'static str>,
}

/// How storage finds the records that a select may return.
#[derive(Debug)]
pub(crate) enum AccessPath<'q> {
    Everything,
    /// The records with these pks: those of the select, or the union of several lists.
    Pks(Cow<'q, [String]>),
    /// The members of any of these classes.
    Members(Classes<'q>),
    Index(IndexLookup),
}

/// A condition on one record.
#[derive(Debug)]
pub(crate) enum Predicate<'q> {
    Classes(Classes<'q>),
    Pks(&'q [String]),
    Path(&'q PathTest),
    All(Vec<Predicate<'q>>),
    Any(Vec<Predicate<'q>>),
    Not(Box<Predicate<'q>>),
}

/// Classes of a request.
#[derive(Debug)]
pub(crate) struct Classes<'q> {
    pub(crate) names: &'q [String],
    /// The ids of these classes and all their subclasses, as far as any record has used them.
    pub(crate) ids: Vec<ClassId>,
}

/// The lookup of some values of one field in the index entries of a constraint on this field alone. The
/// constraint may be an index, a unique constraint or a join.
#[derive(Debug, Clone)]
pub(crate) struct IndexLookup {
    pub(crate) constraint: ConstraintId,
    /// The index keys of the values, as the [index entries](super::write_set::IndexEntry) have them.
    pub(crate) keys: Vec<String>,
    /// Whether the constraint makes values unique (`unique`, `uniques` or `join`), or only indexes them.
    pub(crate) is_unique: bool,
    /// The class of the select, which declares the constraint or inherits it.
    pub(crate) class: Arc<Class>,
    /// The position of the constraint among those of `class`.
    pub(crate) position: usize,
}

impl<'q> Plan<'q> {
    /// A plan for all records of an access path, in order of creation. `everything` is an empty request: it
    /// has no conditions, no sort keys and no limit.
    pub(crate) fn of_access_path(everything: &'q SelectRequest, access_path: AccessPath<'q>) -> Self {
        Self { select: everything, access_path, predicates: Vec::new(), residual_filter_reason: None }
    }
}

impl IndexLookup {
    /// Whether this looks up one key of a constraint that is not unique. If so, each record has at most one
    /// matching entry, and no duplicates have to be removed.
    ///
    /// For a unique constraint, a record may have two matching entries. If a platter has an own bucket, the
    /// unique value comes from the own bucket, and the value of the shared bucket is an indexed value. The
    /// lookup reads both, and both may have the same key.
    pub(crate) fn has_one_nonunique_key(&self) -> bool {
        !self.is_unique && self.keys.len() == 1
    }

    /// The constraint, as the class declares it.
    pub(crate) fn constraint(&self) -> &Constraint {
        &self.class.constraints[self.position]
    }

    /// The name of the index in explanations: the class that declares the constraint, and its field.
    pub(crate) fn name(&self) -> String {
        let constraint = self.constraint();
        format!("{}: {}", constraint.class, Value::from(constraint.fields[0].clone()))
    }
}

impl AccessPath<'_> {
    /// The name of the index, if the path is an index lookup.
    pub(crate) fn index_name(&self) -> Option<String> {
        match self {
            Self::Index(lookup) => Some(lookup.name()),
            _ => None,
        }
    }
}

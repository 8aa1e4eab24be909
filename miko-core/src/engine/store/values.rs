//! The index of the values of a record: what is unique, and what queries look up.

use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind};
use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::tables::Tables;
use crate::error::{ErrorId, ErrorItem, Result};
use crate::json::pointer::PointerToken;
use crate::stack;

/// A class of a record, and the bucket that it is about: that of its platter, or the one they share.
pub(super) struct Facet<'r> {
    pub(super) class: &'r str,
    pub(super) bucket: &'r Map<String, Value>,
    /// The key of the platter, if the bucket is its own.
    platter: Option<&'r str>,
}

impl Facet<'_> {
    /// Where its bucket is in the record, as a JSON pointer.
    pub(super) fn pointer(&self) -> String {
        match self.platter {
            None => "/bucket".to_owned(),
            Some(key) => format!("/stack{}/bucket", PointerToken(key)),
        }
    }
}

/// The facets of a record.
pub(super) fn facets<'r>(stack: &'r Map<String, Value>, shared: &'r Map<String, Value>) -> Vec<Facet<'r>> {
    let facet = |(key, platter): (&'r String, &'r Value)| {
        let class = platter.get("class")?.as_str()?;
        let private = platter.get("bucket").and_then(Value::as_object);
        Some(Facet { class, bucket: private.unwrap_or(shared), platter: private.map(|_| key.as_str()) })
    };
    stack.iter().filter_map(facet).collect()
}

impl<T: Tables> Store<T> {
    /// Is anything about the values of such a record kept in an index?
    pub(super) fn is_indexed(&self, stack: &Map<String, Value>) -> bool {
        stack::classes(stack).into_iter().any(|name| {
            let class = self.catalog.class(name);
            name == crate::uns::CLASS
                || class.is_some_and(|class| !class.constraints.is_empty() || class.holds_references)
        })
    }

    /// Enters the values of a record. Each that another record has already is a fault.
    pub(super) fn index_values(
        &mut self,
        seq: i64,
        stack: &Map<String, Value>,
        shared: &Map<String, Value>,
        faults: &mut FaultList,
    ) -> Result<()> {
        let catalog = self.catalog.clone();
        for facet in facets(stack, shared) {
            let Some(class) = catalog.class(facet.class) else { continue };
            for (constraint, &id) in class.constraints.iter().zip(&*self.tables.constraint_ids(class)?) {
                if constraint.kind == ConstraintKind::Index {
                    // Queries look at the bucket that all platters share.
                    if let Some(key) = class.key(constraint, shared) {
                        self.tables.enter_indexed(id, &key, seq)?;
                    }
                    continue;
                }
                if let Some(key) = class.key(constraint, facet.bucket) {
                    faults.extend(self.enter_unique(id, &key, seq, constraint)?);
                }
                if facet.platter.is_some()
                    && let Some(key) = class.key(constraint, shared)
                {
                    self.tables.enter_indexed(id, &key, seq)?;
                }
            }
            if class.holds_references {
                let references = catalog.references(facet.class, facet.bucket, &facet.pointer());
                self.point(seq, facet.class, references)?;
            }
        }
        Ok(())
    }

    /// Takes the values of a record out of the index, as they were entered by the classes of `catalog`.
    pub(super) fn unindex_values(
        &mut self,
        seq: i64,
        stack: &Map<String, Value>,
        shared: &Map<String, Value>,
        catalog: &Catalog,
    ) -> Result<()> {
        let mut points = false;
        for facet in facets(stack, shared) {
            let Some(class) = catalog.class(facet.class) else { continue };
            for (constraint, &id) in class.constraints.iter().zip(&*self.tables.constraint_ids(class)?) {
                if let Some(key) = class.key(constraint, facet.bucket) {
                    self.tables.leave_unique(id, &key, seq)?;
                }
                if let Some(key) = class.key(constraint, shared) {
                    self.tables.leave_indexed(id, &key, seq)?;
                }
            }
            points |= class.holds_references;
        }
        if points {
            self.tables.unpoint(seq)?;
        }
        Ok(())
    }

    /// The pk of the record that has a unique value, and its number.
    pub(super) fn holder(&self, constraint_id: i64, key: &str) -> Result<Option<(i64, String)>> {
        let Some(seq) = self.tables.holder(constraint_id, key)? else { return Ok(None) };
        Ok(self.tables.row(seq)?.map(|row| (seq, row.pk)))
    }

    /// Enters a unique value, or says who has it.
    pub(super) fn enter_unique(
        &mut self,
        id: i64,
        key: &str,
        seq: i64,
        constraint: &Constraint,
    ) -> Result<Option<ErrorItem>> {
        if self.tables.enter_unique(id, key, seq)? {
            return Ok(None);
        }
        match self.holder(id, key)? {
            // The record itself, by another of its platters.
            Some((holder, _)) if holder == seq => Ok(None),
            holder => Ok(Some(unique_violation(constraint, holder.map(|(_, pk)| pk)))),
        }
    }
}

/// The fault of a record whose unique value another record has.
pub(super) fn unique_violation(constraint: &Constraint, other: Option<String>) -> ErrorItem {
    let message = format!("another record of `{}` has the same {}", constraint.class, constraint.describe());
    ErrorItem::new(ErrorId::UNIQUE_VIOLATION, message)
        .with("class", constraint.class.as_str())
        .with("fields", constraint.fields.iter().map(|path| path.join(".")).collect::<Vec<_>>())
        .with("other", other)
}

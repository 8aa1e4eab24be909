//! The index of the values of a record: what is unique, and what queries look up.

use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind};
use crate::engine::sqlite::store::Store;
use crate::error::{ErrorId, ErrorItem, Result};
use crate::json::pointer::Step;
use crate::query::stack;

/// A class of a record, and the bucket that it is about: that of its platter, or the one they share.
pub(super) struct Facet<'r> {
    pub(super) class: &'r str,
    pub(super) bucket: &'r Map<String, Value>,
    /// The key of the platter, if the bucket is its own.
    platter: Option<&'r str>,
}

impl Facet<'_> {
    /// Where its bucket is in the record, as a JSON pointer.
    fn pointer(&self) -> String {
        match self.platter {
            None => "/bucket".to_owned(),
            Some(key) => format!("/stack{}/bucket", Step(key)),
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

impl Store {
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
        faults: &mut Vec<ErrorItem>,
    ) -> Result<()> {
        let catalog = self.catalog.clone();
        for facet in facets(stack, shared) {
            let Some(class) = catalog.class(facet.class) else { continue };
            for (constraint, &id) in class.constraints.iter().zip(&*self.constraint_ids(class)?) {
                if constraint.kind == ConstraintKind::Index {
                    // Queries look at the bucket that all platters share.
                    if let Some(key) = class.key(constraint, shared) {
                        self.enter_indexed(id, &key, seq)?;
                    }
                    continue;
                }
                if let Some(key) = class.key(constraint, facet.bucket) {
                    faults.extend(self.enter_unique(id, &key, seq, constraint)?);
                }
                if facet.platter.is_some()
                    && let Some(key) = class.key(constraint, shared)
                {
                    self.enter_indexed(id, &key, seq)?;
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
        &self,
        seq: i64,
        stack: &Map<String, Value>,
        shared: &Map<String, Value>,
        catalog: &Catalog,
    ) -> Result<()> {
        const UNIQUE: &str = "DELETE FROM unique_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        const INDEXED: &str =
            "DELETE FROM indexed_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        const REFERENCES: &str = "DELETE FROM reference WHERE seq = ?1";
        let mut points = false;
        for facet in facets(stack, shared) {
            let Some(class) = catalog.class(facet.class) else { continue };
            for (constraint, &id) in class.constraints.iter().zip(&*self.constraint_ids(class)?) {
                for (sql, bucket) in [(UNIQUE, facet.bucket), (INDEXED, shared)] {
                    if let Some(key) = class.key(constraint, bucket) {
                        self.connection.prepare_cached(sql)?.execute(params![id, key, seq])?;
                    }
                }
            }
            points |= class.holds_references;
        }
        if points {
            self.connection.prepare_cached(REFERENCES)?.execute([seq])?;
        }
        Ok(())
    }

    /// The pk of the record that has a unique value.
    pub(super) fn holder(&self, constraint_id: i64, key: &str) -> Result<Option<(i64, String)>> {
        const SQL: &str = "SELECT seq, pk FROM unique_value JOIN record USING (seq) \
                           WHERE constraint_id = ?1 AND value = ?2";
        let mut statement = self.connection.prepare_cached(SQL)?;
        Ok(statement
            .query_row(params![constraint_id, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    fn enter_indexed(&self, id: i64, key: &str, seq: i64) -> Result<()> {
        const SQL: &str =
            "INSERT OR IGNORE INTO indexed_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(SQL)?.execute(params![id, key, seq])?;
        Ok(())
    }

    /// Enters a unique value, or says who has it.
    pub(super) fn enter_unique(
        &self,
        id: i64,
        key: &str,
        seq: i64,
        constraint: &Constraint,
    ) -> Result<Option<ErrorItem>> {
        const SQL: &str =
            "INSERT OR IGNORE INTO unique_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        if self.connection.prepare_cached(SQL)?.execute(params![id, key, seq])? == 1 {
            return Ok(None);
        }
        match self.holder(id, key)? {
            // The record itself, by another of its platters.
            Some((holder, _)) if holder == seq => Ok(None),
            holder => {
                let message = format!(
                    "another record of `{}` has the same {}",
                    constraint.class,
                    constraint.describe()
                );
                let item = ErrorItem::new(ErrorId::UNIQUE_VIOLATION, message)
                    .with("class", constraint.class.as_str())
                    .with("fields", constraint.fields.iter().map(|path| path.join(".")).collect::<Vec<_>>());
                Ok(Some(item.with("other", holder.map(|(_, pk)| pk))))
            }
        }
    }
}

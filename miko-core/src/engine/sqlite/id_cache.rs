//! The ids of classes and constraints, cached.
//!
//! Looking an id up costs as much as the small statement that needs it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rusqlite::params;
use serde_json::Value;

use crate::class::{Class, Constraint};
use crate::engine::sqlite::Sqlite;
use crate::error::Result;

/// Ids that were looked up or inserted. A rollback clears the cache, because it may undo inserts.
#[derive(Debug, Default)]
pub(super) struct IdCache {
    classes: HashMap<String, i64, RandomState>,
    /// The ids of the constraints of a class, in the order of the constraints.
    constraints: HashMap<String, Arc<[i64]>, RandomState>,
}

impl IdCache {
    /// Clears the ids of constraints, because the constraints of a class have changed.
    pub(super) fn clear_constraints(&mut self) {
        self.constraints.clear();
    }
}

impl Sqlite {
    /// Returns the id of a class. Inserts the class if no record has used it before.
    pub(super) fn class_id_or_insert(&self, class: &str) -> Result<i64> {
        if let Some(id) = self.find_class_id(class)? {
            return Ok(id);
        }
        self.connection.execute("INSERT INTO class (uns) VALUES (?1)", [class])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Returns the id of a class, if any record has used it.
    pub(super) fn find_class_id(&self, class: &str) -> Result<Option<i64>> {
        const FIND: &str = "SELECT id FROM class WHERE uns = ?1";
        if let Some(id) = self.ids.borrow().classes.get(class) {
            return Ok(Some(*id));
        }
        let found = self.connection.query_optional(FIND, [class], |row| row.get(0))?;
        if let Some(id) = found {
            self.ids.borrow_mut().classes.insert(class.to_owned(), id);
        }
        Ok(found)
    }

    /// Returns the ids of the constraints of a class, in their order. Inserts the missing ones.
    pub(super) fn constraint_ids_or_insert(&self, class: &Class) -> Result<Arc<[i64]>> {
        let name = &class.definition.name;
        if let Some(ids) = self.ids.borrow().constraints.get(name) {
            return Ok(Arc::clone(ids));
        }
        let ids: Arc<[i64]> =
            class.constraints.iter().map(|one| self.constraint_id_or_insert(one)).collect::<Result<_>>()?;
        self.ids.borrow_mut().constraints.insert(name.clone(), Arc::clone(&ids));
        Ok(ids)
    }

    /// Returns the id of the constraint at `index` among those of the class, if it has an id.
    pub(super) fn cached_constraint_id(&self, class: &Class, index: usize) -> Result<Option<i64>> {
        let name = &class.definition.name;
        if let Some(ids) = self.ids.borrow().constraints.get(name) {
            return Ok(Some(ids[index]));
        }
        let ids: Option<Arc<[i64]>> = class
            .constraints
            .iter()
            .map(|one| self.find_constraint_id(one).transpose())
            .collect::<Option<Result<_>>>()
            .transpose()?;
        match ids {
            Some(ids) => {
                let found = ids[index];
                self.ids.borrow_mut().constraints.insert(name.clone(), ids);
                Ok(Some(found))
            }
            None => self.find_constraint_id(&class.constraints[index]),
        }
    }

    /// Returns the id of a constraint. Inserts the constraint if it is missing.
    pub(super) fn constraint_id_or_insert(&self, constraint: &Constraint) -> Result<i64> {
        const ADD: &str = "INSERT INTO class_constraint (class, kind, fields) VALUES (?1, ?2, ?3)";
        if let Some(id) = self.find_constraint_id(constraint)? {
            return Ok(id);
        }
        let values = params![constraint.class, constraint.kind.as_str(), fields_text(constraint)];
        self.connection.execute(ADD, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    fn find_constraint_id(&self, constraint: &Constraint) -> Result<Option<i64>> {
        const FIND: &str = "SELECT id FROM class_constraint WHERE class = ?1 AND kind = ?2 AND fields = ?3";
        let values = params![constraint.class, constraint.kind.as_str(), fields_text(constraint)];
        self.connection.query_optional(FIND, values, |row| row.get(0))
    }
}

/// The fields of a constraint in the form that the table stores.
fn fields_text(constraint: &Constraint) -> String {
    constraint.fields.iter().cloned().map(Value::from).collect::<Value>().to_string()
}

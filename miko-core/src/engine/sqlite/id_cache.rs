//! The numbers that the store gives to classes and constraints.
//!
//! They are kept once they are known: looking one up costs as much as the small statement that needs it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rusqlite::params;
use serde_json::Value;

use crate::class::{Class, Constraint};
use crate::engine::sqlite::Sqlite;
use crate::error::Result;

/// Ids that have been looked up or given out. A rollback drops those that its transaction gave out.
#[derive(Debug, Default)]
pub(super) struct IdCache {
    classes: HashMap<String, i64, RandomState>,
    /// Those of the constraints of a class, in their order.
    constraints: HashMap<String, Arc<[i64]>, RandomState>,
}

impl IdCache {
    /// Forgets the constraints: some class now has others.
    pub(super) fn clear_constraints(&mut self) {
        self.constraints.clear();
    }
}

impl Sqlite {
    /// The number of a class, which it gets if no record has used it before.
    pub(super) fn class_id_or_insert(&self, class: &str) -> Result<i64> {
        if let Some(id) = self.find_class_id(class)? {
            return Ok(id);
        }
        self.connection.execute("INSERT INTO class (uns) VALUES (?1)", [class])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// The number of a class, if any record has used it.
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

    /// The numbers of the constraints of a class, in their order. Those that have none yet get one.
    pub(super) fn numbers_of_constraints(&self, class: &Class) -> Result<Arc<[i64]>> {
        let name = &class.definition.name;
        if let Some(ids) = self.ids.borrow().constraints.get(name) {
            return Ok(Arc::clone(ids));
        }
        let ids: Arc<[i64]> =
            class.constraints.iter().map(|one| self.constraint_id(one)).collect::<Result<_>>()?;
        self.ids.borrow_mut().constraints.insert(name.clone(), Arc::clone(&ids));
        Ok(ids)
    }

    /// The number of one constraint of a class, by its place among them, if it has a number.
    pub(super) fn number_of_constraint(&self, class: &Class, index: usize) -> Result<Option<i64>> {
        let name = &class.definition.name;
        if let Some(ids) = self.ids.borrow().constraints.get(name) {
            return Ok(Some(ids[index]));
        }
        let ids: Option<Arc<[i64]>> = class
            .constraints
            .iter()
            .map(|one| self.stored_constraint(one).transpose())
            .collect::<Option<Result<_>>>()
            .transpose()?;
        match ids {
            Some(ids) => {
                let found = ids[index];
                self.ids.borrow_mut().constraints.insert(name.clone(), ids);
                Ok(Some(found))
            }
            None => self.stored_constraint(&class.constraints[index]),
        }
    }

    /// The number of a constraint, which it gets if it has none yet.
    pub(super) fn constraint_id(&self, constraint: &Constraint) -> Result<i64> {
        const ADD: &str = "INSERT INTO class_constraint (class, kind, fields) VALUES (?1, ?2, ?3)";
        if let Some(id) = self.stored_constraint(constraint)? {
            return Ok(id);
        }
        let values = params![constraint.class, constraint.kind.as_str(), fields_text(constraint)];
        self.connection.execute(ADD, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    fn stored_constraint(&self, constraint: &Constraint) -> Result<Option<i64>> {
        const FIND: &str = "SELECT id FROM class_constraint WHERE class = ?1 AND kind = ?2 AND fields = ?3";
        let values = params![constraint.class, constraint.kind.as_str(), fields_text(constraint)];
        self.connection.query_optional(FIND, values, |row| row.get(0))
    }
}

/// The fields of a constraint as the table has them.
fn fields_text(constraint: &Constraint) -> String {
    constraint.fields.iter().cloned().map(Value::from).collect::<Value>().to_string()
}

//! What a select goes through: the classes with their subclasses, and an index where a class has one for the path.

use serde_json::Value;

use crate::class::ConstraintKind;
use crate::engine::sqlite::store::Store;
use crate::error::Result;
use crate::json::key_of;
use crate::query::{Condition, Path, Step};

/// How a condition is answered with the classes as they are defined now.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The numbers of the condition's classes with all their subclasses, as far as any record has used them.
    pub(super) classes: Option<Vec<i64>>,
    pub(super) lookup: Option<Lookup>,
}

/// An index that has the records whose field has a value.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) constraint_id: i64,
    pub(super) key: String,
    /// Is it the index of a unique value?
    pub(super) is_unique: bool,
    /// Does it have exactly the records for which the path holds?
    pub(super) is_exact: bool,
    /// Are all its records of the class that is asked for?
    pub(super) is_of_class: bool,
}

impl Store {
    pub(super) fn plan(&self, condition: &Condition) -> Result<Plan> {
        let Some(classes) = &condition.classes else { return Ok(Plan::default()) };
        let mut closure = Vec::new();
        for class in classes.iter().flat_map(|class| self.catalog.with_subclasses(class)) {
            closure.extend(self.find_class(&class)?);
        }
        if classes.len() > 1 {
            closure.sort_unstable();
            closure.dedup();
        }
        let lookup = match (&classes[..], &condition.path) {
            ([class], Some(path)) => self.lookup(class, path)?,
            _ => None,
        };
        Ok(Plan { classes: Some(closure), lookup })
    }

    /// The index of `class` for the path, if it, or an ancestor, declares one. What an index has are values: an absent one
    /// equals null and is in none.
    fn lookup(&self, class: &str, path: &Path) -> Result<Option<Lookup>> {
        let (steps, literal) = path.parts();
        let keys: Option<Vec<&str>> = steps
            .iter()
            .map(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        let (Some(keys), Some(class)) = (keys, self.catalog.class(class)) else { return Ok(None) };
        if literal.is_null() || matches!(literal, Value::Object(_)) {
            return Ok(None);
        }
        let is_for_path = |fields: &[Vec<String>]| matches!(fields, [field] if *field == keys);
        let index = class.constraints.iter().position(|constraint| is_for_path(&constraint.fields));
        let Some(index) = index else { return Ok(None) };
        let Some(constraint_id) = self.find_constraint(class, index)? else { return Ok(None) };
        let constraint = &class.constraints[index];
        let is_unique = constraint.kind != ConstraintKind::Index;
        Ok(Some(Lookup {
            constraint_id,
            key: key_of(&[literal]),
            is_unique,
            // A unique value may be that of a platter's own bucket; a reference may be spelled in two ways.
            is_exact: !is_unique && !class.is_reference(&constraint.fields[0]),
            is_of_class: constraint.class == class.definition.name,
        }))
    }
}

//! Looks up the ids of classes and constraints, and gives out ids to new classes and constraints.

use std::sync::Arc;

use miko_rpc::Result;

use crate::class::{Class, Constraint};
use crate::engine::store::Store;
use crate::storage::Storage;
use crate::storage::ids::{ClassId, ConstraintId};
use crate::storage::write_set::{RowChange, WriteSet};

impl<T: Storage> Store<T> {
    /// The id of a class, or of its pseudo-class, which
    /// [`marker_class`](crate::engine::store::index_entries::marker_class) names. `None` if no record has
    /// ever used the class.
    pub(super) fn find_class_id(&self, class: &str) -> Result<Option<ClassId>> {
        if let Some(id) = self.ids.borrow().classes.get(class) {
            return Ok(Some(*id));
        }
        let found = self.storage.class_id(class)?;
        if let Some(id) = found {
            self.ids.borrow_mut().classes.insert(class.to_owned(), id);
        }
        Ok(found)
    }

    /// The id of a class. If no record has used the class before, the class gets an id, and is added to
    /// `write`. The running write must then apply `write` or fail, since the id cache already has the id. If
    /// the write fails, the id cache is cleared.
    pub(super) fn class_id(&self, class: &str, write: &mut WriteSet) -> Result<ClassId> {
        if let Some(id) = self.find_class_id(class)? {
            return Ok(id);
        }
        let id = self.next_numbers(|last| last.class = last.class.next()).class;
        self.ids.borrow_mut().classes.insert(class.to_owned(), id);
        write.others_mut().classes.push(RowChange::insert(id, class.to_owned()));
        Ok(id)
    }

    /// The ids of the constraints of a class, in the order of the constraints. `None` if one of the
    /// constraints has no id yet. Then no record of the class is stored: the constraints get ids when the
    /// class is defined, or at the latest when its first record is written.
    pub(super) fn find_constraint_ids(&self, class: &Class) -> Result<Option<Arc<[ConstraintId]>>> {
        let name = &class.definition.name;
        if let Some(ids) = self.ids.borrow().constraints.get(name) {
            debug_assert_eq!(ids.len(), class.constraints.len(), "ids of another definition of `{name}`");
            return Ok(Some(Arc::clone(ids)));
        }
        let found = class.constraints.iter().map(|constraint| self.storage.constraint_id(constraint));
        let Some(ids) = found.collect::<Result<Option<Arc<[ConstraintId]>>>>()? else { return Ok(None) };
        self.ids.borrow_mut().constraints.insert(name.clone(), Arc::clone(&ids));
        Ok(Some(ids))
    }

    /// The ids of the constraints of a class, in the order of the constraints. Constraints without an id get
    /// one, and are added to `write`. As in [`class_id`](Self::class_id), the running write must then apply
    /// `write` or fail.
    pub(super) fn constraint_ids(&self, class: &Class, write: &mut WriteSet) -> Result<Arc<[ConstraintId]>> {
        if let Some(ids) = self.find_constraint_ids(class)? {
            return Ok(ids);
        }
        let constraints = class.constraints.iter();
        let ids: Arc<[ConstraintId]> =
            constraints.map(|constraint| self.constraint_id(constraint, write)).collect::<Result<_>>()?;
        self.ids.borrow_mut().constraints.insert(class.definition.name.clone(), Arc::clone(&ids));
        Ok(ids)
    }

    /// The id of a constraint. If the constraint has no id in storage or in `write`, it gets one, and is
    /// added to `write`. Does not use the id cache, which has only the ids of all constraints of a class
    /// together.
    pub(super) fn constraint_id(
        &self,
        constraint: &Constraint,
        write: &mut WriteSet,
    ) -> Result<ConstraintId> {
        if let Some(id) = self.storage.constraint_id(constraint)? {
            return Ok(id);
        }
        // `write` may have added the constraint already: several classes of one record may inherit it.
        let mut added = write.others.iter().flat_map(|others| &others.constraints);
        if let Some(added) = added.find(|change| change.after.as_ref() == Some(constraint)) {
            return Ok(added.key);
        }
        let id = self.next_numbers(|last| last.constraint = last.constraint.next()).constraint;
        write.others_mut().constraints.push(RowChange::insert(id, constraint.clone()));
        Ok(id)
    }
}

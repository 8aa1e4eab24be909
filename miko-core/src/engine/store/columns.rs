//! Columns: cached values at the paths that selects scan.
//!
//! For a condition on a path, or a sort key, SQL calls a function in Rust for each record, which reads the
//! value from the text of the bucket (`storage/sqlite/functions.rs`). A column has the value at one path for
//! each record. A scan passes these values to the same Rust code. If values repeat, each distinct value is
//! tested only once. A column is built when its path is scanned for the second time. Reads of fewer records
//! count in part: the column is built when they add up to two scans. If an earlier column of the path was not
//! worth it, more scans are needed.
//!
//! Storage is authoritative. A write marks the rows that it changes as stale before it is known whether the
//! write succeeds, and the next scan reads these rows anew. So an undone write needs no extra work here. The
//! commit of a caller's transaction marks its rows a second time: the scans of other callers may have read
//! the old state of these rows in between. Inside a running write, or inside a transaction in which a caller
//! has written, no select reads columns: the changes may be undone.
//!
//! | subject | where |
//! | --- | --- |
//! | the values of one column | [`column`] |
//! | a table: the records of a class or all records, and their columns | [`table`] |
//! | finding and sorting records by their columns | [`scan`](mod@scan) |
//! | whether a column is worth building | [`uses`] |
//!
//! [`column_scans`](super::column_scans) builds the tables, and answers selects from them.

mod column;
mod scan;
mod table;
mod uses;

use std::cell::{RefCell, RefMut};

use crate::query::{PathStep, SortBy, path_text};
use crate::storage::ids::RowId;
use crate::storage::plan::{AccessPath, Plan, Predicate};
use crate::storage::write_set::WriteSet;
use uses::PathUses;

pub(super) use scan::scan;
pub(super) use table::{MAX_COLUMNS, Table};
pub(super) use uses::{Effort, Path, Scope};

/// The most tables that are kept. There is a limit since each write visits all of them.
const MAX_TABLES: usize = 64;

/// The columns of a store. When all tables together exceed the size limit, the least recently used ones are
/// dropped.
#[derive(Debug)]
pub(super) struct Columns(RefCell<Content>);

/// The tables, and the counts by which further columns are built.
#[derive(Debug)]
pub(super) struct Content {
    /// In order of their last use, the most recent one at the end.
    tables: Vec<(Scope, Table)>,
    /// How many records selects have examined without columns, by path.
    pub(super) uses: PathUses,
    /// The size limit of all tables together, in bytes; 0 if columns are turned off.
    pub(super) max_size: usize,
}

/// What a select needs to be answered from columns.
#[derive(Debug)]
pub(super) struct Needs {
    /// The scope of the table.
    pub(super) scope: Scope,
    /// The paths of the columns: those of all conditions and sort keys, each once.
    pub(super) paths: Vec<Path>,
    /// How many records the select examines without columns, as far as is known before it runs.
    pub(super) effort: Effort,
}

impl Needs {
    /// What the select of a plan needs. `None` if columns cannot answer it, or if it has no path or too many.
    pub(super) fn of(plan: &Plan<'_>) -> Option<Self> {
        if plan.residual_filter_reason.is_some() {
            return None;
        }
        let scope = match &plan.access_path {
            AccessPath::Everything => None,
            AccessPath::Members(classes) => match classes.names {
                // Without ids, no record has ever used the class or a subclass: there is nothing to scan.
                [class] if !classes.ids.is_empty() => Some(class.clone()),
                _ => return None,
            },
            // The scope is the class that declares the index: the index has entries of all its records.
            AccessPath::Index(lookup) if lookup.has_one_nonunique_key() => {
                Some(lookup.constraint().class.clone())
            }
            AccessPath::Index(_) | AccessPath::Pks(_) => return None,
        };
        let mut paths = Vec::new();
        plan.predicates.iter().try_for_each(|predicate| add_paths(predicate, &mut paths))?;
        for sort in &plan.select.sorts {
            let SortBy::Bucket(path) = &sort.by else { return None };
            add_path(path.steps(), &mut paths);
        }
        let effort = match plan.access_path {
            AccessPath::Index(_) => Effort::Few,
            _ if plan.select.limit.is_some() && plan.select.sorts.is_empty() => Effort::UpToLimit,
            _ => Effort::All,
        };
        (!paths.is_empty() && paths.len() <= MAX_COLUMNS).then_some(Self { scope, paths, effort })
    }
}

/// Adds the paths of a predicate. `None` if the predicate has a condition that is not on a path.
fn add_paths(predicate: &Predicate<'_>, paths: &mut Vec<Path>) -> Option<()> {
    match predicate {
        Predicate::Path(test) => add_path(test.steps(), paths),
        Predicate::All(parts) | Predicate::Any(parts) => {
            parts.iter().try_for_each(|part| add_paths(part, paths))?;
        }
        Predicate::Not(part) => add_paths(part, paths)?,
        Predicate::Classes(_) | Predicate::Pks(_) => return None,
    }
    Some(())
}

fn add_path(path: &[PathStep], paths: &mut Vec<Path>) {
    if !paths.iter().any(|added| added == path) {
        paths.push(path.to_vec());
    }
}

impl Columns {
    /// The default size limit, in bytes.
    pub(super) const DEFAULT_SIZE: usize = 64 << 20;

    /// No columns yet. `max_size` is the size limit in bytes; 0 turns columns off.
    pub(super) fn of_size(max_size: usize) -> Self {
        Self(RefCell::new(Content { tables: Vec::new(), uses: PathUses::default(), max_size }))
    }

    /// The size limit in bytes; 0 if columns are turned off.
    pub(super) fn max_size(&self) -> usize {
        self.0.borrow().max_size
    }

    /// The tables and the counts, for scans. Borrowed mutably: a scan may build columns, and counts selects.
    pub(super) fn content(&self) -> RefMut<'_, Content> {
        self.0.borrow_mut()
    }

    /// Drops all tables and counts, as after a change of the classes or a loss of writes in storage.
    pub(super) fn clear(&self) {
        let mut content = self.0.borrow_mut();
        content.tables.clear();
        content.uses = PathUses::default();
    }

    /// Marks the rows that a write changes as stale, and drops the tables that are then not worth keeping.
    /// `last_row` is the last row of the database.
    pub(super) fn mark_stale(&self, write: &WriteSet, last_row: RowId) {
        let content = &mut *self.0.borrow_mut();
        if content.tables.is_empty() {
            return;
        }
        // The write gives an id to a class, as the first record of each class does. The tables of its
        // superclasses lack the new id, so they would miss the records of the class.
        if write.others.as_ref().is_some_and(|others| !others.classes.is_empty()) {
            content.tables.clear();
        }
        content.tables.retain_mut(|(scope, table)| {
            let is_worth_keeping = table.mark_stale(write);
            if !is_worth_keeping {
                content.uses.note_drop(scope, table.paths(), table.avoided_reads(), last_row);
            }
            is_worth_keeping
        });
    }

    /// The paths of the columns that answer a plan, as JSON. Empty if columns cannot answer the plan, or if a
    /// needed column does not exist.
    pub(super) fn explain(&self, plan: &Plan<'_>) -> Vec<String> {
        let content = self.0.borrow();
        match Needs::of(plan) {
            Some(needs) if content.has_all(&needs) => {
                needs.paths.iter().map(|path| path_text(path)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Content {
    /// Whether a table has all needed columns.
    pub(super) fn has_all(&self, needs: &Needs) -> bool {
        let has_all = |(scope, table): &(Scope, Table)| *scope == needs.scope && table.has_all(&needs.paths);
        self.tables.iter().any(has_all)
    }

    /// Takes the table of this scope out, whatever columns it has; `None` if there is none.
    pub(super) fn take(&mut self, scope: &Scope) -> Option<Table> {
        let index = self.tables.iter().position(|(other, _)| other == scope)?;
        Some(self.tables.remove(index).1)
    }

    /// Puts a table back, as the most recently used one. If it alone exceeds the size limit, it is dropped.
    /// If all tables together exceed the limit, or there are too many, the least recently used ones are
    /// dropped.
    pub(super) fn put(&mut self, scope: Scope, table: Table, last_row: RowId) {
        let mut size = table.size();
        if size > self.max_size {
            self.uses.give_up(&scope, &table.paths().cloned().collect::<Vec<_>>());
            return;
        }
        size += self.tables.iter().map(|(_, table)| table.size()).sum::<usize>();
        while size > self.max_size || self.tables.len() >= MAX_TABLES {
            let (scope, dropped) = self.tables.remove(0);
            size -= dropped.size();
            self.uses.note_drop(&scope, dropped.paths(), dropped.avoided_reads(), last_row);
        }
        self.tables.push((scope, table));
    }
}

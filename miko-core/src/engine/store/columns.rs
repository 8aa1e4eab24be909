//! Columns: the values at the paths that selects scan, beside the rows of their records.
//!
//! SQL evaluates a condition on a path, or a sort key, for each record anew. A column is asked once per
//! distinct value, by the same evaluator. It is built when a path is scanned for the second time.
//!
//! Storage is the truth. A write notes the rows that it changes, before it is known whether it succeeds, and
//! the next scan reads these rows anew. So a write that is undone needs no care. A running write, which may
//! be undone, does not read from columns.

mod column;
mod scan;
mod table;
mod uses;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::slice;

use miko_rpc::{Result, memory};

use crate::engine::store::Store;
use crate::engine::store::stored_json::map;
use crate::query::{PathStep, SelectRequest, SortBy, path_text};
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::plan::{AccessPath, IndexLookup, Plan, Predicate};
use crate::storage::write_set::WriteSet;
use table::{MAX_COLUMNS, Table};
use uses::{Effort, PathUses};

/// The most tables, each of which a write has to look at.
const MAX_TABLES: usize = 64;

/// While a table is built, the memory limit is checked each time that it has grown by this many bytes.
const CHARGED_AT_ONCE: usize = 64 << 10;

/// SQL reads a record among those that it scans in an eighth of the time in which one is found by its row.
const SCANNED_PER_FETCHED: usize = 8;

/// The columns of a store. Tables that were not used lately are dropped when all together exceed the size.
#[derive(Debug)]
pub(super) struct Columns(RefCell<Content>);

#[derive(Debug)]
struct Content {
    /// The one that was used last is last.
    tables: Vec<(Scope, Table)>,
    uses: PathUses,
    /// In bytes; 0 if nothing is kept.
    size: usize,
}

/// The records of a table: those of a class and its subclasses, or all.
type Scope = Option<String>;

/// The steps down from the bucket.
type Path = Vec<PathStep>;

/// What a select asks of columns.
#[derive(Debug)]
pub(super) struct Needs {
    scope: Scope,
    /// Those of all conditions and sort keys, each once.
    paths: Vec<Path>,
    /// What the select examines without columns, as far as is known before.
    effort: Effort,
}

impl Needs {
    /// `None` if columns cannot answer the plan, or have no part in it.
    fn of(plan: &Plan<'_>) -> Option<Self> {
        if plan.residual_filter_reason.is_some() {
            return None;
        }
        let scope = match &plan.source {
            AccessPath::Everything => None,
            AccessPath::Members(classes) => match classes.names {
                // Without ids there are no records.
                [class] if !classes.ids.is_empty() => Some(class.clone()),
                _ => return None,
            },
            AccessPath::Index(lookup) if lookup.is_of_one_key() => Some(lookup.constraint().class.clone()),
            AccessPath::Index(_) | AccessPath::Pks(_) => return None,
        };
        let mut paths = Vec::new();
        plan.filter.iter().try_for_each(|predicate| add_paths(predicate, &mut paths))?;
        for sort in &plan.select.sorts {
            let SortBy::Bucket(path) = &sort.by else { return None };
            add_path(path.steps(), &mut paths);
        }
        let may_end_early = plan.select.limit.is_some() && plan.select.sorts.is_empty();
        let effort = match plan.source {
            AccessPath::Index(_) => Effort::Few,
            _ if may_end_early => Effort::Few,
            _ => Effort::All,
        };
        (!paths.is_empty() && paths.len() <= MAX_COLUMNS).then_some(Self { scope, paths, effort })
    }
}

/// Adds the paths of a predicate. `None` if it asks for something else.
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
    /// In bytes.
    pub(super) const DEFAULT_SIZE: usize = 64 << 20;

    /// No columns yet, and at most this many bytes of them; 0 keeps nothing.
    pub(super) fn of_size(size: usize) -> Self {
        Self(RefCell::new(Content { tables: Vec::new(), uses: PathUses::default(), size }))
    }

    /// The size in bytes; 0 if nothing is kept.
    pub(super) fn size(&self) -> usize {
        self.0.borrow().size
    }

    /// Removes all, as a change of the classes requires.
    pub(super) fn clear(&self) {
        let mut content = self.0.borrow_mut();
        content.tables.clear();
        content.uses = PathUses::default();
    }

    /// Notes the rows that a write changes. `last_row` is the last one of the database.
    pub(super) fn note(&self, write: &WriteSet, last_row: RowId) {
        let content = &mut *self.0.borrow_mut();
        if content.tables.is_empty() {
            return;
        }
        // Records of a class of which there were none: its id belongs to the tables of its superclasses.
        if write.others.as_ref().is_some_and(|others| !others.classes.is_empty()) {
            content.tables.clear();
        }
        content.tables.retain_mut(|(scope, table)| {
            let is_worth_keeping = table.note(write);
            if !is_worth_keeping {
                content.uses.restart(scope, table.paths(), table.saved(), last_row);
            }
            is_worth_keeping
        });
    }

    /// The paths of the columns that are there for a plan, as JSON; none if one is missing.
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
    /// Whether a table has all columns.
    fn has_all(&self, needs: &Needs) -> bool {
        let has_all = |(scope, table): &(Scope, Table)| *scope == needs.scope && table.has_all(&needs.paths);
        self.tables.iter().any(has_all)
    }

    /// Takes the table of this scope out, whatever its columns.
    fn take(&mut self, scope: &Scope) -> Option<Table> {
        let at = self.tables.iter().position(|(of, _)| of == scope)?;
        Some(self.tables.remove(at).1)
    }

    /// Puts a table back, as the one that was used last. Drops this one if it is too large alone, and others
    /// if all together are.
    fn put(&mut self, scope: Scope, table: Table, last_row: RowId) {
        let mut size = table.size();
        if size > self.size {
            self.uses.give_up(&scope, &table.paths().cloned().collect::<Vec<_>>());
            return;
        }
        size += self.tables.iter().map(|(_, table)| table.size()).sum::<usize>();
        while size > self.size || self.tables.len() >= MAX_TABLES {
            let (scope, dropped) = self.tables.remove(0);
            size -= dropped.size();
            self.uses.restart(&scope, dropped.paths(), dropped.saved(), last_row);
        }
        self.tables.push((scope, table));
    }
}

/// What columns say to a select.
pub(super) enum Scanned {
    /// The rows that it finds, in its order.
    Rows(Vec<RowId>),
    /// SQL is to find them. If columns could do so later, [`count_scan`](Store::count_scan) is to be told.
    BySql(Option<Needs>),
}

/// What becomes of the rows that a select finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Their records, at once: SQL answers a select that finds many.
    Records,
    Rows,
}

impl<T: Storage> Store<T> {
    /// The rows that a plan finds, if columns can tell.
    pub(super) fn scan_columns(&self, plan: &Plan<'_>, wanted: Wanted) -> Result<Scanned> {
        let content = &mut *self.columns.0.borrow_mut();
        if content.size == 0 || self.transaction.is_writing() {
            return Ok(Scanned::BySql(None));
        }
        let Some(needs) = Needs::of(plan) else { return Ok(Scanned::BySql(None)) };
        let is_of_index = matches!(plan.source, AccessPath::Index(_));
        let finds_all = plan.filter.is_empty() && plan.select.limit.is_none() && !is_of_index;
        if finds_all && wanted == Wanted::Records {
            return Ok(Scanned::BySql(None));
        }
        let Needs { scope, paths, effort } = &needs;
        let last_row = self.last.get().row;
        if !content.has_all(&needs) && !content.uses.are_due(scope, paths, *effort, last_row) {
            return Ok(Scanned::BySql(Some(needs)));
        }
        let Some(mut table) = self.table(&needs, content)? else { return Ok(Scanned::BySql(None)) };
        let candidates = match &plan.source {
            AccessPath::Index(lookup) => match self.look_up(lookup, &mut table)? {
                Some(positions) => Some(positions),
                // The table lacks a record of the index: it is built anew when it is worth it.
                None => return Ok(Scanned::BySql(Some(needs))),
            },
            _ => None,
        };
        let max_found = match wanted {
            Wanted::Records if !is_of_index => table.rows().len().div_ceil(SCANNED_PER_FETCHED),
            _ => usize::MAX,
        };
        let rows = scan::scan(&table, plan, candidates.as_deref(), max_found);
        table.use_for(paths, effort.records(last_row));
        content.put(needs.scope, table, last_row);
        Ok(rows.map_or(Scanned::BySql(None), Scanned::Rows))
    }

    /// Counts a select for which SQL has found `found` records, for want of columns.
    pub(super) fn count_scan(&self, needs: &Needs, select: &SelectRequest, found: usize) {
        let last_row = self.last.get().row;
        let is_most = found as u64 > last_row.0.unsigned_abs().div_ceil(SCANNED_PER_FETCHED as u64);
        let is_cut = select.limit.is_some_and(|limit| found as u64 >= limit);
        let effort = match needs.effort {
            // SQL would answer it also if there were columns.
            Effort::All if is_most && select.limit.is_none() => return,
            Effort::Few if select.limit.is_some() && select.sorts.is_empty() && !is_cut => Effort::All,
            effort => effort,
        };
        self.columns.0.borrow_mut().uses.count(&needs.scope, &needs.paths, effort, last_row);
    }

    /// The positions of the records that an index has; `None` if the table lacks one.
    fn look_up(&self, lookup: &IndexLookup, table: &mut Table) -> Result<Option<Vec<u32>>> {
        let find = || {
            let (everything, source) = (SelectRequest::default(), AccessPath::Index(lookup.clone()));
            self.storage.select_rows(&Plan::of_source(&everything, source))
        };
        table.look_up(lookup.constraint, &lookup.keys[0], find)
    }

    /// Takes the table with all columns that are needed, as of now. Builds those that are missing. `None` if
    /// that would be too large, or if the table has changed too much.
    fn table(&self, needs: &Needs, content: &mut Content) -> Result<Option<Table>> {
        let Needs { scope, paths, .. } = needs;
        let last_row = self.last.get().row;
        let Some(mut table) = content.take(scope) else {
            let built = self.build_table(scope, paths.clone(), content.size)?;
            if built.is_none() {
                content.uses.give_up(scope, paths);
            }
            return Ok(built);
        };
        if !table.refresh(content.size, &mut self.bucket_reader(scope))? {
            content.uses.restart(scope, table.paths(), table.saved(), last_row);
            return Ok(None);
        }
        let missing: Vec<_> = paths.iter().filter(|path| table.column(path).is_none()).cloned().collect();
        if missing.is_empty() {
            return Ok(Some(table));
        }
        let Some(added) = self.build_table(scope, missing.clone(), content.size)? else {
            content.uses.give_up(scope, &missing);
            content.put(scope.clone(), table, last_row);
            return Ok(None);
        };
        table.make_room(missing.len(), paths);
        if !table.adopt(added) {
            content.uses.restart(scope, table.paths(), table.saved(), last_row);
            return Ok(None);
        }
        if table.size() > content.size {
            // Too large together: the needed ones remain.
            table.make_room(MAX_COLUMNS, paths);
        }
        Ok(Some(table))
    }

    /// Reads the bucket of a row, if it is a record of the scope.
    fn bucket_reader(&self, scope: &Scope) -> impl FnMut(RowId) -> Result<Option<String>> {
        let mut last_stack: Option<(String, bool)> = None;
        move |row| {
            let Some(state) = self.storage.row(row)?.and_then(|row| row.state) else { return Ok(None) };
            let Some(class) = scope else { return Ok(Some(state.bucket)) };
            let is_member = match &last_stack {
                Some((stack, is_member)) if *stack == state.stack => *is_member,
                _ => {
                    let parsed = map(&state.stack)?;
                    let classes = stack::classes(&parsed);
                    let is_of = |name: &&str| self.catalog.is_subclass_of_any(name, slice::from_ref(class));
                    classes.iter().any(is_of)
                }
            };
            last_stack = Some((state.stack, is_member));
            Ok(is_member.then_some(state.bucket))
        }
    }

    /// Builds a table in one scan; `None` if it would exceed `max_size` bytes or the memory limit.
    fn build_table(&self, scope: &Scope, paths: Vec<Path>, max_size: usize) -> Result<Option<Table>> {
        let source = match scope {
            Some(class) => AccessPath::Members(self.classes(slice::from_ref(class))?),
            None => AccessPath::Everything,
        };
        let ids = match &source {
            AccessPath::Members(classes) => Some(classes.ids.clone()),
            _ => None,
        };
        let mut table = Table::of(ids, paths);
        let (mut size, mut charged) = (0, 0);
        let mut is_too_large = false;
        let select = SelectRequest::default();
        self.storage.select(&Plan::of_source(&select, source), &mut |row, record| {
            table.push(row, record.bucket);
            size = table.size();
            is_too_large = size > max_size;
            if size > charged + CHARGED_AT_ONCE {
                is_too_large |= memory::charge(size - charged).is_err();
                charged = size;
            }
            Ok(if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok((!is_too_large).then_some(table))
    }
}

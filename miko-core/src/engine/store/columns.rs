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

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::slice;

use foldhash::fast::RandomState;
use miko_rpc::{Result, memory};

use crate::engine::store::Store;
use crate::engine::store::stored_json::map;
use crate::query::{PathStep, SelectRequest, SortBy, path_text};
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::plan::{AccessPath, IndexLookup, Plan, Predicate};
use crate::storage::write_set::WriteSet;
use table::Table;

/// The scans of a path at which its column is built.
const SCANS: u64 = 2;

/// A column is worth as many lookups of an index as the database has records, divided by this number.
const RECORDS_PER_LOOKUP: u64 = 256;

/// The most paths without a column whose scans are counted.
const MAX_COUNTED: usize = 1024;

/// The number of records after which the size of a table that is being built is checked.
const RECORDS_PER_CHECK: usize = 1024;

/// The columns of a store. Tables that were not used lately are dropped when all together exceed the size.
#[derive(Debug)]
pub(super) struct Columns(RefCell<Content>);

#[derive(Debug)]
struct Content {
    /// The one that was used last is last.
    tables: Vec<(Scope, Table)>,
    /// How often paths without a column were scanned; [`u64::MAX`] for those whose columns are too large.
    scans: HashMap<(Scope, Vec<PathStep>), u64, RandomState>,
    /// In bytes; 0 if nothing is kept.
    size: usize,
}

/// The records of a table: those of a class and its subclasses, or all.
type Scope = Option<String>;

/// What a select asks of columns.
struct Needs {
    scope: Scope,
    /// Those of all conditions and sort keys, each once.
    paths: Vec<Vec<PathStep>>,
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
                [class] => Some(class.clone()),
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
        (!paths.is_empty()).then_some(Self { scope, paths })
    }

    fn key(&self, path: &[PathStep]) -> (Scope, Vec<PathStep>) {
        (self.scope.clone(), path.to_vec())
    }
}

/// Adds the paths of a predicate. `None` if it asks for something else.
fn add_paths(predicate: &Predicate<'_>, paths: &mut Vec<Vec<PathStep>>) -> Option<()> {
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

fn add_path(path: &[PathStep], paths: &mut Vec<Vec<PathStep>>) {
    if !paths.iter().any(|added| added == path) {
        paths.push(path.to_vec());
    }
}

impl Columns {
    /// In bytes.
    pub(super) const DEFAULT_SIZE: usize = 64 << 20;

    /// No columns yet, and at most this many bytes of them; 0 keeps nothing.
    pub(super) fn of_size(size: usize) -> Self {
        Self(RefCell::new(Content { tables: Vec::new(), scans: HashMap::default(), size }))
    }

    /// The size in bytes; 0 if nothing is kept.
    pub(super) fn size(&self) -> usize {
        self.0.borrow().size
    }

    /// Removes all, as a change of the classes requires.
    pub(super) fn clear(&self) {
        let mut content = self.0.borrow_mut();
        content.tables.clear();
        content.scans.clear();
    }

    /// Notes the rows that a write changes.
    pub(super) fn note(&self, write: &WriteSet) {
        let mut content = self.0.borrow_mut();
        if content.tables.is_empty() {
            return;
        }
        // Records of a class of which there were none: its id belongs to the tables of its superclasses.
        if write.others.as_ref().is_some_and(|others| !others.classes.is_empty()) {
            content.tables.clear();
        }
        content.tables.retain_mut(|(_, table)| table.note(write));
    }

    /// The paths of the columns that would answer a plan, as JSON; none if no column would.
    pub(super) fn explain(&self, plan: &Plan<'_>) -> Vec<String> {
        let content = self.0.borrow();
        match Needs::of(plan) {
            Some(needs) if content.position(&needs).is_some() => {
                needs.paths.iter().map(|path| path_text(path)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Content {
    /// The table that has all columns.
    fn position(&self, needs: &Needs) -> Option<usize> {
        self.tables.iter().position(|(scope, table)| *scope == needs.scope && table.has_all(&needs.paths))
    }

    /// Counts a scan without columns. Returns whether they are to be built now.
    fn count_scan(&mut self, needs: &Needs, worth: u64) -> bool {
        if self.scans.len() > MAX_COUNTED {
            self.scans.clear();
        }
        let mut is_due = true;
        for path in &needs.paths {
            let scans = self.scans.entry(needs.key(path)).or_default();
            // Those that are too large stay so.
            is_due &= *scans != u64::MAX && *scans + 1 >= worth;
            *scans = scans.saturating_add(1).min(u64::MAX - 1).max(*scans);
        }
        is_due
    }

    /// Counts no more scans of these paths: their columns are too large.
    fn give_up(&mut self, scope: &Scope, paths: Vec<Vec<PathStep>>) {
        self.scans.extend(paths.into_iter().map(|path| ((scope.clone(), path), u64::MAX)));
    }

    /// Takes the table of this scope out, whatever its columns.
    fn take(&mut self, scope: &Scope) -> Option<Table> {
        let at = self.tables.iter().position(|(of, _)| of == scope)?;
        Some(self.tables.remove(at).1)
    }

    /// Puts a table back, as the one that was used last. Drops others if all together are too large; also
    /// this one, if it is too large alone.
    fn put(&mut self, scope: Scope, table: Table) {
        self.tables.push((scope, table));
        let mut size: usize = self.tables.iter().map(|(_, table)| table.size()).sum();
        while size > self.size {
            let (_, dropped) = self.tables.remove(0);
            size -= dropped.size();
        }
    }
}

/// The rows that a select finds, and the number of the rows among which it looked for them.
pub(super) struct ScannedRows {
    pub(super) rows: Vec<RowId>,
    pub(super) of: usize,
}

impl<T: Storage> Store<T> {
    /// The rows that a plan finds, in its order, if columns can tell.
    pub(super) fn scan_columns(&self, plan: &Plan<'_>) -> Result<Option<ScannedRows>> {
        let mut content = self.columns.0.borrow_mut();
        if content.size == 0 || self.transaction.is_writing() {
            return Ok(None);
        }
        let Some(needs) = Needs::of(plan) else { return Ok(None) };
        let kept = content.position(&needs).is_some();
        if !kept && !content.count_scan(&needs, self.scans_worth_a_column(plan)) {
            return Ok(None);
        }
        let Some(mut table) = self.table(&needs, &mut content)? else { return Ok(None) };
        let candidates = match &plan.source {
            AccessPath::Index(lookup) => Some(self.look_up(lookup, &mut table)?),
            _ => None,
        };
        let of = candidates.as_ref().map_or(table.rows().len(), Vec::len);
        let rows = scan::scan(&table, plan, candidates.as_deref());
        content.put(needs.scope, table);
        Ok(rows.map(|rows| ScannedRows { rows, of }))
    }

    /// The positions of the records that an index has.
    fn look_up(&self, lookup: &IndexLookup, table: &mut Table) -> Result<Vec<u32>> {
        let find = || {
            let (everything, source) = (SelectRequest::default(), AccessPath::Index(lookup.clone()));
            self.storage.select_rows(&Plan::of_source(&everything, source))
        };
        Ok(table.look_up(lookup.constraint, &lookup.keys[0], find)?.to_vec())
    }

    /// How many scans of a path are worth a column.
    fn scans_worth_a_column(&self, plan: &Plan<'_>) -> u64 {
        match plan.source {
            AccessPath::Index(_) => SCANS + self.last.get().row.0.unsigned_abs() / RECORDS_PER_LOOKUP,
            _ => SCANS,
        }
    }

    /// Takes the table with all columns that are needed, as of now. Builds it anew if columns are missing.
    /// `None` if that would be too large; then the missing columns are not tried again.
    fn table(&self, needs: &Needs, content: &mut Content) -> Result<Option<Table>> {
        let mut kept = content.take(&needs.scope);
        let mut paths = needs.paths.clone();
        if let Some(mut table) = kept.take_if(|table| table.has_all(&needs.paths)) {
            let is_current = table.refresh(&mut self.bucket_reader(&needs.scope))?;
            if is_current && !table.is_mostly_removed() {
                return Ok(Some(table));
            }
            table.paths().for_each(|path| add_path(path, &mut paths));
        }
        if let Some(table) = &kept {
            table.paths().for_each(|path| add_path(path, &mut paths));
        }
        let built = self.build_table(&needs.scope, &paths, content.size)?;
        if built.is_none() {
            paths.retain(|path| kept.as_ref().is_none_or(|table| table.column(path).is_none()));
            content.give_up(&needs.scope, paths);
            if let Some(table) = kept {
                content.put(needs.scope.clone(), table);
            }
        }
        Ok(built)
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
    fn build_table(&self, scope: &Scope, paths: &[Vec<PathStep>], max_size: usize) -> Result<Option<Table>> {
        let source = match scope {
            Some(class) => AccessPath::Members(self.classes(slice::from_ref(class))?),
            None => AccessPath::Everything,
        };
        let ids = match &source {
            AccessPath::Members(classes) => Some(classes.ids.clone()),
            _ => None,
        };
        let mut table = Table::of(ids, paths.to_vec());
        let mut is_too_large = false;
        let mut charged = 0;
        let select = SelectRequest::default();
        self.storage.select(&Plan::of_source(&select, source), &mut |row, record| {
            table.push(row, record.bucket);
            if table.rows().len().is_multiple_of(RECORDS_PER_CHECK) {
                let size = table.size();
                is_too_large = size > max_size || memory::charge(size.saturating_sub(charged)).is_err();
                charged = size.max(charged);
            }
            Ok(if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(Some(table).filter(|table| !is_too_large && table.size() <= max_size))
    }
}

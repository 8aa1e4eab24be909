//! Answers selects from [`columns`], which are caches of the values at scanned paths. Finds rows in columns,
//! and builds columns that are worth it. The columns of a class, or of all records, form a [`Table`].

use std::ops::ControlFlow;
use std::slice;

use miko_rpc::{Result, memory};

use crate::engine::store::Store;
use crate::engine::store::columns::{self, Content, Effort, MAX_COLUMNS, Needs, Path, Scope, Table};
use crate::engine::store::stored_json::parse_object;
use crate::query::SelectRequest;
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::plan::{AccessPath, IndexLookup, Plan};

/// While a table is built, its memory is charged to the memory limit each time that it has grown by this many
/// bytes.
const CHARGED_AT_ONCE: usize = 64 << 10;

/// SQL scans this many records in the time in which one record is read by its row id.
const SCANNED_PER_FETCHED: usize = 8;

/// The result of a scan of columns.
pub(super) enum Scanned {
    /// The rows that the select finds, in its order.
    Rows(Vec<RowId>),
    /// SQL has to find the rows. `Some` if columns could find them, but do not exist. The caller then reports
    /// the scan to [`count_scan`](Store::count_scan): after enough scans the columns are built.
    BySql(Option<Needs>),
}

/// What a caller needs of the rows that a select finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The records. If there are many, SQL reads them faster than single reads by row id.
    Records,
    /// Only the row ids.
    Rows,
}

impl<T: Storage> Store<T> {
    /// The rows that a plan finds, if columns can answer it. Builds missing columns that are worth it.
    pub(super) fn scan_columns(&self, plan: &Plan<'_>, wanted: Wanted) -> Result<Scanned> {
        let content = &mut *self.columns.content();
        // A size of 0 turns columns off. Columns are not read in a running write, nor in a transaction that
        // has written: storage then has changes that may be undone.
        if content.max_size == 0 || self.transaction.reads_uncommitted() {
            return Ok(Scanned::BySql(None));
        }
        let Some(needs) = Needs::of(plan) else { return Ok(Scanned::BySql(None)) };
        let uses_index = matches!(plan.access_path, AccessPath::Index(_));
        // SQL reads all records of a class, or of the database, faster than single reads by row id.
        let finds_all = plan.predicates.is_empty() && plan.select.limit.is_none() && !uses_index;
        if finds_all && wanted == Wanted::Records {
            return Ok(Scanned::BySql(None));
        }
        let Needs { scope, paths, effort } = &needs;
        // The number of records of the database is estimated by the largest row id.
        let last_row = self.last.get().row;
        if !content.has_all(&needs) && !content.uses.justify_build(scope, paths, *effort, last_row) {
            return Ok(Scanned::BySql(Some(needs)));
        }
        let Some(mut table) = self.take_table(&needs, content)? else { return Ok(Scanned::BySql(None)) };
        let candidates = match &plan.access_path {
            AccessPath::Index(lookup) => match self.look_up(lookup, &mut table)? {
                Some(positions) => Some(positions),
                // The table lacks a record that the index has: it has missed a change. It is dropped here,
                // and built anew when that is worth it.
                None => {
                    content.uses.note_drop(scope, table.paths(), table.avoided_reads(), last_row);
                    return Ok(Scanned::BySql(Some(needs)));
                }
            },
            _ => None,
        };
        // If the scan finds more rows than this, and their records are wanted, SQL answers faster than reads
        // by row id. With an index there is no limit: SQL would read the records one by one, too.
        let max_found = match wanted {
            Wanted::Records if !uses_index => table.rows().len().div_ceil(SCANNED_PER_FETCHED),
            _ => usize::MAX,
        };
        let rows = columns::scan(&table, plan, candidates.as_deref(), max_found);
        if let Some(rows) = &rows {
            let effort = effort.of_finished(plan.select, rows.len());
            table.note_use(paths, effort.records(last_row));
        }
        content.put(needs.scope, table, last_row);
        // `None` if SQL answers faster. The columns exist then, so the scan is not counted.
        Ok(rows.map_or(Scanned::BySql(None), Scanned::Rows))
    }

    /// Counts a select that SQL has answered with `found` records, because there were no columns.
    pub(super) fn count_scan(&self, needs: &Needs, select: &SelectRequest, wanted: Wanted, found: usize) {
        let last_row = self.last.get().row;
        let is_faster_by_sql = found as u64 > last_row.0.unsigned_abs().div_ceil(SCANNED_PER_FETCHED as u64);
        let uses_index = matches!(needs.effort, Effort::Few);
        if wanted == Wanted::Records && is_faster_by_sql && !uses_index {
            // Even with columns, `scan_columns` would leave this select to SQL.
            return;
        }
        let effort = needs.effort.of_finished(select, found);
        self.columns.content().uses.count(&needs.scope, &needs.paths, effort, last_row);
    }

    /// Looks up the only key of `lookup` in its index. Returns the positions of the found records in `table`;
    /// `None` if `table` lacks one of them.
    fn look_up(&self, lookup: &IndexLookup, table: &mut Table) -> Result<Option<Vec<u32>>> {
        let find = || {
            let (no_filter, access_path) = (SelectRequest::default(), AccessPath::Index(lookup.clone()));
            self.storage.select_row_ids(&Plan::of_access_path(&no_filter, access_path))
        };
        table.look_up(lookup.constraint, &lookup.keys[0], find)
    }

    /// Takes the table of the scope of `needs` out of `content`, brings it up to date, and builds missing
    /// columns. The caller puts the table back. Returns `None` if the columns would exceed the size limit or
    /// the memory limit, or if the table was dropped because so much has changed, or because it has missed a
    /// change. An error drops the table, too.
    fn take_table(&self, needs: &Needs, content: &mut Content) -> Result<Option<Table>> {
        let Needs { scope, paths, .. } = needs;
        let last_row = self.last.get().row;
        let Some(mut table) = content.take(scope) else {
            let built = self.build_table(scope, paths.clone(), content.max_size)?;
            if built.is_none() {
                content.uses.give_up(scope, paths);
            }
            return Ok(built);
        };
        if !table.refresh(content.max_size, &mut self.bucket_reader(scope))? {
            content.uses.note_drop(scope, table.paths(), table.avoided_reads(), last_row);
            return Ok(None);
        }
        let missing: Vec<_> = paths.iter().filter(|path| table.column(path).is_none()).cloned().collect();
        if missing.is_empty() {
            return Ok(Some(table));
        }
        let Some(added) = self.build_table(scope, missing.clone(), content.max_size)? else {
            content.uses.give_up(scope, &missing);
            content.put(scope.clone(), table, last_row);
            return Ok(None);
        };
        table.make_room(missing.len(), paths);
        // The rows of the tables differ if `table` has missed a change. It is dropped then.
        if !table.adopt(added) {
            content.uses.note_drop(scope, table.paths(), table.avoided_reads(), last_row);
            return Ok(None);
        }
        if table.size() > content.max_size {
            // All columns together are too large: only those that the select needs remain.
            table.make_room(MAX_COLUMNS, paths);
        }
        Ok(Some(table))
    }

    /// A function that reads the bucket of a row. The function returns `None` if the row has no record, or a
    /// record outside of the scope. It remembers the last stack, and whether a record with this stack is in
    /// the scope: consecutive records often have equal stacks.
    fn bucket_reader(&self, scope: &Scope) -> impl FnMut(RowId) -> Result<Option<String>> {
        let mut last_stack: Option<(String, bool)> = None;
        move |row| {
            let Some(state) = self.storage.row(row)?.and_then(|row| row.state) else { return Ok(None) };
            let Some(class) = scope else { return Ok(Some(state.bucket)) };
            let is_member = match &last_stack {
                Some((stack, is_member)) if *stack == state.stack => *is_member,
                _ => {
                    let parsed = parse_object(&state.stack)?;
                    let classes = stack::classes(&parsed);
                    let is_in_scope =
                        |name: &&str| self.catalog.is_subclass_of_any(name, slice::from_ref(class));
                    classes.iter().any(is_in_scope)
                }
            };
            last_stack = Some((state.stack, is_member));
            Ok(is_member.then_some(state.bucket))
        }
    }

    /// Builds a table with columns of these paths in one scan; `None` if it would exceed `max_size` bytes or
    /// the memory limit.
    fn build_table(&self, scope: &Scope, paths: Vec<Path>, max_size: usize) -> Result<Option<Table>> {
        let access_path = match scope {
            Some(class) => AccessPath::Members(self.classes(slice::from_ref(class))?),
            None => AccessPath::Everything,
        };
        let ids = match &access_path {
            AccessPath::Members(classes) => Some(classes.ids.clone()),
            _ => None,
        };
        let mut table = Table::of(ids, paths);
        let (mut size, mut charged) = (0, 0);
        let mut is_too_large = false;
        let select = SelectRequest::default();
        self.storage.select_with_ids(&Plan::of_access_path(&select, access_path), &mut |row, record| {
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

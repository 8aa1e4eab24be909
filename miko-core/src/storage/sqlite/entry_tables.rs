//! The maps of index entries as virtual tables, so that a select has the same SQL text for a database in
//! memory as for one in a file.
//!
//! The tables have the same columns as those in `miko-core/schema/entries.sql`. The last column is the row
//! number (`seq`); the columns before it are the key: the class, or constraint and value. A query has to give
//! a value for each key column, and may give the row number. A table yields rows in order of creation.
//!
//! If a `WHERE` clause is always false, SQLite drops its conditions, and asks for a plan without a key.
//! `best_index` then chooses [`PLAN_NO_KEY`]. That plan would fail, but SQLite never runs it.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor,
};
use rusqlite::{Connection, Result, ffi};

use super::entry_maps::SharedEntryMaps;
use crate::storage::ids::{ClassId, ConstraintId, RowId};

/// The number (`idxNum`) of the plan of a query that gives the key. `best_index` chooses a plan, `filter`
/// runs it.
const PLAN_KEY: c_int = 0;

/// The number of the plan of a query that gives the key and the row number.
const PLAN_KEY_AND_ROW: c_int = 1;

/// The number of the plan of a query without a key, which fails when it is run.
const PLAN_NO_KEY: c_int = 2;

/// The most columns that a table has.
const MAX_COLUMNS: usize = 3;

/// The size of the first block, in rows. A cursor copies row numbers out of the maps in blocks. Each block is
/// twice as large as the block before it, up to [`MAX_BLOCK`].
const FIRST_BLOCK: usize = 16;

/// The size of the largest block, in rows.
const MAX_BLOCK: usize = 512;

/// Registers the tables on a connection.
pub(super) fn register(connection: &Connection, maps: &SharedEntryMaps) -> Result<()> {
    const MODULE: Module<EntryTable> = Module::eponymous_only_module();
    for kind in [Kind::Membership, Kind::Unique, Kind::Indexed] {
        connection.create_module(kind.name(), &MODULE, Some((kind, maps.clone())))?;
    }
    Ok(())
}

/// The virtual tables: one for each kind of index entries that are in maps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Membership,
    Unique,
    Indexed,
}

impl Kind {
    const fn name(self) -> &'static CStr {
        match self {
            Self::Membership => c"membership",
            Self::Unique => c"unique_value",
            Self::Indexed => c"indexed_value",
        }
    }

    /// The declaration of the columns, as SQLite expects it of a virtual table. SQLite ignores the name `x`.
    const fn columns(self) -> &'static CStr {
        match self {
            Self::Membership => c"CREATE TABLE x (class_id INTEGER, seq INTEGER)",
            Self::Unique | Self::Indexed => {
                c"CREATE TABLE x (constraint_id INTEGER, value TEXT, seq INTEGER)"
            }
        }
    }

    /// The number of key columns, which is also the index of the column of the row number.
    const fn key_columns(self) -> usize {
        match self {
            Self::Membership => 1,
            Self::Unique | Self::Indexed => 2,
        }
    }

    /// How `explain` shows [`PLAN_KEY`] and [`PLAN_KEY_AND_ROW`].
    const fn plan_texts(self) -> [&'static CStr; 2] {
        match self {
            Self::Membership => [c"class_id=?", c"class_id=? AND seq=?"],
            Self::Unique | Self::Indexed => {
                [c"constraint_id=? AND value=?", c"constraint_id=? AND value=? AND seq=?"]
            }
        }
    }
}

#[repr(C)]
struct EntryTable {
    /// SQLite's part, which must be the first.
    base: ffi::sqlite3_vtab,
    kind: Kind,
    maps: SharedEntryMaps,
}

// SAFETY: the type is `repr(C)`, and its first field is a `sqlite3_vtab`.
unsafe impl<'vtab> VTab<'vtab> for EntryTable {
    type Aux = (Kind, SharedEntryMaps);
    type Cursor = EntryCursor<'vtab>;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Self::Aux>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        // Never `None`: `register` creates each module with a kind and the maps.
        let (kind, maps) = aux.cloned().ok_or(rusqlite::Error::InvalidQuery)?;
        Ok((kind.columns().into(), Self { base: ffi::sqlite3_vtab::default(), kind, maps }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        // SQLite calls the conditions of a query constraints. For each column: whether the query has a
        // condition that the column equals a value, and the index of one whose value is available.
        let (mut is_constrained, mut usable_constraint) = ([false; MAX_COLUMNS], [None; MAX_COLUMNS]);
        for (index, constraint) in info.constraints().enumerate() {
            let column = usize::try_from(constraint.column()).ok();
            let Some(column) = column.filter(|column| *column < MAX_COLUMNS) else { continue };
            if constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                is_constrained[column] = true;
                if constraint.is_usable() {
                    usable_constraint[column] = Some(index);
                }
            }
        }
        let key_columns = self.kind.key_columns();
        if is_constrained[..key_columns].contains(&false) {
            // So high that SQLite prefers every other plan.
            info.set_estimated_cost(1e12);
            info.set_idx_num(PLAN_NO_KEY);
            return Ok(true);
        }
        // The slice is never empty, so the pattern always matches.
        let [key @ .., row] = &usable_constraint[..=key_columns] else { return Ok(false) };
        if key.contains(&None) {
            // A value of the key is not available, for example because it comes from a table that is read
            // later. `false` refuses this combination of conditions, and SQLite tries another plan.
            return Ok(false);
        }
        for (position, index) in usable_constraint.iter().flatten().enumerate() {
            let mut usage = info.constraint_usage(*index);
            // `filter` gets the values as arguments, in the order of the columns. SQLite numbers them from 1.
            usage.set_argv_index(position as c_int + 1);
            // SQLite need not check the condition on the rows that the table yields.
            usage.set_omit(true);
        }
        let yields_one_row = row.is_some() || self.kind == Kind::Unique;
        // If there may be several rows, their number is a guess.
        info.set_estimated_rows(if yields_one_row { 1 } else { 1000 });
        info.set_estimated_cost(if yields_one_row { 1.0 } else { 1000.0 });
        info.set_idx_num(if row.is_some() { PLAN_KEY_AND_ROW } else { PLAN_KEY });
        info.set_idx_cstr(self.kind.plan_texts()[usize::from(row.is_some())]);
        let is_in_order = {
            let mut order = info.order_bys();
            let first = order.next();
            let is_by_row = |column: c_int| usize::try_from(column) == Ok(key_columns);
            first.is_some_and(|first| is_by_row(first.column()) && !first.is_order_by_desc())
                && order.next().is_none()
        };
        // If set, SQLite need not sort the rows.
        info.set_order_by_consumed(is_in_order);
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<Self::Cursor> {
        Ok(EntryCursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            kind: self.kind,
            maps: self.maps.clone(),
            key: 0,
            value: String::new(),
            rows: Vec::new(),
            position: 0,
            next_block: 0,
            table: PhantomData,
        })
    }
}

#[repr(C)]
struct EntryCursor<'vtab> {
    /// SQLite's part, which must be the first.
    base: ffi::sqlite3_vtab_cursor,
    kind: Kind,
    maps: SharedEntryMaps,
    /// The id of the class or constraint whose rows are visited.
    key: i64,
    /// The value whose rows are visited; empty for memberships.
    value: String,
    /// The current block of rows.
    rows: Vec<RowId>,
    /// The index in `rows` of the current row; the length of `rows` after the last row.
    position: usize,
    /// The size of the block to read next, in rows; 0 if the current block is the last.
    next_block: usize,
    table: PhantomData<&'vtab EntryTable>,
}

impl EntryCursor<'_> {
    /// Reads the next block: the rows after `last` that have the key.
    fn read_block(&mut self, last: RowId) {
        let Self { kind, key, value, rows, next_block, .. } = self;
        rows.clear();
        let maps = self.maps.lock();
        let set = match kind {
            Kind::Membership => maps.members(ClassId(*key)),
            Kind::Indexed => maps.indexed(ConstraintId(*key), value),
            Kind::Unique => {
                // The key has at most one row, so the first block is the last.
                rows.extend(maps.find_unique(ConstraintId(*key), value));
                None
            }
        };
        if let Some(set) = set {
            set.push_after(last, *next_block, rows);
        }
        *next_block = if rows.len() < *next_block { 0 } else { (*next_block * 2).min(MAX_BLOCK) };
        self.position = 0;
    }

    /// Reads `row` as the last block. The block is empty if `row` does not have the key.
    fn read_row(&mut self, row: RowId) {
        let maps = self.maps.lock();
        let has_row = match self.kind {
            Kind::Membership => maps.members(ClassId(self.key)).is_some_and(|rows| rows.contains(row)),
            Kind::Indexed => {
                maps.indexed(ConstraintId(self.key), &self.value).is_some_and(|rows| rows.contains(row))
            }
            Kind::Unique => maps.find_unique(ConstraintId(self.key), &self.value) == Some(row),
        };
        drop(maps);
        self.rows.clear();
        self.rows.extend(has_row.then_some(row));
        (self.position, self.next_block) = (0, 0);
    }
}

// SAFETY: the type is `repr(C)`, and its first field is a `sqlite3_vtab_cursor`.
unsafe impl VTabCursor for EntryCursor<'_> {
    fn filter(&mut self, plan: c_int, _: Option<&str>, arguments: &Filters<'_>) -> Result<()> {
        if plan == PLAN_NO_KEY {
            return Err(rusqlite::Error::ModuleError("index entries are read without a key".to_owned()));
        }
        let key_columns = self.kind.key_columns();
        self.key = arguments.get(0)?;
        if key_columns == 2 {
            self.value = arguments.get(1)?;
        }
        if plan == PLAN_KEY_AND_ROW {
            self.read_row(RowId(arguments.get(key_columns)?));
        } else {
            let before_first_row = RowId::default();
            self.next_block = FIRST_BLOCK;
            self.read_block(before_first_row);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.position += 1;
        if self.position == self.rows.len()
            && self.next_block > 0
            && let Some(last) = self.rows.last().copied()
        {
            self.read_block(last);
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.position >= self.rows.len()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        match usize::try_from(column) {
            Ok(0) => context.set_result(self.key),
            Ok(column) if column == self.kind.key_columns() => context.set_result(self.rowid()?),
            _ => context.set_result(&self.value),
        }
    }

    fn rowid(&self) -> Result<i64> {
        // SQLite does not ask for a row after the last one.
        Ok(self.rows.get(self.position).map_or(0, |row| row.0))
    }
}

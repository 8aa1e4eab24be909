//! Runs the SQL of selects. The JSON text of records is not parsed.

use std::ops::ControlFlow;

use miko_rpc::Result;
use rusqlite::types::ValueRef;
use rusqlite::{Row, params_from_iter};
use serde_json::Value;

use super::Sqlite;
use super::compile;
use super::faults::sqlite_error;
use crate::storage::explain::Explanation;
use crate::storage::ids::RowId;
use crate::storage::plan::{AccessPath, Plan};
use crate::storage::row::RecordRef;
use crate::timestamp::Timestamp;

impl Sqlite {
    /// Calls `visit` with each row of [`compile::select`], until `visit` breaks or fails.
    pub(super) fn run_select(
        &self,
        plan: &Plan<'_>,
        mut visit: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let statement = compile::select(plan, self.rows_of_plan(plan).as_deref());
        let statements = self.statements.after_flush()?;
        let mut cached = statements.prepare_cached(statement.sql()).map_err(sqlite_error)?;
        let mut rows = cached.query(params_from_iter(statement.values())).map_err(sqlite_error)?;
        while let Some(row) = rows.next().map_err(sqlite_error)? {
            if let ControlFlow::Break(()) = visit(row)? {
                break;
            }
        }
        Ok(())
    }

    /// The row ids that [`compile::select_row_ids`] selects.
    pub(super) fn run_select_row_ids(&self, plan: &Plan<'_>) -> Result<Vec<RowId>> {
        let statement = compile::select_row_ids(plan, self.rows_of_plan(plan).as_deref());
        let statements = self.statements.after_flush()?;
        let mut cached = statements.prepare_cached(statement.sql()).map_err(sqlite_error)?;
        let rows =
            cached.query_map(params_from_iter(statement.values()), |row| row.get(0)).map_err(sqlite_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sqlite_error)
    }

    /// The candidates for the pks that the plan looks up: see [`rows_of_pks`](Self::rows_of_pks). `None` if
    /// there is an index of pks, or if the plan has another access path.
    fn rows_of_plan(&self, plan: &Plan<'_>) -> Option<Vec<RowId>> {
        let AccessPath::Pks(pks) = &plan.access_path else { return None };
        self.rows_of_pks(pks.iter().map(String::as_str))
    }

    pub(super) fn explain_select(&self, plan: &Plan<'_>) -> Result<Explanation> {
        let statement = compile::select(plan, self.rows_of_plan(plan).as_deref());
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql());
        let mut explain = self.statements.after_flush()?.prepare(&sql).map_err(sqlite_error)?;
        let plan_lines = explain
            .query_map(params_from_iter(statement.values()), |row| row.get("detail"))
            .map_err(sqlite_error)?;
        Ok(Explanation {
            sql: Some(statement.sql().to_owned()),
            values: statement.values().iter().map(Value::from).collect(),
            plan: plan_lines.collect::<rusqlite::Result<_>>().map_err(sqlite_error)?,
            // Storage does not know which columns the store has. The store sets this field.
            columns: Vec::new(),
            index: plan.access_path.index_name(),
            residual_filter_reason: plan.residual_filter_reason.map(str::to_owned),
        })
    }
}

/// Reads a row of [`compile::select`] without the row id. Most selects do not need the row id, and reading it
/// takes 3 of 100 instructions of an indexed select.
pub(super) fn read_record<'r>(row: &'r Row<'_>) -> rusqlite::Result<RecordRef<'r>> {
    let extras = match row.get_ref(4)? {
        ValueRef::Null => None,
        text => Some(text.as_str()?),
    };
    Ok(RecordRef {
        pk: row.get_ref(1)?.as_str()?,
        bucket: row.get_ref(2)?.as_str()?,
        stack: row.get_ref(3)?.as_str()?,
        extras,
        created_at: Timestamp::from_millis(row.get(5)?),
        updated_at: Timestamp::from_millis(row.get(6)?),
    })
}

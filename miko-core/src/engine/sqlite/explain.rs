//! Explains how a select is executed.

use rusqlite::params_from_iter;
use serde_json::Value;

use crate::engine::Explanation;
use crate::engine::sqlite::{Sqlite, compile};
use crate::engine::store::Store;
use crate::engine::store::plan::AccessPath;
use crate::error::Result;
use crate::query::SelectRequest;

impl Store<Sqlite> {
    pub(super) fn explain_select(&self, select: &SelectRequest) -> Result<Explanation> {
        let plan = self.plan(select)?;
        let statement = compile::select(select, &plan);
        let mut explain =
            self.tables.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql()))?;
        let steps = explain.query_map(params_from_iter(statement.values()), |row| row.get("detail"))?;
        Ok(Explanation {
            sql: Some(statement.sql().to_owned()),
            values: statement.values().iter().map(Value::from).collect(),
            plan: steps.collect::<rusqlite::Result<_>>()?,
            index: match &plan.source {
                AccessPath::Index(lookup) => Some(lookup.name()),
                _ => None,
            },
            evaluator: plan.residual_filter.map(str::to_owned),
        })
    }
}

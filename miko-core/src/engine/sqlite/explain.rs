//! How a select is run, for people and for tests.

use rusqlite::params_from_iter;
use serde_json::Value;

use crate::engine::sqlite::compile;
use crate::engine::sqlite::store::Store;
use crate::error::Result;
use crate::query::Select;

/// How an engine on SQLite runs a select.
///
/// ```
/// use miko_core::SqliteEngine;
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let explanation = db.explain(json!({"action": "select", "path": ["rank", "Captain"], "limit": 10}))?;
/// assert!(explanation.sql.ends_with("AND q0_path(bucket, ?1) ORDER BY seq LIMIT ?2"));
/// assert_eq!(explanation.values, [json!(r#"["rank","Captain"]"#), json!(10)]);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The SQL. Nothing of the request stands in it.
    pub sql: String,
    /// What is bound to `?1`, `?2` and so on.
    pub values: Vec<Value>,
    /// SQLite's query plan, a line per step.
    pub plan: Vec<String>,
}

impl Store {
    pub(super) fn explain(&self, select: &Select) -> Result<Explanation> {
        let statement = compile::select(select, &self.plan(&select.condition)?);
        let mut explain = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text()))?;
        let plan = explain.query_map(params_from_iter(statement.values()), |row| row.get("detail"))?;
        Ok(Explanation {
            sql: statement.text().to_owned(),
            values: statement.values().iter().map(Value::from).collect(),
            plan: plan.collect::<rusqlite::Result<_>>()?,
        })
    }
}

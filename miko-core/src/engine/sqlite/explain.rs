//! How a select is run, for people and for tests.

use rusqlite::params_from_iter;
use serde_json::Value;

use crate::engine::sqlite::compile;
use crate::engine::sqlite::plan::Source;
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
/// assert_eq!((explanation.index, explanation.evaluator), (None, None));
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
    /// The index of a class that the records come from: the class that declares it, and the field.
    pub index: Option<String>,
    /// Why the evaluator looks at every record that the SQL finds, and orders and cuts what is left, if it does: the SQL
    /// then only narrows what it has to look at.
    pub evaluator: Option<String>,
}

impl Store {
    pub(super) fn explain(&self, select: &Select) -> Result<Explanation> {
        let plan = self.plan(select)?;
        let statement = compile::select(select, &plan);
        let mut explain = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text()))?;
        let steps = explain.query_map(params_from_iter(statement.values()), |row| row.get("detail"))?;
        Ok(Explanation {
            sql: statement.text().to_owned(),
            values: statement.values().iter().map(Value::from).collect(),
            plan: steps.collect::<rusqlite::Result<_>>()?,
            index: match &plan.source {
                Source::Index(lookup) => Some(lookup.name.clone()),
                _ => None,
            },
            evaluator: plan.evaluator.map(str::to_owned),
        })
    }
}

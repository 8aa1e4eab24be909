//! How a select is run, for people and for tests.

use serde::Serialize;
use serde_json::Value;

/// How an engine runs a select.
///
/// ```
/// use miko_core::{Engine, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let explanation = db.explain(json!({"action": "select", "path": ["rank", "Captain"], "limit": 10}))?;
/// assert!(explanation.sql.unwrap().ends_with("AND q0_path(bucket, ?1) ORDER BY seq LIMIT ?2"));
/// assert_eq!(explanation.values, [json!(r#"["rank","Captain"]"#), json!(10)]);
/// assert_eq!((explanation.index, explanation.evaluator), (None, None));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The SQL, on an engine that has it. Nothing of the request stands in it.
    pub sql: Option<String>,
    /// What is bound to `?1`, `?2` and so on.
    pub values: Vec<Value>,
    /// SQLite's query plan, a line per step; on a worldlet, which records are looked at.
    pub plan: Vec<String>,
    /// The index of a class that the records come from: the class that declares it, and the field.
    pub index: Option<String>,
    /// Why the evaluator looks at every record that the SQL finds, and orders and cuts what is left, if it does: the SQL
    /// then only narrows what it has to look at.
    pub evaluator: Option<String>,
}

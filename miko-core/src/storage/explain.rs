//! How a select is executed, for people and for tests.

use serde::Serialize;
use serde_json::Value;

/// How an engine executes a select.
///
/// ```
/// use miko_core::{Engine, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let explanation = db.explain(json!({"action": "select", "path": ["rank", "Captain"], "limit": 10}))?;
/// assert!(explanation.sql.unwrap().ends_with("AND q0_path(bucket, ?1) ORDER BY seq LIMIT ?2"));
/// assert_eq!(explanation.values, [json!(r#"["rank","Captain"]"#), json!(10)]);
/// assert_eq!((explanation.index, explanation.residual_filter_reason), (None, None));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The SQL text of the select; `None` on a worldlet. It contains no text of the request.
    pub sql: Option<String>,
    /// The values bound to `?1`, `?2` and so on.
    pub values: Vec<Value>,
    /// SQLite's query plan, one step per item; on a worldlet one item, which says which records are scanned.
    pub plan: Vec<String>,
    /// The index that supplies the records: the class that declares it, and the field. `None` if the select
    /// uses no index.
    pub index: Option<String>,
    /// The paths, as JSON, whose values the select reads from columns, which are kept in memory. If there are
    /// such paths, the SQL is usually not run. The exception is a select that uses no index and finds many
    /// records: more than an eighth of the records of its class, or of all records if it names no class.
    pub columns: Vec<String>,
    /// The reason why the evaluator filters, sorts and limits the records in Rust; the SQL then only selects
    /// candidates. `None` if the SQL does all of this.
    pub residual_filter_reason: Option<String>,
}

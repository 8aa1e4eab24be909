//! Builds SQL text with bound values. Text of a request never becomes part of the SQL.

use std::rc::Rc;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value};
use serde_json::Value as Json;

use crate::storage::ids::{ClassId, RowId};

/// The text of a statement and the values bound to it.
#[derive(Debug)]
pub(super) struct SqlBuilder {
    sql: String,
    values: Vec<SqlValue>,
}

impl SqlBuilder {
    /// An empty statement. Its capacity suffices for most statements without reallocation.
    pub(super) fn new() -> Self {
        Self { sql: String::with_capacity(512), values: Vec::with_capacity(4) }
    }

    /// Appends SQL. It takes literals only, which rules out SQL injection.
    pub(super) fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a number: the suffix of a generated column name.
    pub(super) fn push_number(&mut self, number: usize) -> &mut Self {
        self.sql.push_str(&number.to_string());
        self
    }

    /// Appends a placeholder and binds a value to it.
    pub(super) fn push_bind(&mut self, value: impl Into<SqlValue>) -> &mut Self {
        self.values.push(value.into());
        self.sql.push('?');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn values(&self) -> &[SqlValue] {
        &self.values
    }
}

/// A bound value.
#[derive(Debug)]
pub(super) enum SqlValue {
    Integer(i64),
    Text(String),
    /// Values that share one placeholder, in `IN rarray(…)`: the SQL text is the same for any number of them.
    /// `rarray` takes this type.
    Array(Rc<Vec<Value>>),
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for SqlValue {
    /// A count beyond the range of `i64` becomes `i64::MAX`: no table has as many rows.
    fn from(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[String]> for SqlValue {
    fn from(texts: &[String]) -> Self {
        Self::Array(Rc::new(texts.iter().cloned().map(Value::Text).collect()))
    }
}

impl From<&[ClassId]> for SqlValue {
    fn from(ids: &[ClassId]) -> Self {
        Self::Array(Rc::new(ids.iter().map(|id| Value::Integer(id.0)).collect()))
    }
}

impl From<&[RowId]> for SqlValue {
    fn from(rows: &[RowId]) -> Self {
        Self::Array(Rc::new(rows.iter().map(|row| Value::Integer(row.0)).collect()))
    }
}

/// The value as JSON, for the result of `explain`.
impl From<&SqlValue> for Json {
    fn from(bound: &SqlValue) -> Self {
        match bound {
            SqlValue::Integer(integer) => Self::from(*integer),
            SqlValue::Text(text) => Self::from(text.as_str()),
            SqlValue::Array(values) => {
                let json = |value: &Value| match value {
                    Value::Text(text) => Self::from(text.as_str()),
                    Value::Integer(number) => Self::from(*number),
                    _ => Self::Null,
                };
                values.iter().map(json).collect()
            }
        }
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Integer(integer) => integer.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Array(values) => values.to_sql(),
        }
    }
}

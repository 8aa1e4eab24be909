//! SQL text and the values bound to it: what a request says is never part of the text.

use std::rc::Rc;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value};
use serde_json::Value as Json;

/// A statement that is ready to run.
#[derive(Debug, Default)]
pub(super) struct SqlBuilder {
    sql: String,
    values: Vec<Bound>,
}

impl SqlBuilder {
    /// Adds SQL of ours. It takes literals only, so that nothing from a request can come in this way.
    pub(super) fn sql(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a number of ours to a name of ours.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.sql.push_str(&number.to_string());
        self
    }

    /// Adds a place for a value, and the value.
    pub(super) fn value(&mut self, value: impl Into<Bound>) -> &mut Self {
        self.values.push(value.into());
        self.sql.push('?');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.sql
    }

    pub(super) fn values(&self) -> &[Bound] {
        &self.values
    }
}

/// A bound value.
#[derive(Debug)]
pub(super) enum Bound {
    Integer(i64),
    Text(String),
    /// Any number of values in one place, for `IN rarray(…)`: the SQL is the same for all numbers.
    Many(Rc<Vec<Value>>),
}

impl From<i64> for Bound {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Bound {
    /// No table has more rows than i64 counts.
    fn from(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<String> for Bound {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[String]> for Bound {
    fn from(texts: &[String]) -> Self {
        Self::Many(Rc::new(texts.iter().cloned().map(Value::Text).collect()))
    }
}

impl From<&[i64]> for Bound {
    fn from(numbers: &[i64]) -> Self {
        Self::Many(Rc::new(numbers.iter().copied().map(Value::Integer).collect()))
    }
}

/// The value as JSON, for an explanation.
impl From<&Bound> for Json {
    fn from(bound: &Bound) -> Self {
        match bound {
            Bound::Integer(integer) => Self::from(*integer),
            Bound::Text(text) => Self::from(text.as_str()),
            Bound::Many(values) => {
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

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Integer(integer) => integer.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Many(values) => values.to_sql(),
        }
    }
}

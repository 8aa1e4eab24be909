//! Ids, commit numbers and the content of records as values of SQLite.

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Result, ToSql};

use crate::storage::ids::{ClassId, CommitSeq, ConstraintId, FileId, RowId};
use crate::storage::row::{Row, State};

macro_rules! integers {
    ($($name:ident),*) => {
        $(
            impl ToSql for $name {
                fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
                    Ok(ToSqlOutput::from(self.0))
                }
            }

            impl FromSql for $name {
                fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                    i64::column_result(value).map(Self)
                }
            }
        )*
    };
}

integers!(ClassId, CommitSeq, ConstraintId, FileId, RowId);

/// The bucket, the stack and the extras of a row. A row without content has none of them.
pub(super) fn content_columns(row: &Row) -> [Option<&str>; 3] {
    match &row.state {
        Some(State { bucket, stack, extras }) => [Some(bucket), Some(stack), extras.as_deref()],
        None => [None; 3],
    }
}

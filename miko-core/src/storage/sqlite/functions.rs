//! The SQL functions that evaluate paths of Q0.
//!
//! SQLite's JSON functions are not used (`docs/decisions/0002`): evaluation in Rust is faster on text, and
//! compares numbers and sort values exactly.

use std::ffi::c_int;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ValueRef};

use crate::query::{PathTest, SortPath};

/// Registers the functions on a connection. `q0_path(bucket, path)` returns whether the path holds for the
/// bucket. `q0_key(bucket, path)` returns the sort value of the bucket: the value at the path, as bytes that
/// SQLite orders as Q0 orders the values; NULL if the value is null or absent.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    register_bucket_function(connection, "q0_path", PathTest::from_text, |path, bucket| path.holds(bucket))?;
    register_bucket_function(connection, "q0_key", SortPath::from_text, |path, bucket| {
        path.sort_value(bucket)
    })
}

/// Registers a function of a bucket and the text of a path. The path is parsed once per execution of a
/// statement: SQLite keeps the parsed path as auxiliary data of the bound parameter.
fn register_bucket_function<P: Send + Sync + 'static, R: ToSql + 'static>(
    connection: &Connection,
    name: &str,
    parse: fn(&str) -> Result<P, String>,
    evaluate: fn(&P, &str) -> R,
) -> rusqlite::Result<()> {
    const ARGUMENT_COUNT: c_int = 2;
    // `DIRECTONLY`: views and triggers of a manipulated file cannot call the function.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(name, ARGUMENT_COUNT, flags, move |context: &Context<'_>| {
        let path = context.get_or_create_aux(1, |text: ValueRef<'_>| {
            parse(text.as_str()?).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })?;
        let bucket = context.get_raw(0).as_str()?;
        Ok(evaluate(&path, bucket))
    })
}

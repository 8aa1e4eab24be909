//! The SQL functions that evaluate paths of Q0.
//!
//! SQLite's JSON functions are not used (`docs/decisions/0002`): evaluation in Rust is faster on text, and
//! compares numbers and keys exactly.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ValueRef};

use crate::query::{PathTest, SortPath};

/// Registers the functions on a connection: `q0_path(bucket, path)` returns whether the path holds for the
/// bucket, and `q0_key(bucket, path)` returns the sort key of the bucket, or NULL if it has none.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    register_bucket_function(connection, "q0_path", PathTest::from_text, |path, bucket| path.holds(bucket))?;
    register_bucket_function(connection, "q0_key", SortPath::from_text, |path, bucket| path.key(bucket))
}

/// Registers a function of a bucket and a text argument. The argument is parsed once per execution of a
/// statement: SQLite keeps the parsed value as auxiliary data of the bound parameter.
fn register_bucket_function<A: Send + Sync + 'static, R: ToSql + 'static>(
    connection: &Connection,
    name: &str,
    parse: fn(&str) -> Result<A, String>,
    evaluate: fn(&A, &str) -> R,
) -> rusqlite::Result<()> {
    // `DIRECTONLY`: views and triggers of a manipulated file cannot call the function.
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(name, 2, flags, move |context: &Context<'_>| {
        let argument = context.get_or_create_aux(1, |argument: ValueRef<'_>| {
            parse(argument.as_str()?).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })?;
        Ok(evaluate(&argument, context.get_raw(0).as_str()?))
    })
}

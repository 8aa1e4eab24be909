//! What SQLite calls back: the paths of Q0.
//!
//! They are evaluated here and not by SQLite's JSON functions (`docs/decisions/0002`): it is faster on text, and numbers
//! and keys keep their exact meaning.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ValueRef};

use crate::query::{Path, SortPath};

/// Makes the functions known to a connection: `q0_path(bucket, path)` says whether the path holds for the bucket, and
/// `q0_key(bucket, path)` gives what the bucket is sorted by, or NULL.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    of_bucket(connection, "q0_path", Path::from_text, |path, bucket| path.holds(bucket))?;
    of_bucket(connection, "q0_key", SortPath::from_text, |path, bucket| path.key(bucket))
}

/// Makes known a function of a bucket and of something that is read from its text once, as SQLite keeps what was made of a
/// bound value for as long as the statement runs.
fn of_bucket<A: Send + Sync + 'static, R: ToSql + 'static>(
    connection: &Connection,
    name: &str,
    read: fn(&str) -> Result<A, String>,
    evaluate: fn(&A, &str) -> R,
) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(name, 2, flags, move |context: &Context<'_>| {
        let argument = context.get_or_create_aux(1, |argument: ValueRef<'_>| {
            read(argument.as_str()?).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })?;
        Ok(evaluate(&argument, context.get_raw(0).as_str()?))
    })
}

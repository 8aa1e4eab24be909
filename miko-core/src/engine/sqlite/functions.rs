//! What SQLite calls back: the conditions of Q0.
//!
//! Conditions are evaluated here and not by SQLite's JSON functions (`docs/decisions/0002`): it is faster on text, and
//! numbers and keys keep their exact meaning.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::query::Path;

/// `q0_path(bucket, path)`: does the path hold for the bucket?
pub(super) const PATH: &str = "q0_path";

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(PATH, 2, flags, |context| {
        // SQLite keeps what was made of a bound value for as long as the statement runs: the path is read once.
        let path = context.get_or_create_aux(1, |path: ValueRef<'_>| {
            let text = path.as_str()?;
            Path::from_text(text).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })?;
        Ok(path.holds(context.get_raw(0).as_str()?))
    })
}

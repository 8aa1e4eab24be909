//! The SQL that creates the tables.

const TABLES: &str = include_str!("../../../schema/sqlite.sql");

/// The additional tables of a temporal database.
const TEMPORAL: &str = include_str!("../../../schema/temporal.sql");

/// The SQL that creates the tables of a new database.
pub(super) fn tables(is_temporal: bool) -> String {
    format!("{TABLES}{}", if is_temporal { TEMPORAL } else { "" })
}

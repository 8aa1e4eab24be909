//! The SQL that creates the tables.

/// The tables that every database has.
const TABLES: &str = include_str!("../../../schema/sqlite.sql");

/// The tables of index entries and claims, which a database in memory has as maps.
const ENTRIES: &str = include_str!("../../../schema/entries.sql");

/// The additional tables of a temporal database.
const TEMPORAL: &str = include_str!("../../../schema/temporal.sql");

/// The SQL that creates all tables, as a database in a file has them.
pub(super) fn tables(is_temporal: bool) -> String {
    format!("{}{ENTRIES}", tables_without_entries(is_temporal))
}

/// The SQL that creates the tables of a database in memory, which has index entries and claims in maps.
pub(super) fn tables_without_entries(is_temporal: bool) -> String {
    format!("{TABLES}{}", if is_temporal { TEMPORAL } else { "" })
}

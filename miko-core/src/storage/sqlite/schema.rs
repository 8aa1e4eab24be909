//! The SQL that creates the tables.

/// The tables that every database has.
const TABLES: &str = include_str!("../../../schema/sqlite.sql");

/// The index of pks, and the tables of index entries and claims. A database in memory has maps instead.
/// References are index entries, too, but every database has them in a table of [`TABLES`].
const ENTRIES: &str = include_str!("../../../schema/entries.sql");

/// The additional tables of a temporal database.
const TEMPORAL: &str = include_str!("../../../schema/temporal.sql");

/// The SQL that creates all tables, as a database in a file has them.
pub(super) fn tables(is_temporal: bool) -> String {
    format!("{}{ENTRIES}", tables_without_entries(is_temporal))
}

/// The SQL that creates the tables of a database in memory. It has maps in place of [`ENTRIES`].
pub(super) fn tables_without_entries(is_temporal: bool) -> String {
    format!("{TABLES}{}", if is_temporal { TEMPORAL } else { "" })
}

//! Engines: what holds the records of a Mikobase in its own process.

mod sqlite;

use std::io::{Read, Write};

use crate::error::Result;
use crate::mikobase::Mikobase;
use crate::worldlet::Imported;

pub use sqlite::{Explanation, SqliteEngine};

/// A Mikobase in this process, which can therefore give away its whole state.
pub trait Engine: Mikobase {
    /// Writes the whole state as a worldlet, record by record.
    ///
    /// The text is canonical: the same state gives the same text, one record per line.
    ///
    /// # Errors
    /// If the store could not be read, or `writer` failed; it may have got a part of the worldlet by then.
    fn export_worldlet(&self, writer: &mut dyn Write) -> Result<()>;

    /// Writes all records of a worldlet, over those that have the same pk. Definitions hold for all of them, wherever they
    /// stand. Records are checked and stay as they are: no defaults, no `collapse`, no other order of fields.
    ///
    /// With `trust`, what validation finds becomes a warning: an export of a Mikobase can always be imported so, though
    /// definitions changed after its records were written.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; nothing was imported then.
    fn import_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported>;
}

//! Engines: what holds the records of a Mikobase in its own process.

mod sqlite;

use std::io::Write;

use crate::error::Result;
use crate::mikobase::Mikobase;

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
}

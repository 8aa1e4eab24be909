//! `miko schema check`: imports schemas and worldlets into an empty database to find their faults.

use std::path::{Path, PathBuf};

use miko_core::is_temporal_worldlet;
use mikobase::backend::{Backend, Location, Mode};
use mikobase::{Error, json};
use serde_json::Value;

use crate::exit::{Exit, Failure, print_stderr};
use crate::open;

/// Checks each file on its own, also after one has failed.
pub(crate) fn run(files: &[PathBuf]) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for path in files {
        match check(path) {
            Ok(summary) => print_stderr(format_args!("{}: {summary}", path.display())),
            Err(failure) => exit = Exit::report(failure),
        }
    }
    Ok(exit)
}

fn check(path: &Path) -> Result<String, Failure> {
    let text = open::read_text(path)?;
    let in_file = |error: Error| error.with_all("path", path.display().to_string());
    // A file that is not JSON is read as a worldlet, whose faults are reported with their places.
    if let Some(schema) = json::parse(&text).ok().filter(is_schema) {
        let engine = Backend::from(Location::SqliteMemory).open(Mode::ReadWrite)?;
        let changes = engine.import_schema(schema).map_err(in_file)?;
        return Ok(format!("{} classes", changes.created.len()));
    }
    let temporal = is_temporal_worldlet(&mut text.as_bytes());
    let engine = Backend { temporal, ..Location::SqliteMemory.into() }.open(Mode::ReadWrite)?;
    let imported = engine.read_worldlet(&mut text.as_bytes(), false).map_err(in_file)?;
    Ok(format!("{} records", imported.records))
}

/// Whether a document is a schema: `{"classes": {…}}`.
fn is_schema(document: &Value) -> bool {
    document.as_object().is_some_and(|keys| keys.len() == 1 && keys.contains_key("classes"))
}

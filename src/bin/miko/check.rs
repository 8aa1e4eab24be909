//! `miko schema check`: imports schemas and worldlets into an empty database to find their faults.

use std::path::{Path, PathBuf};

use mikobase::{Engine, Mikobase, SqliteEngine};

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
    let engine = SqliteEngine::in_memory()?;
    let document = open::read_json(path)?;
    let in_file = |error: mikobase::Error| error.with_all("path", path.display().to_string());
    let is_schema = document.as_object().is_some_and(|keys| keys.len() == 1 && keys.contains_key("classes"));
    if is_schema {
        let changes = engine.import_schema(document).map_err(in_file)?;
        Ok(format!("{} classes", changes.created.len()))
    } else {
        let imported = engine.read_worldlet(&mut document.to_string().as_bytes(), false).map_err(in_file)?;
        Ok(format!("{} records", imported.records))
    }
}

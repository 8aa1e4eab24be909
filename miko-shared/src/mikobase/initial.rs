//! The initial content of a shared Mikobase: schemas and worldlets that the server loads before the first
//! worker starts.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use miko_core::Engine;
use miko_rpc::{Error, ErrorId, Result, json};
use serde_json::Value;

/// One source of initial content. Sources are loaded in the order in which they were set.
#[derive(Clone)]
pub(super) enum InitialContent {
    Schema(Value),
    SchemaFile(PathBuf),
    Worldlet(String),
    WorldletFile(PathBuf),
}

impl InitialContent {
    /// Loads the source into a new engine.
    ///
    /// # Errors
    /// The errors of the import; `invalid_request`, if a file cannot be read. An error of a file has the
    /// detail `path`.
    pub(super) fn load(&self, engine: &dyn Engine) -> Result<()> {
        let trust = false; // Violated rules of classes fail the share.
        match self {
            Self::Schema(schema) => engine.import_schema(schema.clone()).map(drop),
            Self::SchemaFile(path) => {
                let mut text = String::new();
                open(path)?.read_to_string(&mut text).map_err(|fault| unreadable(path, fault))?;
                let schema = json::parse(&text).and_then(|schema| engine.import_schema(schema));
                schema.map(drop).map_err(|error| with_path(error, path))
            }
            Self::Worldlet(text) => engine.read_worldlet(&mut text.as_bytes(), trust).map(drop),
            Self::WorldletFile(path) => {
                let imported = engine.read_worldlet(&mut BufReader::new(open(path)?), trust);
                imported.map(drop).map_err(|error| with_path(error, path))
            }
        }
    }
}

/// Checks that a file can be opened. The builder calls this function, so that a misspelt path is reported
/// before the share starts. A pipe is not opened here, but only when it is loaded: opening and closing it now
/// would break the pipe for its writer.
pub(super) fn check_file(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|fault| unreadable(path, fault))?;
    if metadata.is_file() { open(path).map(drop) } else { Ok(()) }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|fault| unreadable(path, fault))
}

/// The error of a file that cannot be read.
fn unreadable(path: &Path, fault: std::io::Error) -> Error {
    with_path(Error::caused_by(ErrorId::INVALID_REQUEST, "the file cannot be read", fault), path)
}

fn with_path(error: Error, path: &Path) -> Error {
    error.with_all("path", path.display().to_string())
}

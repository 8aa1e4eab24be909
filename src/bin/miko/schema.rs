//! `miko schema`: imports, exports, shows and checks class definitions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use mikobase::{Error, ErrorId, Mikobase, uns};
use serde_json::{Map, Value};

use crate::check;
use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, Purpose, ServerAddress};
use crate::output::{Output, printable};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Define the classes of a schema: creates missing ones, updates different ones, leaves equal ones
    /// unchanged.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        #[command(flatten)]
        server: ServerAddress,
        /// A file `{"classes": {name: definition}}`, or `-`, after the backend if there is one.
        #[arg(value_name = "[BACKEND] FILE", num_args = 1..=2, required = true)]
        words: Vec<String>,
    },
    /// Print all class definitions, in the form that `import` reads.
    Export {
        #[command(flatten)]
        server: ServerAddress,
        #[command(flatten)]
        output: Output,
        /// A backend URL or a path.
        backend: Option<String>,
    },
    /// List the classes, or show one of them.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        #[command(flatten)]
        server: ServerAddress,
        #[command(flatten)]
        output: Output,
        /// The name of a class, after the backend if there is one. Without a name all classes are listed.
        #[arg(value_name = "[BACKEND] [CLASS]", num_args = 0..=2)]
        words: Vec<String>,
    },
    /// Report all faults of schemas and worldlets, without a database.
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Files, or `-`.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

const IMPORT_EXAMPLES: &str = "Examples:
  miko schema import crew.db schema/starfleet.json
  miko schema import schema/starfleet.json        # into the server of MIKOBASE_SOCKET";

const SHOW_EXAMPLES: &str = "Examples:
  miko schema show crew.db
  miko schema show crew.db starfleet.com/officer
  miko schema show starfleet.com/officer          # of the server of MIKOBASE_SOCKET";

const CHECK_EXAMPLES: &str = "Examples:
  miko schema check schema/*.json";

pub(crate) fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Import { server, words } => import(server, words),
        Command::Export { server, output, backend } => {
            output.write_value(&server.open(backend.as_deref(), Purpose::Read)?.export_schema()?)?;
            Ok(Exit::Success)
        }
        Command::Show { server, output, words } => {
            let (backend, class) = match &words[..] {
                [] => (None, None),
                [backend] if open::is_backend(backend) => (Some(backend), None),
                [class] => (None, Some(class)),
                [backend, class, ..] => (Some(backend), Some(class)),
            };
            let db = server.open(backend.map(String::as_str), Purpose::Read)?;
            show(&*db, output, class.map(String::as_str))
        }
        Command::Check { files } => check::run(files),
    }
}

fn import(server: &ServerAddress, words: &[String]) -> Result<Exit, Failure> {
    let (backend, file) = match words {
        // A path that ends in .json names a worldlet backend, but may also be a schema.
        [file] if !open::is_backend(file) || file.ends_with(".json") => (None, file),
        [backend, file] => (Some(backend.as_str()), file),
        _ => return Err(Failure::Usage("name a file, after the backend if there is one".to_owned())),
    };
    server.check_named(backend)?;
    let schema = open::read_json(Path::new(file))?;
    let db = server.open(backend, Purpose::Create)?;
    let changes = db.import_schema(schema).map_err(|error| error.with_all("path", file.as_str()))?;
    for (what, classes) in
        [("created", changes.created), ("updated", changes.updated), ("unchanged", changes.unchanged)]
    {
        for class in classes {
            print_stderr(format_args!("{what} {class}"));
        }
    }
    Ok(Exit::Success)
}

fn show(db: &dyn Mikobase, output: &Output, class: Option<&str>) -> Result<Exit, Failure> {
    let schema = db.export_schema()?;
    let classes = schema["classes"].as_object().cloned().unwrap_or_default();
    match class {
        None => list(&classes)?,
        Some(name) => match classes.get(uns::parse(name).unwrap_or(name)) {
            Some(definition) => output.write_value(definition)?,
            None => {
                let known: Vec<&str> = classes.keys().map(String::as_str).collect();
                let error = Error::new(ErrorId::CLASS_NOT_FOUND, "no such class is defined");
                return Err(Failure::Request(error.with("class", name).with("known", known)));
            }
        },
    }
    Ok(Exit::Success)
}

/// Prints a line per class: its name, its parents and its own fields.
fn list(classes: &Map<String, Value>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for (name, definition) in classes {
        let mut line = name.clone();
        let parents = match &definition["inherits"] {
            Value::String(parent) => vec![parent.as_str()],
            Value::Array(parents) => parents.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !parents.is_empty() {
            line += &format!(" : {}", parents.join(", "));
        }
        let fields: Vec<&str> =
            definition["fields"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        if !fields.is_empty() {
            line += &format!(" {{ {} }}", fields.join(", "));
        }
        writeln!(stdout, "{}", printable(&line))?;
    }
    stdout.flush()
}

//! `miko import`: imports worldlets into a database.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, Purpose, ServerAddress};
use crate::progress;

/// The arguments of `miko import`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    /// The database, a backend URL or a path, and worldlets; `-` is standard input. With `--socket`, or if
    /// only one is named, all are worldlets. With MIKOBASE_SOCKET a first word that ends in .json is refused:
    /// it may be either.
    #[arg(value_name = "[BACKEND] FILE", required = true)]
    words: Vec<PathBuf>,
    /// Import records that break a rule of their class or have a dangling reference, with a warning.
    #[arg(long)]
    trust: bool,
}

const EXAMPLES: &str = "Examples:
  miko import crew.db schema/starfleet.worldlet.json
  miko export old.db | miko import --trust new.db -
  miko import --socket $MIKOBASE_SOCKET one.json other.json

Each file is imported as a whole or not at all; the command ends at the first that fails.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    // A missing file is an error before a database is created.
    let (backend, files) = match &args.words[..] {
        [first, second, ..] if args.server.is_named_by_environment() && is_json(first) => {
            return Err(ambiguous(first, second));
        }
        [backend, files @ ..] if !args.server.is_given() && !files.is_empty() => {
            let backend = backend.to_str().ok_or_else(|| not_utf8(backend))?;
            (Some(backend), files)
        }
        files => (None, files),
    };
    args.server.check_named(backend)?;
    files.iter().try_for_each(|path| open::check(path))?;
    let db = args.server.open_engine(backend, Purpose::Create)?;
    for path in files {
        let (reader, length) = open::reader(path)?;
        let bar = progress::of_bytes(&path.display().to_string(), length);
        // The parser reads single bytes.
        let mut reader = BufReader::with_capacity(1 << 16, bar.wrap_read(reader));
        let imported = db.read_worldlet(&mut reader, args.trust);
        bar.finish_and_clear();
        let imported = imported.map_err(|error| error.with_all("path", path.display().to_string()))?;
        for warning in &imported.warnings {
            print_stderr(format_args!("miko: warning: {warning}"));
        }
        print_stderr(format_args!("{}: {} records", path.display(), imported.records));
    }
    Ok(Exit::Success)
}

/// Whether a word may name a worldlet to read as well as a database to write. A backend URL names a database.
fn is_json(word: &Path) -> bool {
    let is_url = word.starts_with("mikobase.uno") || word.starts_with("https:");
    !is_url && word.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Nothing is written to a file that may have been meant as one to read.
fn ambiguous(first: &Path, second: &Path) -> Failure {
    let (first, second) = (first.display(), second.display());
    Failure::Usage(format!(
        "`{first}` may be the database or a worldlet for the server of MIKOBASE_SOCKET: write \
         `--socket \"$MIKOBASE_SOCKET\" {first} {second}` to import both into that server, or \
         `'mikobase.uno/worldlet?path={first}' {second}` to import `{second}` into `{first}`"
    ))
}

fn not_utf8(backend: &Path) -> Failure {
    Failure::Usage(format!("the backend is not UTF-8 text: {}", backend.display()))
}

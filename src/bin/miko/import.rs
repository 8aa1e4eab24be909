//! `miko import`: imports worldlets into a database.

use std::io::BufReader;
use std::path::PathBuf;

use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, IfMissing};
use crate::progress;

/// The arguments of `miko import`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database: a backend URL or a path.
    backend: String,
    /// Worldlets; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Import records that break a rule of their class or have a dangling reference, with a warning.
    #[arg(long)]
    trust: bool,
}

const EXAMPLES: &str = "Examples:
  miko import crew.db schema/starfleet.worldlet.json
  miko export old.db | miko import --trust new.db -

Each file is imported as a whole or not at all; the command ends at the first that fails.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    // A missing file is an error before a database is created.
    args.files.iter().try_for_each(|path| open::check(path))?;
    let engine = open::engine(&args.backend, IfMissing::Create)?;
    for path in &args.files {
        let (reader, length) = open::reader(path)?;
        let bar = progress::of_bytes(&path.display().to_string(), length);
        // The parser reads single bytes.
        let mut reader = BufReader::with_capacity(1 << 16, bar.wrap_read(reader));
        let imported = engine.read_worldlet(&mut reader, args.trust);
        bar.finish_and_clear();
        let imported = imported.map_err(|error| error.with_all("path", path.display().to_string()))?;
        for warning in &imported.warnings {
            print_stderr(format_args!("miko: warning: {warning}"));
        }
        print_stderr(format_args!("{}: {} records", path.display(), imported.records));
    }
    Ok(Exit::Success)
}

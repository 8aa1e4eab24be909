//! `miko import`: worldlets into a database.

use std::io::BufReader;
use std::path::PathBuf;

use crate::exit::{Exit, Failure, say};
use crate::open::{self, Missing};
use crate::progress;

/// The words of `miko import`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to: a backend URL or a path.
    backend: String,
    /// Worldlets; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Take records that break a rule of their class, or point at nothing, with a warning.
    #[arg(long)]
    trust: bool,
}

const EXAMPLES: &str = "Examples:
  miko import crew.db schema/starfleet.worldlet.json
  miko export old.db | miko import --trust new.db -

Each file is imported whole or not at all; the first that is not ends the command.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    // A misspelt file is told before a database is created for it.
    args.files.iter().try_for_each(|path| open::check(path))?;
    let engine = open::engine(&args.backend, Missing::Create)?;
    for path in &args.files {
        let (reader, length) = open::reader(path)?;
        let bar = progress::of_bytes(&path.display().to_string(), length);
        // The parser takes byte by byte.
        let mut reader = BufReader::with_capacity(1 << 16, bar.wrap_read(reader));
        let imported = engine.read_worldlet(&mut reader, args.trust);
        bar.finish_and_clear();
        let imported = imported.map_err(|error| error.with_all("path", path.display().to_string()))?;
        for warning in &imported.warnings {
            say(format_args!("miko: warning: {warning}"));
        }
        say(format_args!("{}: {} records", path.display(), imported.records));
    }
    Ok(Exit::Success)
}

//! `miko export`: writes a database as a worldlet.

use std::io::Write;
use std::path::PathBuf;

use miko_core::atomic_file;

use crate::exit::{Exit, Failure};
use crate::open::{Purpose, ServerAddress};
use crate::output::Stdout;
use crate::progress;

/// The arguments of `miko export`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    /// The database: a backend URL or a path. Without one, that of the running server.
    backend: Option<String>,
    /// Write to this file, which appears only when it is complete.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  miko export crew.db --out crew.json
  miko export --socket $MIKOBASE_SOCKET > crew.json
  diff <(miko export one.db) <(miko export other.db)";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let db = args.server.open_engine(args.backend.as_deref(), Purpose::Read)?;
    match &args.out {
        None => {
            Stdout::write_whole(|stdout| {
                db.write_worldlet(stdout)?;
                Ok(stdout.write_all(b"\n")?)
            })?;
        }
        Some(path) => {
            let bar = progress::of_bytes(&path.display().to_string(), None);
            let written = atomic_file::write_text(path, |file| db.write_worldlet(&mut bar.wrap_write(file)));
            bar.finish_and_clear();
            written?;
        }
    }
    Ok(Exit::Success)
}

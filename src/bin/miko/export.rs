//! `miko export`: a database as a worldlet.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mikobase::Engine;
use tempfile::NamedTempFile;

use crate::exit::{Exit, Failure};
use crate::{open, progress};

/// The words of `miko export`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where from: a backend URL or a path.
    backend: String,
    /// Write to this file, which is there only when it is complete.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  miko export crew.db --out crew.json
  diff <(miko export one.db) <(miko export other.db)";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let engine = open::engine(&args.backend)?;
    match &args.out {
        None => {
            let mut stdout = BufWriter::new(io::stdout().lock());
            engine.export_worldlet(&mut stdout)?;
            stdout.write_all(b"\n")?;
            stdout.flush()?;
        }
        Some(path) => write_file(&*engine, path)?,
    }
    Ok(Exit::Success)
}

/// Writes beside the file and renames, so that under its name there is the old content or the new.
pub(crate) fn write_file(engine: &dyn Engine, path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = NamedTempFile::new_in(folder).map_err(Failure::file(path))?;
    let bar = progress::of_bytes(&path.display().to_string(), None);
    let mut writer = BufWriter::new(bar.wrap_write(unfinished.as_file()));
    engine.export_worldlet(&mut writer)?;
    writer.flush().map_err(Failure::file(path))?;
    drop(writer);
    bar.finish_and_clear();
    unfinished.as_file().sync_all().map_err(Failure::file(path))?;
    unfinished.persist(path).map_err(|fault| Failure::File(path.to_owned(), fault.error))?;
    Ok(())
}

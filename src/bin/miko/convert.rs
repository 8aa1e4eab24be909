//! `miko convert`: a whole Mikobase from one form into another.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use miko_core::atomic_file;
use mikobase::{Engine, Error, ErrorId, MikobaseExt, json};

use crate::exit::{Exit, Failure};
use crate::open;

/// The words of `miko convert`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What there is: a worldlet (a path that ends in .json, or - for standard input), a backend URL, or the path of a
    /// database.
    from: String,
    /// What is to be: the same, with - for standard output. It must not be there yet, or be an empty database.
    to: String,
    /// Take records that break a rule of their class, or point at nothing, with a warning.
    #[arg(long)]
    trust: bool,
}

const EXAMPLES: &str = "Examples:
  miko convert crew.db crew.json
  miko convert crew.json copy.db
  miko convert hand-written.json - | diff hand-written.json -

A worldlet that becomes a worldlet comes out in the form in which all are exported.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    match (worldlet(&args.from), worldlet(&args.to)) {
        (Some(from), Some(to)) => {
            let engine = open::engine("mikobase.uno/sqlite/memory")?;
            import(&*engine, open::reader(from)?.0, args)?;
            export(&*engine, to)?;
        }
        (Some(from), None) => import(&*empty(&args.to)?, open::reader(from)?.0, args)?,
        (None, Some(to)) => export(&*open::engine(&args.from)?, to)?,
        (None, None) => {
            // In a file that nobody else sees: a database may be larger than the memory.
            let mut between = tempfile::tempfile()?;
            write(&*open::engine(&args.from)?, &mut between)?;
            between.rewind()?;
            import(&*empty(&args.to)?, Box::new(between), args)?;
        }
    }
    Ok(Exit::Success)
}

/// The path, if the word means a worldlet.
fn worldlet(word: &str) -> Option<&Path> {
    let path = Path::new(word);
    (word == "-" || path.extension().is_some_and(|extension| extension == "json")).then_some(path)
}

/// Opens a database that is to be filled.
fn empty(backend: &str) -> Result<Box<dyn Engine>, Failure> {
    let engine = open::engine(backend)?;
    if engine.count(json!({"limit": 1}))? > 0 {
        return Err(there_already(backend, "it holds records: `miko import` adds to a database"));
    }
    Ok(engine)
}

fn there_already(to: &str, message: &str) -> Failure {
    Failure::Request(Error::new(ErrorId::INVALID_REQUEST, message).with("path", to))
}

fn import(engine: &dyn Engine, reader: Box<dyn Read + '_>, args: &Args) -> Result<(), Failure> {
    // The parser takes byte by byte.
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let imported = engine.read_worldlet(&mut reader, args.trust);
    let imported = imported.map_err(|error| error.with_all("path", args.from.as_str()))?;
    imported.warnings.iter().for_each(|warning| eprintln!("miko: warning: {warning}"));
    eprintln!("{}: {} records", args.from, imported.records);
    Ok(())
}

fn export(engine: &dyn Engine, to: &Path) -> Result<(), Failure> {
    if to == Path::new("-") {
        let mut stdout = io::stdout().lock();
        write(engine, &mut stdout)?;
        return Ok(stdout.write_all(b"\n")?);
    }
    if to.exists() {
        return Err(there_already(&to.display().to_string(), "there is such a file already"));
    }
    Ok(atomic_file::write(to, |file| engine.write_worldlet(file))?)
}

fn write(engine: &dyn Engine, file: &mut impl Write) -> Result<(), Failure> {
    let mut writer = BufWriter::new(file);
    engine.write_worldlet(&mut writer)?;
    Ok(writer.flush()?)
}

//! `miko convert`: a whole Mikobase from one form into another.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use miko_core::{atomic_file, is_temporal_worldlet};
use mikobase::backend::{Backend, Mode, Storage};
use mikobase::{Engine, Error, ErrorId, MikobaseExt, json};

use crate::exit::{Exit, Failure, say};
use crate::open::{self, Missing};
use crate::output::Stdout;

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

A worldlet that becomes a worldlet comes out in the form in which all are exported. What is made
of a temporal one is temporal.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    if let (None, Some(to)) = (worldlet(&args.from), worldlet(&args.to)) {
        export(&*open::engine(&args.from, Missing::Refuse)?, to)?;
        return Ok(Exit::Success);
    }
    let mut text = text(args)?;
    // What is made of a temporal worldlet keeps every version as well.
    let temporal = is_temporal_worldlet(&mut BufReader::new(&mut text));
    text.rewind()?;
    match worldlet(&args.to) {
        Some(to) => {
            let engine = Backend { storage: Storage::SqliteMemory, temporal, strict: false };
            let engine = engine.open(Mode::ReadWrite)?;
            import(&*engine, text, args)?;
            export(&*engine, to)?;
        }
        None => fill(text, temporal, args)?,
    }
    Ok(Exit::Success)
}

/// The worldlet that is to be converted, in a file that can be read more than once: a database may be larger than the memory.
fn text(args: &Args) -> Result<File, Failure> {
    let mut between = tempfile::tempfile()?;
    match worldlet(&args.from) {
        Some(path) if path == Path::new("-") => {
            io::copy(&mut io::stdin().lock(), &mut between)?;
        }
        Some(path) => return open::source(path),
        None => {
            let mut writer = BufWriter::new(&mut between);
            open::engine(&args.from, Missing::Refuse)?.write_worldlet(&mut writer)?;
            writer.flush()?;
        }
    }
    between.rewind()?;
    Ok(between)
}

/// Fills a database. One that is made for it is there as a whole or not at all.
fn fill(text: File, temporal: bool, args: &Args) -> Result<(), Failure> {
    let mut backend: Backend = args.to.parse().map_err(Failure::Unreachable)?;
    let new = match &backend.storage {
        Storage::SqliteFile(path) | Storage::Worldlet(Some(path)) if !path.exists() => Some(path.clone()),
        _ => None,
    };
    backend.temporal |= temporal && new.is_some();
    let filled = empty(&backend, args).and_then(|engine| import(&*engine, text, args));
    if let (Err(_), Some(path)) = (&filled, new) {
        // Nothing was imported, so nothing is lost; if it stays, it is empty.
        let _ = fs::remove_file(path);
    }
    filled
}

/// The path, if the word means a worldlet.
fn worldlet(word: &str) -> Option<&Path> {
    let path = Path::new(word);
    (word == "-" || path.extension().is_some_and(|extension| extension == "json")).then_some(path)
}

/// Opens a database that is to be filled.
fn empty(backend: &Backend, args: &Args) -> Result<Box<dyn Engine>, Failure> {
    let engine = backend.open(Mode::ReadWrite).map_err(Failure::Unreachable)?;
    if engine.count(json!({"limit": 1}))? > 0 {
        return Err(there_already(&args.to, "it holds records: `miko import` adds to a database"));
    }
    Ok(engine)
}

fn there_already(to: &str, message: &str) -> Failure {
    Failure::Request(Error::new(ErrorId::INVALID_REQUEST, message).with("path", to))
}

fn import(engine: &dyn Engine, text: File, args: &Args) -> Result<(), Failure> {
    // The parser takes byte by byte.
    let mut reader = BufReader::with_capacity(1 << 16, text);
    let imported = engine.read_worldlet(&mut reader, args.trust);
    let imported = imported.map_err(|error| error.with_all("path", args.from.as_str()))?;
    imported.warnings.iter().for_each(|warning| say(format_args!("miko: warning: {warning}")));
    say(format_args!("{}: {} records", args.from, imported.records));
    Ok(())
}

fn export(engine: &dyn Engine, to: &Path) -> Result<(), Failure> {
    if to == Path::new("-") {
        return Stdout::write_whole(|stdout| {
            engine.write_worldlet(stdout)?;
            Ok(stdout.write_all(b"\n")?)
        });
    }
    if to.exists() {
        return Err(there_already(&to.display().to_string(), "there is such a file already"));
    }
    Ok(atomic_file::write_text(to, |file| engine.write_worldlet(file))?)
}

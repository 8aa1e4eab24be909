//! `miko convert`: converts a whole Mikobase from one form to another.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use miko_core::{atomic_file, is_temporal_worldlet};
use mikobase::backend::{Backend, Location, Mode};
use mikobase::{Engine, Error, ErrorId, MikobaseExt, json};

use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, Purpose};
use crate::output::Stdout;

/// The arguments of `miko convert`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The source: a worldlet (a path that ends in .json, or - for standard input), a backend URL, or the
    /// path of a database.
    from: String,
    /// The target, as the source, with - for standard output. It must not exist, or be an empty database.
    to: String,
    /// Import records that break a rule of their class or have a dangling reference, with a warning.
    #[arg(long)]
    trust: bool,
}

const EXAMPLES: &str = "Examples:
  miko convert crew.db crew.json
  miko convert crew.json copy.db
  miko convert hand-written.json - | diff hand-written.json -

From worldlet to worldlet, the command writes the canonical form. The target of a temporal
source is temporal.";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    if let (None, Some(to)) = (worldlet_path(&args.from), worldlet_path(&args.to)) {
        export(&*open::engine(&args.from, Purpose::Read)?, to)?;
        return Ok(Exit::Success);
    }
    let mut text = source_text(args)?;
    // The target of a temporal worldlet keeps every version as well.
    let temporal = is_temporal_worldlet(&mut BufReader::new(&mut text));
    text.rewind()?;
    match worldlet_path(&args.to) {
        Some(to) => {
            let engine = Backend { temporal, ..Location::SqliteMemory.into() };
            let engine = engine.open(Mode::ReadWrite)?;
            import(&*engine, text, args)?;
            export(&*engine, to)?;
        }
        None => fill(text, temporal, args)?,
    }
    Ok(Exit::Success)
}

/// The source as a worldlet, in a file that can be read twice. It is not held in memory: a database may be
/// larger.
fn source_text(args: &Args) -> Result<File, Failure> {
    let mut temporary = tempfile::tempfile()?;
    match worldlet_path(&args.from) {
        Some(path) if path == Path::new("-") => {
            io::copy(&mut io::stdin().lock(), &mut temporary)?;
        }
        Some(path) => return open::source(path),
        None => {
            let mut writer = BufWriter::new(&mut temporary);
            open::engine(&args.from, Purpose::Read)?.write_worldlet(&mut writer)?;
            writer.flush()?;
        }
    }
    temporary.rewind()?;
    Ok(temporary)
}

/// Imports the worldlet into the target database. If that fails, a newly created database is removed.
fn fill(text: File, temporal: bool, args: &Args) -> Result<(), Failure> {
    let mut backend: Backend = args.to.parse().map_err(Failure::Open)?;
    // Another process that creates the file at the same time may have written to it already.
    let created = backend.path().filter(|path| File::create_new(path).is_ok()).map(Path::to_owned);
    backend.temporal |= temporal && open::is_missing(&args.to);
    let remove_created = || {
        // If the removal fails, an empty database remains.
        let _ = created.as_deref().map(fs::remove_file);
    };
    let engine = open_empty(&backend, args).inspect_err(|failure| {
        let is_in_use = matches!(failure, Failure::Open(error) if error.is(ErrorId::BACKEND_IN_USE));
        if !is_in_use && open::is_missing(&args.to) {
            remove_created();
        }
    })?;
    // The engine has the lock of the file, so nobody else has written to it.
    import(&*engine, text, args).inspect_err(|_| remove_created())
}

/// The path, if the argument names a worldlet by a path, and not by a backend URL.
fn worldlet_path(word: &str) -> Option<&Path> {
    let path = Path::new(word);
    let is_url = || word.parse().is_ok_and(|backend: Backend| backend.path() != Some(path));
    (word == "-" || path.extension().is_some_and(|extension| extension == "json") && !is_url())
        .then_some(path)
}

/// Opens the target database, which must have no records.
fn open_empty(backend: &Backend, args: &Args) -> Result<Box<dyn Engine>, Failure> {
    let engine = backend.open(Mode::ReadWrite).map_err(Failure::Open)?;
    if engine.count(json!({"limit": 1}))? > 0 {
        return Err(already_exists(&args.to, "it holds records: `miko import` adds to a database"));
    }
    Ok(engine)
}

fn already_exists(to: &str, message: &str) -> Failure {
    Failure::Request(Error::new(ErrorId::INVALID_REQUEST, message).with("path", to))
}

fn import(engine: &dyn Engine, text: File, args: &Args) -> Result<(), Failure> {
    // The parser reads single bytes.
    let mut reader = BufReader::with_capacity(1 << 16, text);
    let imported = engine.read_worldlet(&mut reader, args.trust);
    let imported = imported.map_err(|error| error.with_all("path", args.from.as_str()))?;
    imported.warnings.iter().for_each(|warning| print_stderr(format_args!("miko: warning: {warning}")));
    print_stderr(format_args!("{}: {} records", args.from, imported.records));
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
        return Err(already_exists(&to.display().to_string(), "there is such a file already"));
    }
    Ok(atomic_file::write_text(to, |file| engine.write_worldlet(file))?)
}

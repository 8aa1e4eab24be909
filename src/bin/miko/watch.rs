//! `miko watch`: prints changes of records, or of the result of a select, or runs a command for each.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use mikobase::{Change, ChangeOptions, ErrorId, Query, ResultChange, Stream, Target, json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, Purpose, ServerAddress};
use crate::output::Output;

/// The arguments of `miko watch`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    output: Output,
    /// Begin with the records that are there now.
    #[arg(long, conflicts_with = "from")]
    snapshot: bool,
    /// Resume after the change with this `seq`.
    #[arg(long, value_name = "SEQ", allow_negative_numbers = true)]
    from: Option<i64>,
    /// Tell of records that do not match any more.
    #[arg(long)]
    leaving: bool,
    /// Run a shell command for each change instead of printing it. It has the change in its standard input,
    /// and its kind, pk and seq in MIKOBASE_KIND, MIKOBASE_PK and MIKOBASE_SEQ. If it fails, the watch ends.
    /// A pk with a NUL character is in the standard input only.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// A class, a pk, or a condition as JSON, after the backend if there is one. A request with the action
    /// `select` prints its result, and then what enters, leaves, moves and changes in it. A file that is
    /// named as the backend has changes to tell of if a server has it open; else this command opens it
    /// alone.
    #[arg(value_name = "[BACKEND] TARGET", num_args = 1..=2, required = true)]
    words: Vec<String>,
}

/// The variable that has the pk of a change. A variable cannot hold a NUL character.
const PK: &str = "MIKOBASE_PK";

const EXAMPLES: &str = r#"Examples:
  miko watch starfleet.com/officer
  miko watch --snapshot --leaving '{"class": "starfleet.com/officer", "path": ["age", {"gte": 60}]}'
  miko watch --exec 'jq -r .record.bucket.name >> names.txt' starfleet.com/officer
  miko watch --from 1838984748360707 starfleet.com/officer
  miko watch '{"action": "select", "class": "starfleet.com/officer", "sort": ["age"], "limit": 10}'"#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (backend, target) = match &args.words[..] {
        [target] if !open::is_backend(target) => (None, target),
        [backend, target] => (Some(backend.as_str()), target),
        _ => return Err(Failure::Usage("name a target, after the backend if there is one".to_owned())),
    };
    let watched = match target.trim_start().starts_with('{') {
        true => Watched::of(json::parse(target)?),
        false => Watched::Records(target.as_str().into()),
    };
    let db = args.server.open(backend, Purpose::Write)?;
    match watched {
        Watched::Records(target) => {
            let options = ChangeOptions { after: args.from, leaving: args.leaving, snapshot: args.snapshot };
            args.follow(db.changes(target, options)?)
        }
        Watched::Result(_) if args.snapshot || args.from.is_some() || args.leaving => {
            let message = "--snapshot, --from and --leaving are for a target: a select has its result at \
                           first, and tells what leaves it";
            Err(Failure::Usage(message.to_owned()))
        }
        Watched::Result(select) => args.follow(db.watch_select(select)?),
    }
}

/// What is watched.
enum Watched {
    Records(Target),
    /// The result of a select.
    Result(Query),
}

impl Watched {
    fn of(json: serde_json::Value) -> Self {
        if json.get("action").is_some() { Self::Result(json) } else { Self::Records(json.into()) }
    }
}

impl Args {
    /// Prints each change, or runs the command for it.
    fn follow<T: Told>(&self, changes: Stream<T>) -> Result<Exit, Failure> {
        for change in changes {
            match change {
                Ok(change) => match &self.exec {
                    None => self.output.write_value(&change)?,
                    Some(command) => execute(command, &change)?,
                },
                Err(error) if error.is(ErrorId::LAGGED) => print_stderr(format_args!("miko: {error}")),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Exit::Success)
    }
}

/// What commands are told of.
trait Told: Serialize + DeserializeOwned + Send + 'static {
    /// Its kind, its pk and its number.
    fn summary(&self) -> (&'static str, &str, i64);
}

impl Told for Change {
    fn summary(&self) -> (&'static str, &str, i64) {
        (self.kind.as_str(), &self.pk, self.seq)
    }
}

impl Told for ResultChange {
    fn summary(&self) -> (&'static str, &str, i64) {
        (self.kind.as_str(), &self.pk, self.seq)
    }
}

/// Runs a command for a change, and waits for it.
fn execute(command: &str, change: &impl Told) -> Result<(), Failure> {
    let (kind, pk, seq) = change.summary();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env("MIKOBASE_KIND", kind).env("MIKOBASE_SEQ", seq.to_string());
    if pk.contains('\0') {
        shell.env_remove(PK);
    } else {
        shell.env(PK, pk);
    }
    let mut child = shell.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let text = to_raw_value(change).map_err(std::io::Error::from)?;
        match writeln!(stdin, "{text}") {
            // The command need not read it.
            Err(fault) if fault.kind() != ErrorKind::BrokenPipe => return Err(fault.into()),
            _ => {}
        }
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let fault = format!("the command failed for the change {seq} of {pk} ({status})");
    Err(Failure::Io(std::io::Error::other(fault)))
}

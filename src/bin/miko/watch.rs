//! `miko watch`: prints changes, or runs a command for each.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use mikobase::{Change, ChangeOptions, ErrorId, Target, json};
use serde_json::value::to_raw_value;

use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, IfMissing, ServerAddress};
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
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// A class, a pk, or a condition as JSON, after the backend if there is one. A file that is named as the
    /// backend is opened by this command alone, so only a running server has changes to tell of.
    #[arg(value_name = "[BACKEND] TARGET", num_args = 1..=2, required = true)]
    words: Vec<String>,
}

const EXAMPLES: &str = r#"Examples:
  miko watch starfleet.com/officer
  miko watch --snapshot --leaving '{"class": "starfleet.com/officer", "path": ["age", {"gte": 60}]}'
  miko watch --exec 'jq -r .record.bucket.name >> names.txt' starfleet.com/officer
  miko watch --from 1838984748360707 starfleet.com/officer"#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (backend, target) = match &args.words[..] {
        [target] if !open::is_backend(target) => (None, target),
        [backend, target] => (Some(backend.as_str()), target),
        _ => return Err(Failure::Usage("name a target, after the backend if there is one".to_owned())),
    };
    let target = match target.trim_start().starts_with('{') {
        true => Target::from(json::parse(target)?),
        false => Target::from(target.as_str()),
    };
    let db = args.server.open(backend, IfMissing::Refuse)?;
    let options = ChangeOptions { after: args.from, leaving: args.leaving, snapshot: args.snapshot };
    for change in db.changes(target, options)? {
        match change {
            Ok(change) => match &args.exec {
                None => args.output.write_value(&change)?,
                Some(command) => execute(command, &change)?,
            },
            Err(error) if error.is(ErrorId::LAGGED) => print_stderr(format_args!("miko: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Exit::Success)
}

/// Runs a command for a change, and waits for it.
fn execute(command: &str, change: &Change) -> Result<(), Failure> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .env("MIKOBASE_KIND", change.kind.as_str())
        .env("MIKOBASE_PK", &change.pk)
        .env("MIKOBASE_SEQ", change.seq.to_string())
        .stdin(Stdio::piped())
        .spawn()?;
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
    let fault = format!("the command failed for the change {} of {} ({status})", change.seq, change.pk);
    Err(Failure::Io(std::io::Error::other(fault)))
}

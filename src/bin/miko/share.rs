//! `miko share`: runs N copies of a command that share a Mikobase.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use bytesize::ByteSize;
use mikobase::{
    BoxError, ExitStatus, HttpUds, Outcome, Report, Returning, Uds, Worker, WorkerReport, Worldlet,
};

use crate::exit::{Exit, Failure, print_stderr};
use crate::output::Stdout;

/// The arguments of `miko share`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The number of copies of the command.
    workers: usize,
    /// Import the class definitions in this file before the copies start.
    #[arg(long, value_name = "FILE")]
    schema: Vec<PathBuf>,
    /// Import this worldlet before the copies start, after the schemas.
    #[arg(long, value_name = "FILE")]
    worldlet: Vec<PathBuf>,
    /// Store the records in this backend; by default in memory.
    #[arg(long, value_name = "BACKEND")]
    backend: Option<String>,
    /// Run at most K copies at once.
    #[arg(long, value_name = "K")]
    at_once: Option<usize>,
    /// Start a copy again that was killed, or ended with another code than 0; at most N times in all.
    #[arg(long, value_name = "N")]
    restart: Option<usize>,
    /// Limit the memory of the server, as in `512MiB`. A call beyond it fails with `storage-full`.
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Write the final worldlet to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write no worldlet to standard output, and no line per worker to standard error.
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

const EXAMPLES: &str = r#"Examples:
  miko share 20 --schema schema/starfleet.json -- python3 worker.py
  miko share 4 -- sh -c 'miko q0 "{\"action\": \"create\", \"bucket\": {\"worker\": $MIKOBASE_WORKER}}"'

The environment of each copy has MIKOBASE_SOCKET and MIKOBASE_TOKEN, by which miko connects to the
server, MIKOBASE_HTTP, the socket on which the server speaks HTTP to programs of its user, and
MIKOBASE_WORKER (0 to N-1) and MIKOBASE_WORKERS (N). The standard output of the copies
goes to standard error; the final worldlet goes to standard output. The exit code is 0 only if all
copies ended with 0, in their last run, and 130 if Ctrl-C ended the share."#;

pub(crate) fn run(args: Args) -> Result<Exit, Failure> {
    let uds = configure(&args)?;
    let command = &args.command;
    let report = uds.mikobase(args.workers, |_, worker| exec_command(command, worker, &uds));
    let is_printed = args.out.is_none() && !args.quiet;
    let report = match report {
        Ok(report) => report,
        Err(failed) => {
            // After a Ctrl-C the state is delivered nevertheless. A part of one is no worldlet.
            if let Some(report) = failed.report().filter(|report| is_printed && report.state_is_complete()) {
                print_state(report)?;
            }
            return Err(Failure::from(mikobase::Error::from(failed)));
        }
    };
    if is_printed {
        print_state(&report)?;
    }
    Ok(if succeeded(&report) { Exit::Success } else { Exit::RequestFailed })
}

/// Prints the final state, as far as it is read: whether the copies succeeded does not depend on that.
fn print_state(report: &Report<(), Worldlet>) -> Result<(), Failure> {
    let printed = Stdout::write_whole(|stdout| {
        stdout.write_all(report.worldlet().as_str().as_bytes())?;
        Ok(stdout.write_all(b"\n")?)
    });
    match printed {
        Err(Failure::Io(fault)) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn configure(args: &Args) -> Result<Uds, Failure> {
    let mut uds = Uds::new()?.http(true);
    if let Some(backend) = &args.backend {
        uds = uds.backend(backend).map_err(Failure::Open)?;
    }
    for path in &args.schema {
        uds = uds.schema_file(path)?;
    }
    for path in &args.worldlet {
        uds = uds.worldlet_file(path)?;
    }
    if let Some(workers) = args.at_once {
        uds = uds.max_concurrent(workers);
    }
    if let Some(max) = args.restart {
        uds = uds.restart(max);
    }
    if let Some(size) = args.memory {
        uds = uds.memory_limit(usize::try_from(size.as_u64()).unwrap_or(usize::MAX));
    }
    if !args.quiet {
        uds = uds.on_exit(print_worker_exit);
    }
    let returning = match &args.out {
        Some(path) => Returning::File(fs::canonicalize(".").unwrap_or_default().join(path)),
        None if args.quiet => Returning::Nothing,
        None => Returning::Worldlet,
    };
    Ok(uds.returning(returning))
}

/// Replaces the worker process by the command, so that signals and the exit code are those of the command.
fn exec_command(words: &[String], worker: &Worker, uds: &Uds) -> Result<(), BoxError> {
    let (program, arguments) = words.split_first().ok_or("there is no command")?;
    let fault = Command::new(program)
        .args(arguments)
        .env("MIKOBASE_SOCKET", uds.path())
        .env("MIKOBASE_HTTP", uds.http_path())
        .env("MIKOBASE_TOKEN", uds.token().to_hex())
        .env("MIKOBASE_WORKER", worker.index().to_string())
        .env("MIKOBASE_WORKERS", worker.count().to_string())
        .stdout(io::stderr())
        .exec();
    Err(format!("`{program}` cannot be run: {fault}").into())
}

fn print_worker_exit(worker: &WorkerReport<()>) {
    let seconds = worker.duration().as_secs_f64();
    match &worker.outcome {
        Outcome::Failed { text, .. } => print_stderr(format_args!("worker {}: {text}", worker.index)),
        _ => print_stderr(format_args!("worker {}: {} after {seconds:.1} s", worker.index, worker.status)),
    }
}

fn succeeded(report: &Report<(), Worldlet>) -> bool {
    report.last_runs().all(|worker| worker.status == ExitStatus::Code(0))
}

//! The command `miko`: a Mikobase from the shell.

mod activation;
#[cfg_attr(not(feature = "bench"), path = "no_bench.rs")]
mod bench;
mod call;
mod check;
mod convert;
mod docs;
mod edit;
mod exit;
mod explain;
mod export;
mod get;
mod import;
mod logging;
mod open;
mod output;
mod progress;
mod q0;
mod schema;
mod serve;
mod share;
mod surface;
mod tls;
mod validate;
mod watch;

use clap::{Parser, Subcommand};

use crate::exit::{Exit, Failure};

/// A Mikobase from the shell.
#[derive(Parser)]
#[command(name = "miko", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    logging: logging::Args,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
BACKEND is a backend URL (mikobase.uno/sqlite/memory) or a path that ends in .db, .sqlite,
.mikobase or .json. If it is optional and omitted, --socket or MIKOBASE_SOCKET names a running
server, and MIKOBASE_TOKEN holds its token.

Exit codes:
  0    the request succeeded
  1    the request failed; the output gives the reason
  2    the arguments are invalid
  3    the backend could not be reached
  130  Ctrl-C interrupted the command";

#[derive(Subcommand)]
enum Command {
    /// Share a Mikobase with N copies of any command.
    Share(share::Args),
    /// Serve a Mikobase to other programs, on a Unix socket and over HTTP.
    Serve(serve::Args),
    /// Run Q0 requests: one from an argument, or one per line of standard input.
    Q0(q0::Args),
    /// Call any method of the interface by its name.
    Call(call::Args),
    /// Print the record with this pk.
    Get(get::Args),
    /// Print the changes of records as they are committed, one per line.
    #[command(visible_alias = "listen")]
    Watch(watch::Args),
    /// Edit values of a record, all or none: increment, push, set, test and others.
    Edit(edit::EditArgs),
    /// Merge a JSON object into the bucket of a record.
    Patch(edit::PatchArgs),
    /// Import worldlets into a database.
    Import(import::Args),
    /// Write a whole database as a worldlet.
    Export(export::Args),
    /// Convert a whole Mikobase: a worldlet to a database, or a database to a worldlet.
    Convert(convert::Args),
    /// Import, export, show or check class definitions.
    #[command(subcommand)]
    Schema(schema::Command),
    /// Check a Q0 request without running it.
    Validate(validate::Args),
    /// Show how a select is executed: its SQL, the bound values, the index.
    Explain(explain::Args),
    /// Print the surface: every method of the interface, its parameters, result and docs.
    Surface(surface::Args),
    /// Benchmark a shared Mikobase on this machine against Redis, PostgreSQL and others.
    #[cfg_attr(not(feature = "bench"), command(hide = true, disable_help_flag = true))]
    Bench(bench::Args),
    /// Print the completion script for a shell.
    Completions(docs::Completions),
    /// Print the manual page, or write one per subcommand into a folder.
    Man(docs::Man),
}

fn main() -> std::process::ExitCode {
    let Cli { logging, command } = Cli::parse();
    logging::start(&logging);
    run(command).unwrap_or_else(Exit::report).into()
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Share(args) => share::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::Q0(args) => q0::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Edit(args) => edit::edit(&args),
        Command::Patch(args) => edit::patch(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Schema(command) => schema::run(&command),
        Command::Validate(args) => validate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Surface(args) => surface::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => docs::complete(&args),
        Command::Man(args) => docs::man(&args),
    }
}

//! The command `miko`: a Mikobase from the shell.

mod call;
mod exit;
mod open;
mod output;
mod q0;
mod surface;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// A Mikobase from the shell.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the request succeeded
  1  the request failed; the answer says why
  2  the command was not understood
  3  the backend could not be reached";

#[derive(Subcommand)]
enum Command {
    /// Run Q0 requests: one given as an argument, or one per line of standard input.
    Q0(q0::Args),
    /// Call any method of the interface by its name.
    Call(call::Args),
    /// Print the surface: every method of the interface, its parameters, result and docs.
    Surface(surface::Args),
}

fn main() -> std::process::ExitCode {
    let outcome = match Cli::parse().command {
        Command::Q0(args) => q0::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Surface(args) => surface::run(&args),
    };
    outcome.unwrap_or_else(Exit::report).into()
}

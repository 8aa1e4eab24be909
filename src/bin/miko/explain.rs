//! `miko explain`: shows how a select is executed.

use mikobase::json;

use crate::exit::{Exit, Failure};
use crate::open::{self, Purpose};
use crate::output::Output;

/// The arguments of `miko explain`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
    /// A backend URL, or the path of a database.
    backend: String,
    /// A select, as a Q0 request.
    query: String,
}

const EXAMPLES: &str = r#"Examples:
  miko explain crew.db '{"action": "select", "class": "starfleet.com/officer", "path": ["rank", "Captain"]}'

Prints the SQL, its bound values, SQLite's plan (a line per step), the index that is used, and
the reason for which the evaluator filters the result of the SQL, if it does. Nothing is run."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let explanation = open::engine(&args.backend, Purpose::Read)?.explain(json::parse(&args.query)?)?;
    args.output.write_value(&explanation)?;
    Ok(Exit::Success)
}

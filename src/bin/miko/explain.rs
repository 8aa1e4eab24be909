//! `miko explain`: how a select is run.

use mikobase::json;

use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::Output;

/// The words of `miko explain`.
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

Prints the SQL, the values bound to it, SQLite's plan (a line per step), the index that is used,
and why the evaluator looks at what SQL finds, if it does. Nothing is run."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let explanation = open::engine(&args.backend, Missing::Refuse)?.explain(json::parse(&args.query)?)?;
    args.output.write_value(&explanation)?;
    Ok(Exit::Success)
}

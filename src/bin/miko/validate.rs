//! `miko validate`: what is wrong with a request.

use mikobase::{Mikobase, SqliteEngine, Validation, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The words of `miko validate`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
    /// A Q0 request.
    query: String,
}

const EXAMPLES: &str = r#"Examples:
  miko validate '{"action": "select", "limit": -1}'

Prints errors and warnings as JSON; the exit code is 1 if there are errors."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let found = match json::parse(&args.query) {
        // The check is the same for every engine; an empty one is at hand.
        Ok(query) => SqliteEngine::in_memory()?.validate(query)?,
        Err(error) => Validation { errors: error.items().to_vec(), warnings: Vec::new() },
    };
    args.output.write_value(&found)?;
    Ok(if found.errors.is_empty() { Exit::Success } else { Exit::RequestFailed })
}

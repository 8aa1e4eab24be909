//! `miko validate`: what is wrong with a request.

use mikobase::{Check, Mikobase, SqliteEngine, Validation, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The words of `miko validate`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
    /// Check in this respect only.
    #[arg(long, value_enum)]
    only: Option<Respect>,
    /// A Q0 request.
    query: String,
}

/// In what respect a request may be checked alone.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Respect {
    /// Is the action one that there is?
    Action,
    /// Are its fields complete, of their types, and known?
    Fields,
    /// Are class names well-formed?
    Uns,
    /// Do placeholders lead somewhere, and is each of them used?
    Placeholders,
}

impl From<Respect> for Check {
    fn from(respect: Respect) -> Self {
        match respect {
            Respect::Action => Self::Action,
            Respect::Fields => Self::Fields,
            Respect::Uns => Self::Uns,
            Respect::Placeholders => Self::Placeholders,
        }
    }
}

const EXAMPLES: &str = r#"Examples:
  miko validate '{"action": "select", "limit": -1}'
  miko validate --only placeholders '{"action": "select", "path": ["rank", {"placeholder": "rank"}]}'

Prints errors and warnings as JSON; the exit code is 1 if there are errors."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let found = match json::parse(&args.query) {
        Ok(query) => match args.only {
            Some(respect) => Check::from(respect).run(query),
            // The check is the same for every engine; an empty one is at hand.
            None => SqliteEngine::in_memory()?.validate(query)?,
        },
        Err(error) => Validation { errors: error.items().to_vec(), warnings: Vec::new() },
    };
    args.output.write_value(&found)?;
    Ok(if found.errors.is_empty() { Exit::Success } else { Exit::RequestFailed })
}

//! `miko validate`: checks a request without running it.

use mikobase::{Check, Validation, backend, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The arguments of `miko validate`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
    /// Check only this aspect.
    #[arg(long, value_enum)]
    only: Option<Aspect>,
    /// A Q0 request.
    query: String,
}

/// An aspect of a request that can be checked alone.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Aspect {
    /// The action exists.
    Action,
    /// The fields are complete, known and of their types.
    Fields,
    /// Class names are well-formed.
    Uns,
    /// Placeholders can be resolved, and each one is used.
    Placeholders,
}

impl From<Aspect> for Check {
    fn from(aspect: Aspect) -> Self {
        match aspect {
            Aspect::Action => Self::Action,
            Aspect::Fields => Self::Fields,
            Aspect::Uns => Self::Uns,
            Aspect::Placeholders => Self::Placeholders,
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
            Some(aspect) => Check::from(aspect).run(query),
            // All engines check alike, so an empty one serves.
            None => backend::open("mikobase.uno/sqlite/memory")?.validate(query)?,
        },
        Err(error) => Validation { errors: error.items().to_vec(), warnings: Vec::new() },
    };
    args.output.write_value(&found)?;
    Ok(if found.errors.is_empty() { Exit::Success } else { Exit::RequestFailed })
}

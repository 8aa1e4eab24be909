//! `miko get`: prints one record.

use mikobase::{Error, ErrorId};

use crate::exit::{Exit, Failure};
use crate::open::{self, Purpose, ServerAddress};
use crate::output::Output;

/// The arguments of `miko get`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    output: Output,
    /// The pk of the record, after the backend if there is one.
    #[arg(value_name = "[BACKEND] PK", num_args = 1..=2, required = true)]
    words: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  miko get crew.db 0198c5f2-6b1a-7c7e-9f55-2f8b7d1c3a4e
  miko get \"$PK\" | jq .bucket";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (backend, pk) = match &args.words[..] {
        [pk] if !open::is_backend(pk) => (None, pk),
        [backend, pk] => (Some(backend.as_str()), pk),
        _ => return Err(Failure::Usage("name a pk, after the backend if there is one".to_owned())),
    };
    match args.server.open(backend, Purpose::Read)?.record_by_pk(pk)? {
        Some(record) => args.output.write_value(&record)?,
        None => {
            let error = Error::new(ErrorId::RECORD_NOT_FOUND, "no active record has this pk");
            return Err(Failure::Request(error.with("pk", pk.as_str())));
        }
    }
    Ok(Exit::Success)
}

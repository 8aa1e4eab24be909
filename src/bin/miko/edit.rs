//! `miko edit` and `miko patch`: change a part of a record.

use std::path::Path;

use mikobase::{Query, json};
use serde_json::{Map, Value};

use crate::exit::{Exit, Failure};
use crate::open::{self, Purpose, ServerAddress};
use crate::output::Output;
use crate::q0;

/// The arguments of `miko edit`.
#[derive(clap::Args)]
#[command(after_help = EDIT_EXAMPLES)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The pk of the record and its edits, a JSON array, after the backend if there is one. For `-` the edits
    /// are read from standard input.
    #[arg(value_name = "[BACKEND] PK EDITS", num_args = 2..=3, required = true)]
    words: Vec<String>,
}

/// The arguments of `miko patch`.
#[derive(clap::Args)]
#[command(after_help = PATCH_EXAMPLES)]
pub(crate) struct PatchArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The pk of the record and the object to merge into its bucket, after the backend if there is one. For
    /// `-` the object is read from standard input.
    #[arg(value_name = "[BACKEND] PK PATCH", num_args = 2..=3, required = true)]
    words: Vec<String>,
}

#[derive(clap::Args)]
struct CommonArgs {
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    output: Output,
    /// Change the record only if it was last changed at this time.
    #[arg(long, value_name = "TIME")]
    if_updated_at: Option<String>,
}

const EDIT_EXAMPLES: &str = r#"Examples:
  miko edit crew.db 0198c5f2-6b1a-7c7e-9f55-2f8b7d1c3a4e '[{"path": ["missions"], "increment": 1}]'
  miko edit "$PK" '[{"path": ["jobs"], "shift": true}]' | jq '.results.values[0]'"#;

const PATCH_EXAMPLES: &str = r#"Examples:
  miko patch crew.db 0198c5f2-6b1a-7c7e-9f55-2f8b7d1c3a4e '{"rank": "Captain", "ship": null}'"#;

pub(crate) fn edit(args: &EditArgs) -> Result<Exit, Failure> {
    change(("edit", "edits"), &args.words, &args.common)
}

pub(crate) fn patch(args: &PatchArgs) -> Result<Exit, Failure> {
    change(("patch", "bucket"), &args.words, &args.common)
}

/// Runs an action on one record. `change` is what the record is changed by, under its key in the request.
fn change((action, key): (&str, &str), words: &[String], args: &CommonArgs) -> Result<Exit, Failure> {
    let (backend, pk, change) = match words {
        [pk, change] if !open::is_backend(pk) => (None, pk, change),
        [backend, pk, change] => (Some(backend.as_str()), pk, change),
        _ => {
            let message = format!("name a pk and its {key}, after the backend if there is one");
            return Err(Failure::Usage(message));
        }
    };
    args.server.check_named(backend)?;
    let change = match change.as_str() {
        "-" => open::read_json(Path::new("-"))?,
        text => json::parse(text)?,
    };
    let time = args.if_updated_at.iter().map(|time| ("if_updated_at", Value::from(time.as_str())));
    let members = [("action", action.into()), ("pk", pk.as_str().into()), (key, change)];
    let request: Map<String, Value> =
        members.into_iter().chain(time).map(|(key, value)| (key.to_owned(), value)).collect();
    let db = args.server.open(backend, Purpose::Write)?;
    q0::answer(db.q0(Query::from(request)), &args.output)
}

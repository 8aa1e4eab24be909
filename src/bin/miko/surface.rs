//! `miko surface`: prints or records the surface of the interface.

use std::fs;
use std::path::PathBuf;

use mikobase::Mikobase;
use mikobase::rpc::Interface;
use serde_json::value::to_raw_value;

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The arguments of `miko surface`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
    /// Print the JSON Schemas of all types as well: of values as they are sent, and as they are received.
    #[arg(long, conflicts_with = "record")]
    schema: bool,
    /// Write the surface to a file, in the form that `#[mikobase_interface(surface = "…")]` compares with.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = RECORDED_SURFACE)]
    record: Option<PathBuf>,
}

/// The recorded surface of the workspace.
const RECORDED_SURFACE: &str = "miko-core/schema/mikobase.surface.json";

const EXAMPLES: &str = r#"Examples:
  miko surface | jq -r '.methods[].name'
  miko surface | jq -r '.errors[] | "\(.id): \(.meaning)"'
  miko surface --schema | jq '.schemas.sent.methods.properties.returns'
  miko surface --record old.surface.json"#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let surface = <dyn Mikobase as Interface>::surface();
    match &args.record {
        Some(path) => {
            fs::write(path, surface.recorded().to_json())
                .map_err(|fault| Failure::File(path.clone(), fault))?;
        }
        None => {
            let mut printed = surface.clone();
            if !args.schema {
                printed.schemas = None;
            }
            args.output.write(&to_raw_value(&printed).map_err(std::io::Error::from)?)?;
        }
    }
    Ok(Exit::Success)
}

//! `miko call`: calls a method of the interface by its name.

use std::io;
use std::task::Poll;

use mikobase::rpc::{DispatchError, JsonItem, JsonSession};
use mikobase::{ErrorId, Mikobase, json};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::{Exit, Failure};
use crate::open::{self, Create, ServerAddress};
use crate::output::Output;

/// The arguments of `miko call`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    create: Create,
    #[command(flatten)]
    output: Output,
    /// The method and its params as a JSON object or array, after a backend URL if there is one.
    #[arg(value_name = "[BACKEND] METHOD [PARAMS]", num_args = 1..=3, required = true)]
    words: Vec<String>,
}

const EXAMPLES: &str = r#"Examples:
  miko call mikobase.uno/sqlite/memory properties
  miko call --socket "$MIKOBASE_SOCKET" record_by_pk '{"pk": "0198…"}'
  miko call by_class '["starfleet.com/officer"]'"#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let is_params = |word: &str| word.trim_start().starts_with(['{', '[']);
    let (backend, method, params) = match words[..] {
        [method] if !is_params(method) && !open::is_backend(method) => (None, method, None),
        [method, params] if is_params(params) && !open::is_backend(method) => (None, method, Some(params)),
        [backend, method] if !is_params(method) => (Some(backend), method, None),
        [backend, method, params] => (Some(backend), method, Some(params)),
        _ => return Err(Failure::Usage("name a method, after the backend and before its params".to_owned())),
    };
    let db = args.server.open(backend, args.create.purpose())?;
    let mut session = JsonSession::new(&*db);
    match call(&mut session, method, params) {
        // Of a stream its items are printed.
        Ok(result) if is_stream(&result) => {}
        Ok(result) => args.output.write(&result)?,
        Err(error) => {
            args.output.write(&failure_json(&error)?)?;
            return Ok(exit_of(&error));
        }
    }
    print_streams(&mut session, &args.output)
}

fn call(
    session: &mut JsonSession<'_, dyn Mikobase>,
    method: &str,
    params: Option<&str>,
) -> Result<Box<RawValue>, DispatchError> {
    let params = params.map_or(Ok(Value::Null), json::parse)?;
    session.dispatch(method, params)
}

/// Whether a result is a stream, `{"stream": 1}`.
fn is_stream(result: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Handle {
        #[serde(rename = "stream")]
        _stream: u64,
    }
    serde_json::from_str::<Handle>(result.get()).is_ok()
}

/// Prints the items of all streams of the result, one per line.
fn print_streams(session: &mut JsonSession<'_, dyn Mikobase>, output: &Output) -> Result<Exit, Failure> {
    let streams: Vec<u64> = session.streams().collect();
    for stream in streams {
        loop {
            let error = match session.next_item(stream, None) {
                Ok(Poll::Ready(JsonItem::Item { item, .. })) => {
                    output.write(&item)?;
                    continue;
                }
                Ok(Poll::Ready(JsonItem::Lagged(count))) => {
                    eprintln!("miko: {count} items were left out, because they were not read in time");
                    continue;
                }
                Ok(Poll::Ready(JsonItem::End(None)) | Poll::Pending) => break,
                Ok(Poll::Ready(JsonItem::End(Some(error)))) | Err(error) => DispatchError::Request(error),
            };
            output.write(&failure_json(&error)?)?;
            return Ok(exit_of(&error));
        }
    }
    Ok(Exit::Success)
}

fn exit_of(error: &DispatchError) -> Exit {
    let is_server_gone = |error: &RawValue| {
        serde_json::from_str::<mikobase::Error>(error.get()).is_ok_and(|error| error.is(ErrorId::SERVER_GONE))
    };
    if is_server_gone(&error.to_json()) { Exit::OpenFailed } else { Exit::RequestFailed }
}

/// A failure in its JSON form: `{"success": false, "errors": […]}`.
fn failure_json(error: &DispatchError) -> io::Result<Box<RawValue>> {
    #[derive(serde::Serialize)]
    struct Failed {
        success: bool,
        errors: Box<RawValue>,
    }
    Ok(to_raw_value(&Failed { success: false, errors: error.to_json() })?)
}

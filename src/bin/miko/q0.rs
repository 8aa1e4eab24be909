//! `miko q0`: requests in, responses out.

use std::io::{self, BufRead};

use mikobase::{Answer, Error, ErrorId, Mikobase, Response, json};
use serde_json::value::to_raw_value;

use crate::exit::{Exit, Failure};
use crate::open::Server;
use crate::output::Output;

/// The words of `miko q0`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
    /// A backend URL; what begins with `{` is a query. Without a query, each line of standard input is one.
    #[arg(value_name = "BACKEND|QUERY", num_args = 0..=2)]
    words: Vec<String>,
}

const EXAMPLES: &str = r#"Examples:
  miko q0 mikobase.uno/sqlite/memory '{"action": "select", "limit": 10}'
  miko q0 --socket "$MIKOBASE_SOCKET" < requests.jsonl"#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (backend, query) = sort_words(&args.words)?;
    let db = args.server.open(backend)?;
    match query {
        Some(query) => answer(&*db, query.as_bytes(), &args.output),
        None => answer_lines(&*db, &args.output),
    }
}

/// Which of the words is the backend, and which the query.
fn sort_words(words: &[String]) -> Result<(Option<&str>, Option<&str>), Failure> {
    let is_query = |word: &String| word.trim_start().starts_with('{');
    match words {
        [] => Ok((None, None)),
        [query] if is_query(query) => Ok((None, Some(query))),
        [backend] => Ok((Some(backend), None)),
        [backend, query] if !is_query(backend) => Ok((Some(backend), Some(query))),
        _ => Err(Failure::Usage("a query comes last, after the backend; only one is taken".to_owned())),
    }
}

/// Answers each line, whatever is in it: an answer per line, in order. Fails as a whole if any request failed.
fn answer_lines(db: &dyn Mikobase, output: &Output) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for line in io::stdin().lock().split(b'\n') {
        if answer(db, &line?, output)? != Exit::Success {
            exit = Exit::RequestFailed;
        }
    }
    Ok(exit)
}

fn answer(db: &dyn Mikobase, text: &[u8], output: &Output) -> Result<Exit, Failure> {
    let result = run_text(db, text);
    let rendered = to_raw_value(&Answer(&result)).map_err(io::Error::from)?;
    output.write(&rendered)?;
    match result {
        Ok(_) => Ok(Exit::Success),
        Err(error) if error.is(ErrorId::SERVER_GONE) => Err(Failure::Unreachable(error)),
        Err(_) => Ok(Exit::RequestFailed),
    }
}

fn run_text(db: &dyn Mikobase, text: &[u8]) -> mikobase::Result<Response> {
    let text = str::from_utf8(text)
        .map_err(|fault| Error::new(ErrorId::INVALID_REQUEST, format!("this is not JSON: {fault}")))?;
    db.q0(json::parse(text)?)
}

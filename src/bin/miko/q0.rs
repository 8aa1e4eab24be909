//! `miko q0`: runs Q0 requests and prints the answers.

use std::io::{self, BufRead, IsTerminal};

use mikobase::{Check, Error, ErrorId, Mikobase, Response, ResponseEnvelope, json};
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::exit::{Exit, Failure};
use crate::open::{self, Create, Purpose, ServerAddress};
use crate::output::Output;

/// The arguments of `miko q0`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    create: Create,
    #[command(flatten)]
    output: Output,
    /// A backend URL or a path, and a query, which begins with `{`. Without a query, each line of standard
    /// input is one.
    #[arg(value_name = "BACKEND|QUERY", num_args = 0..=2)]
    words: Vec<String>,
}

/// The prompt on a terminal. It is written to standard error, since it is not part of the answers.
const PROMPT: &str = "q0> ";

const EXAMPLES: &str = r#"Examples:
  miko q0 mikobase.uno/sqlite/memory '{"action": "select", "limit": 10}'
  miko q0 --socket "$MIKOBASE_SOCKET" < requests.jsonl

A missing database file is created by the first request that writes, or by --create."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (backend, query) = split_words(&args.words)?;
    let mut database = Database { args, backend, opened: None };
    if !backend.is_some_and(open::is_missing) {
        database.open(args.create.purpose())?;
    }
    match query {
        Some(query) => answer_once(&mut database, query, &args.output),
        None => answer_lines(&mut database, &args.output),
    }
}

/// Splits the arguments into the backend and the query.
fn split_words(words: &[String]) -> Result<(Option<&str>, Option<&str>), Failure> {
    let is_query = |word: &String| word.trim_start().starts_with('{');
    match words {
        [] => Ok((None, None)),
        [query] if is_query(query) => Ok((None, Some(query))),
        [backend] => Ok((Some(backend), None)),
        [backend, query] if !is_query(backend) => Ok((Some(backend), Some(query))),
        _ => Err(Failure::Usage("a query comes last, after the backend; only one is taken".to_owned())),
    }
}

/// The database of the requests. A missing file is created by the first valid request that writes.
struct Database<'a> {
    args: &'a Args,
    backend: Option<&'a str>,
    opened: Option<Box<dyn Mikobase>>,
}

impl Database<'_> {
    fn open_for(&mut self, query: &Value) -> Result<&dyn Mikobase, Failure> {
        let purpose =
            if self.opened.is_none() && writes(query) { Purpose::Create } else { self.args.create.purpose() };
        self.open(purpose)
    }

    fn open(&mut self, purpose: Purpose) -> Result<&dyn Mikobase, Failure> {
        let db = match self.opened.take() {
            Some(db) => db,
            None => self.args.server.open(self.backend, purpose)?,
        };
        Ok(&**self.opened.insert(db))
    }
}

/// Whether a request is valid and changes something.
fn writes(query: &Value) -> bool {
    // An action that does not exist fails its check.
    query["action"] != "select"
        && [Check::Action, Check::Fields, Check::Uns, Check::Placeholders]
            .into_iter()
            .all(|check| check.run(query.clone()).errors.is_empty())
}

fn answer_once(database: &mut Database<'_>, query: &str, output: &Output) -> Result<Exit, Failure> {
    let result = match parse(query.as_bytes()) {
        Ok(query) => database.open_for(&query)?.q0(query),
        Err(error) => Err(error),
    };
    answer(result, output)
}

/// Runs the request on each line that is not blank and prints an answer per request, in order. The exit code
/// is that of a failed request if any has failed.
fn answer_lines(database: &mut Database<'_>, output: &Output) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    let mut lines = io::stdin().lock().split(b'\n');
    let is_interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
    loop {
        if is_interactive {
            eprint!("{PROMPT}");
        }
        let Some(line) = lines.next().transpose()? else { break };
        if is_blank(&line) {
            continue;
        }
        let result = match parse(&line) {
            Ok(query) => match database.open_for(&query) {
                Ok(db) => db.q0(query),
                // A later line may create the file.
                Err(Failure::Open(error)) if !error.is(ErrorId::SERVER_GONE) => {
                    answer(Err(error), output)?;
                    exit = Exit::OpenFailed;
                    continue;
                }
                Err(failure) => return Err(failure),
            },
            Err(error) => Err(error),
        };
        if answer(result, output)? != Exit::Success && exit == Exit::Success {
            exit = Exit::RequestFailed;
        }
    }
    if is_interactive {
        eprintln!();
    }
    Ok(exit)
}

/// Whether a line has only white space, after the byte order mark of a file.
fn is_blank(line: &[u8]) -> bool {
    str::from_utf8(line).is_ok_and(|line| line.trim_start_matches(json::BYTE_ORDER_MARK).trim().is_empty())
}

/// Prints an answer. The exit code says whether the request succeeded.
pub(crate) fn answer(result: mikobase::Result<Response>, output: &Output) -> Result<Exit, Failure> {
    let rendered = to_raw_value(&ResponseEnvelope(&result)).map_err(io::Error::from)?;
    output.write(&rendered)?;
    match result {
        Ok(_) => Ok(Exit::Success),
        Err(error) if error.is(ErrorId::SERVER_GONE) => Err(Failure::Open(error)),
        Err(_) => Ok(Exit::RequestFailed),
    }
}

fn parse(text: &[u8]) -> mikobase::Result<Value> {
    let text = str::from_utf8(text)
        .map_err(|fault| Error::new(ErrorId::INVALID_REQUEST, format!("this is not JSON: {fault}")))?;
    json::parse(text)
}

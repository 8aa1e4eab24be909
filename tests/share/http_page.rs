//! Runs the commands of `docs/http.md` and compares what they print.

use std::collections::BTreeMap;

use mikobase::prelude::*;

use crate::harness::Case;
use crate::http_client::{Client, Response};
use crate::page::{Example, examples, matches};

pub const CASES: &[Case] = &[("the_commands_of_the_page_print_what_it_says", page)];

fn page() {
    let examples = examples(include_str!("../../docs/http.md"));
    assert!(examples.len() > 20, "{}", examples.len());
    let uds = Uds::new().unwrap().temporal(true).http(true);
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    let mut variables = BTreeMap::from([("MIKOBASE_HTTP", share.http_path().display().to_string())]);
    // Keeps the session open.
    let mut open = Vec::new();
    let mut differences = Vec::new();
    for Example { command, output } in &examples {
        let curl = Curl::parse(command, &variables);
        let mut client = Client::connect(share.http_path().as_path());
        client.send_request(&curl.method, &curl.path, &curl.headers, curl.body.as_bytes());
        let goes_on = curl.path.starts_with("/changes");
        let printed = if curl.path == "/session" || goes_on {
            assert_eq!(client.head().status, 200);
            let line = String::from_utf8(client.chunk().unwrap()).unwrap();
            open.push(client);
            if goes_on {
                line.lines().find(|line| line.starts_with("data: ")).unwrap_or_default().to_owned()
            } else {
                variables.insert("SESSION", line.split('"').nth(3).unwrap().to_owned());
                line
            }
        } else {
            let response = client.response();
            if curl.path == "/files" {
                variables.insert("FILE", response.json()["pk"].as_str().unwrap().to_owned());
            }
            check_status(&response, output);
            response.text().to_owned()
        };
        if !matches(&printed, output) {
            differences.push(format!("{command}prints\n{printed}\ninstead of\n{output}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    drop(open);
    share.join().unwrap();
}

fn check_status(response: &Response, output: &str) {
    let has_failed = output.starts_with(r#"{"success":false"#);
    assert_eq!(response.status >= 400, has_failed, "{response:?}");
}

/// A command of curl, of which the options of the page are known.
#[derive(Debug, Default)]
pub struct Curl {
    pub method: String,
    pub path: String,
    /// Lines, each with its end.
    pub headers: String,
    pub body: String,
}

impl Curl {
    pub fn parse(command: &str, variables: &BTreeMap<&str, String>) -> Self {
        let mut curl = Self::default();
        let words = words(&command.replace("\\\n", " "), variables);
        let mut words = words.iter().map(String::as_str);
        assert_eq!(words.next(), Some("curl"));
        let mut method = None;
        while let Some(word) = words.next() {
            match word {
                "--unix-socket" => {
                    assert_eq!(words.next(), variables.get("MIKOBASE_HTTP").map(|path| &**path))
                }
                "-N" => {}
                "-X" => method = words.next(),
                "-H" => curl.headers.push_str(&format!("{}\r\n", words.next().unwrap())),
                "-d" | "--data-binary" => curl.body = words.next().unwrap().to_owned(),
                url => curl.path = url.strip_prefix("http://localhost").unwrap().to_owned(),
            }
        }
        let default = if curl.body.is_empty() { "GET" } else { "POST" };
        curl.method = method.unwrap_or(default).to_owned();
        curl
    }
}

/// The words of a command line, as a shell reads them.
fn words(command: &str, variables: &BTreeMap<&str, String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == c => quote = None,
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    for word in &mut words {
        for (name, value) in variables {
            *word = word.replace(&format!("${name}"), value);
        }
    }
    words
}

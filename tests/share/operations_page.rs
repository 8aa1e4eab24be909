//! Runs the commands of `docs/operations.md` and compares what they print; serves as its units say.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use mikobase::{Connect, MikobaseClient, Token};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::Case;
use crate::http_client::Client;
use crate::http_page::Curl;
use crate::page::{Example, examples, matches, shell};
use crate::serve::start_activated;

pub const CASES: &[Case] =
    &[("the_commands_of_the_page_print_what_it_says", commands), ("the_units_of_the_page_serve", units)];

const PAGE: &str = include_str!("../../docs/operations.md");

fn commands() {
    let examples = examples(PAGE);
    assert!(examples.len() > 8, "{}", examples.len());
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let socket = folder.path().join("crew.http").display().to_string();
    let variables = BTreeMap::from([("MIKOBASE_HTTP", socket)]);
    let mut servers = Vec::new();
    let mut differences = Vec::new();
    for Example { command, output } in &examples {
        let printed = if let Some(background) = command.trim_end().strip_suffix('&') {
            let (server, line) = start(folder.path(), background, &token);
            servers.push(server);
            line
        } else if command.starts_with("curl") {
            let curl = Curl::parse(command, &variables);
            let mut client = Client::connect(&folder.path().join("crew.http"));
            client.request(&curl.method, &curl.path, &curl.headers, curl.body.as_bytes()).text().to_owned()
        } else {
            let output = shell(folder.path(), &format!("{command} 2>&1")).output().unwrap();
            assert!(output.status.success(), "{command}{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        if !matches(&printed, output) {
            differences.push(format!("{command}prints\n{printed}\ninstead of\n{output}\n"));
        }
    }
    for mut server in servers {
        kill(Pid::from_raw(server.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Starts a server. Returns the line that it prints when its sockets are bound.
fn start(folder: &Path, command: &str, token: &Token) -> (Child, String) {
    let mut server = shell(folder, &format!("exec {command}"));
    let mut server = server.env("MIKOBASE_TOKEN", token.to_hex()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
    // It has written its name when it answers.
    let mut client = Client::connect(&folder.join("crew.http"));
    assert_eq!(client.get("/health").status, 200);
    (server, line)
}

fn units() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let values =
        |key: &str| -> Vec<&str> { PAGE.lines().filter_map(|line| line.strip_prefix(key)).collect() };
    let paths = values("ListenStream=/run/crew/");
    let paths: [&str; 2] = paths.try_into().unwrap();
    let sockets = paths.map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
    let [start] = values("ExecStart=/usr/bin/miko serve ")[..] else { panic!("one command starts it") };
    let words = start.replace("/var/lib/crew", &folder.path().display().to_string());
    let words: Vec<&str> = words.split(' ').filter(|word| *word != "--listen-fds").collect();
    let notified = std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let mut server = start_activated(folder.path(), &token, sockets, &words);
    notified.recv(&mut [0; 16]).unwrap();
    MikobaseClient::connect(folder.path().join(paths[0]), &token).unwrap();
    assert_eq!(Client::connect(&folder.path().join(paths[1])).get("/health").status, 200);
    kill(Pid::from_raw(server.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

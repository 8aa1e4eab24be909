//! Runs the commands of `docs/tls.md`, if the programs that they need are installed, and compares what they
//! print.

use std::net::TcpListener;

use mikobase::Token;

use crate::page::{Example, examples, matches, shell};
use crate::server::{Server, is_installed};

/// The port that the page names.
const PORT: &str = "8443";

#[test]
fn the_commands_of_the_page_print_what_it_says() {
    if !["openssl", "curl"].into_iter().all(is_installed) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let page = include_str!("../../docs/tls.md").replace(PORT, &free);
    let examples = examples(&page);
    assert!(examples.len() > 5, "{}", examples.len());
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let mut server = None;
    for Example { command, output } in &examples {
        let printed = match command.trim_end().strip_suffix('&') {
            Some(background) => {
                let started = Server::of_command(shell(folder.path(), &format!("exec {background}")), &token);
                let (line, _) = (started.first_line.clone(), server.insert(started));
                line
            }
            None => {
                let mut shell = shell(folder.path(), command);
                let output = shell.env("MIKOBASE_TOKEN", token.to_hex()).output().unwrap();
                assert!(output.status.success(), "{command}{output:?}");
                String::from_utf8(output.stdout).unwrap()
            }
        };
        assert!(matches(&printed, output), "{command}prints\n{printed}\ninstead of\n{output}");
    }
    server.unwrap().stop();
}

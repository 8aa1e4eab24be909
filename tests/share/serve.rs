//! `miko serve`: a server for other programs, by its sockets and over TCP.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use mikobase::backend::Mode as BackendMode;
use mikobase::prelude::*;
use mikobase::{MikobaseClient, SqliteEngine, Token};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;

use crate::harness::Case;
use crate::http_client::{Client, Session};
use crate::support::{count, create};

pub const CASES: &[Case] = &[
    ("the_wire_and_http_reach_one_database_and_sigterm_ends_it_in_order", both),
    ("the_end_of_input_ends_it", until_eof),
    ("a_socket_that_was_left_is_replaced_and_a_live_one_is_not", left_socket),
    ("a_socket_that_another_server_has_bound_since_stays", replaced_socket),
    ("signals_that_its_starter_ignores_do_not_end_it", ignored_signals),
    ("by_tcp_foreign_names_and_requests_without_the_token_are_refused", tcp),
    ("pages_of_a_named_origin_may_use_it_and_no_others", pages),
    ("a_read_only_server_refuses_writes", read_only),
    ("an_append_only_server_takes_what_is_new_on_both_sockets", append_only),
    ("commands_find_the_server_that_has_a_file_open", named),
    ("the_name_of_a_killed_server_does_no_harm", stale_name),
    ("of_two_servers_that_read_a_file_the_first_has_its_name_there", two_readers),
    ("a_server_that_cannot_bind_creates_no_file", nothing_created),
    ("the_sockets_that_systemd_has_opened_are_served", activated),
    ("what_systemd_has_not_opened_is_refused", not_activated),
    ("arguments_that_would_let_too_many_in_are_refused", usage),
];

/// A running `miko serve`.
pub struct Serving {
    process: Child,
    /// What it wrote when it was ready.
    pub ready: Value,
}

impl Serving {
    /// Starts it in `folder`, and waits until it is ready.
    pub fn start(folder: &Path, token: &Token, arguments: &[&str]) -> Self {
        Self::start_after("", folder, token, arguments)
    }

    /// As [`start`](Self::start), in a shell that has run `commands`.
    fn start_after(commands: &str, folder: &Path, token: &Token, arguments: &[&str]) -> Self {
        let fifo = folder.join("ready");
        if !fifo.exists() {
            mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        }
        let miko = env!("CARGO_BIN_EXE_miko");
        let process = Command::new("sh")
            .args(["-c", &format!("{commands} exec \"$@\" --ready-fd 3 3> ready"), "sh", miko, "serve"])
            .args(arguments)
            .env("MIKOBASE_TOKEN", token.to_hex())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        // Ends when the server has closed it.
        File::open(&fifo).unwrap().read_to_string(&mut ready).unwrap();
        Self { process, ready: serde_json::from_str(&ready).unwrap() }
    }

    fn http(&self, folder: &Path) -> PathBuf {
        folder.join(self.ready["http"].as_str().unwrap())
    }

    /// Ends it by SIGTERM.
    pub fn stop(mut self) {
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM).unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Nothing, after `stop`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn both() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let arguments = ["crew.db", "--socket", "crew", "--out", "final.json"];
    let serving = Serving::start(folder.path(), &token, &arguments);
    let socket = folder.path().join("crew");
    let db = MikobaseClient::connect(&socket, &token).unwrap();
    let stranger = MikobaseClient::connect(&socket, &Token::random().unwrap());
    assert!(stranger.unwrap_err().is(ErrorId::UNAUTHORIZED));
    create(&db, 1).unwrap();
    let mut client = Client::connect(&serving.http(folder.path()));
    let selected = client.post("/q0", &json!({"action": "select", "class": "test.org/item"})).json();
    assert_eq!(selected["results"].as_array().map(Vec::len), Some(1), "{selected}");
    client.post("/q0", &json!({"action": "create", "class": "test.org/item", "bucket": {}}));
    assert_eq!(count(&db), 2);
    // A transaction of a session is rolled back at the end.
    let session = Session::open(&serving.http(folder.path()));
    let begun = client.post_in(&session.id, "/call/begin", &json!({})).json();
    let create_many = format!("/objects/{}/create_many", begun["object"]);
    let buckets = json!({"class": "test.org/item", "buckets": [{}]});
    assert_eq!(client.post_in(&session.id, &create_many, &buckets).status, 200);
    serving.stop();
    assert!(!socket.exists() && !folder.path().join("crew.http").exists());
    assert!(db.properties().unwrap_err().is(ErrorId::SERVER_GONE));
    let worldlet = std::fs::read_to_string(folder.path().join("final.json")).unwrap();
    let worldlet: Value = serde_json::from_str(&worldlet).unwrap();
    assert_eq!(worldlet["records"].as_object().map(serde_json::Map::len), Some(2));
}

fn until_eof() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let mut serving = Serving::start(folder.path(), &token, &["--socket", "s", "--until-eof"]);
    let db = MikobaseClient::connect(folder.path().join("s"), &token).unwrap();
    assert_eq!(count(&db), 0);
    drop(serving.process.stdin.take());
    assert_eq!(serving.process.wait().unwrap().code(), Some(0));
}

fn left_socket() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let mut killed = Serving::start(folder.path(), &token, &["--socket", "s"]);
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    assert!(folder.path().join("s").exists());
    let serving = Serving::start(folder.path(), &token, &["--socket", "s"]);
    let second = Command::new(env!("CARGO_BIN_EXE_miko"))
        .args(["serve", "--socket", "s"])
        .env("MIKOBASE_TOKEN", token.to_hex())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    // A file that is no socket stays, though a connect to it is refused.
    std::fs::write(folder.path().join("file"), "a file").unwrap();
    let beside = Command::new(env!("CARGO_BIN_EXE_miko"))
        .args(["serve", "--socket", "file"])
        .env("MIKOBASE_TOKEN", token.to_hex())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!beside.status.success(), "{beside:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "a file");
    assert_eq!(Client::connect(&serving.http(folder.path())).get("/health").status, 200);
    serving.stop();
}

fn replaced_socket() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let first = Serving::start(folder.path(), &token, &["--socket", "s"]);
    for socket in ["s", "s.http"] {
        std::fs::remove_file(folder.path().join(socket)).unwrap();
    }
    let second = Serving::start(folder.path(), &token, &["--socket", "s"]);
    first.stop();
    assert_eq!(Client::connect(&second.http(folder.path())).get("/health").status, 200);
    assert_eq!(count(&MikobaseClient::connect(folder.path().join("s"), &token).unwrap()), 0);
    second.stop();
    assert!(!folder.path().join("s").exists() && !folder.path().join("s.http").exists());
}

fn ignored_signals() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let arguments = ["--socket", "s"];
    let serving = Serving::start_after("trap '' HUP INT;", folder.path(), &token, &arguments);
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        kill(Pid::from_raw(serving.process.id() as i32), signal).unwrap();
        for _ in 0..3 {
            assert_eq!(Client::connect(&serving.http(folder.path())).get("/health").status, 200);
        }
    }
    serving.stop();
}

fn tcp() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let serving = Serving::start(
        folder.path(),
        &token,
        &["--tcp", "127.0.0.1:0", "--auth", "token", "--host", "ship.example"],
    );
    let address = serving.ready["tcp"].as_str().unwrap().to_owned();
    let bearer = format!("authorization: Bearer {}\r\n", token.to_hex());
    let mut client = Client::connect_tcp(&address);
    let mut ask = |headers: &str| client.request("POST", "/call/properties", headers, b"");
    assert_eq!(ask(&bearer).status, 200);
    assert_eq!(ask(&format!("host: {address}\r\norigin: http://{address}\r\n{bearer}")).status, 200);
    assert_eq!(ask(&format!("host: ship.example\r\n{bearer}")).status, 200);
    let none = ask("");
    assert_eq!((none.status, &*none.error_id()), (401, "unauthorized"));
    for foreign in [
        "host: evil.example\r\n",
        "origin: http://evil.example\r\n",
        "origin: http://localhost:3000\r\n",
        "origin: null\r\n",
    ] {
        let refused = ask(&format!("{foreign}{bearer}"));
        assert_eq!((refused.status, &*refused.error_id()), (403, "foreign-origin"), "{foreign}");
    }
    drop(client);
    serving.stop();
}

fn pages() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let options = ["--tcp", "127.0.0.1:0", "--auth", "token", "--allow-origin", "https://app.example"];
    let serving = Serving::start(folder.path(), &token, &options);
    let mut client = Client::connect_tcp(serving.ready["tcp"].as_str().unwrap());
    let own = "origin: https://app.example\r\n";
    // A browser asks first, without the token.
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n";
    let consent = client.request("OPTIONS", "/call/properties", &format!("{own}{asks}"), b"");
    assert_eq!((consent.status, &*consent.body), (204, &b""[..]));
    assert!(consent.headers["access-control-allow-headers"].contains("Authorization"), "{consent:?}");
    assert!(consent.headers["access-control-allow-methods"].contains("POST"), "{consent:?}");
    let bearer = format!("authorization: Bearer {}\r\n", token.to_hex());
    for (headers, status) in [(format!("{own}{bearer}"), 200), (own.to_owned(), 401)] {
        let answer = client.request("POST", "/call/properties", &headers, b"");
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example");
    }
    // The page of the server itself needs no consent; a foreign one gets none.
    let plain = client.request("POST", "/call/properties", &bearer, b"");
    assert!(plain.status == 200 && !plain.headers.contains_key("access-control-allow-origin"), "{plain:?}");
    for foreign in
        ["https://app.example.evil", "http://app.example", "https://app.example, https://app.example"]
    {
        let refused =
            client.request("OPTIONS", "/call/properties", &format!("origin: {foreign}\r\n{asks}"), b"");
        assert_eq!(refused.status, 403, "{foreign}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"), "{foreign}");
    }
    drop(client);
    serving.stop();
}

fn read_only() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    Serving::start(folder.path(), &token, &["crew.db", "--socket", "s"]).stop();
    let serving = Serving::start(folder.path(), &token, &["crew.db", "--socket", "s", "--read-only"]);
    let mut client = Client::connect(&serving.http(folder.path()));
    let refused = client.post("/q0", &json!({"action": "create", "bucket": {}}));
    assert_eq!((refused.status, &*refused.error_id()), (403, "read-only-connection"));
    assert_eq!(client.post("/q0", &json!({"action": "select"})).status, 200);
    serving.stop();
}

fn append_only() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let serving = Serving::start(folder.path(), &token, &["--socket", "s", "--append-only"]);
    let http = serving.http(folder.path());
    let (mut client, session) = (Client::connect(&http), Session::open(&http));
    let create = json!({"action": "create", "pk": "kirk", "bucket": {}});
    assert_eq!(client.post("/q0", &create).status, 200);
    let transaction = client.post_in(&session.id, "/call/begin", &json!({})).json()["object"].to_string();
    let import = client.post_in(&session.id, "/call/import", &json!({"trust": false})).json();
    let import = import["object"].to_string();
    let text = r#"{"records": {"kirk": {"bucket": {}, "stack": {"a": {"class": "a.b/c"}}}}}"#;
    let put = format!("[\"{}\"]", mikobase::rpc::to_base64(text.as_bytes()));
    let put =
        client.request("POST", &format!("/objects/{import}/put"), &in_session(&session), put.as_bytes());
    assert_eq!(put.status, 200, "{put:?}");
    let delete = json!({"action": "delete", "pk": "kirk"});
    let edits = json!([{"path": ["n"], "increment": 1}]);
    for (path, body) in [
        ("/q0", delete.clone()),
        ("/q0", json!({"action": "claim", "select": {}, "lease": 9})),
        ("/call/q0", json!({"query": delete})),
        ("/call/edit", json!({"pk": "kirk", "edits": edits})),
        ("/call/batch", json!({"queries": [delete], "atomic": true})),
        ("/call/collect_files", json!({})),
        (&format!("/objects/{import}/finish"), json!({})),
        (&format!("/objects/{transaction}/edit"), json!({"pk": "kirk", "edits": edits})),
    ] {
        let refused = client.post_in(&session.id, path, &body);
        assert_eq!((refused.status, &*refused.error_id()), (422, "action-not-supported"), "{path} {body}");
    }
    // It has the turn to write.
    let rolled_back =
        client.request("DELETE", &format!("/objects/{transaction}"), &in_session(&session), b"");
    assert_eq!(rolled_back.status, 200);
    assert_eq!(client.request("POST", "/files", "content-type: text/plain\r\n", b"log").status, 201);
    let db = MikobaseClient::connect(folder.path().join("s"), &token).unwrap();
    let refused = db.transaction(|tx| tx.hot("kirk").increment(["n"], 1)).unwrap_err();
    assert!(refused.is(ErrorId::ACTION_NOT_SUPPORTED), "{refused}");
    db.create_many("a.b/c", vec![json!({}).into(), json!({}).into()]).unwrap();
    serving.stop();
}

/// Runs `miko` in a folder, without a token and a socket.
fn miko(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(words).current_dir(folder).env_remove("MIKOBASE_TOKEN").env_remove("MIKOBASE_SOCKET");
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn printed(folder: &Path, words: &[&str]) -> Value {
    let output = miko(folder, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let token = Token::random().unwrap();
    for backend in ["crew.db", "crew.json"] {
        let serving = Serving::start(folder, &token, &[backend, "--socket", "s"]);
        let create = r#"{"action": "create", "pk": "kirk", "class": "a.b/c", "bucket": {"n": 1}}"#;
        assert_eq!(printed(folder, &["q0", backend, create])["results"]["pk"], "kirk");
        assert_eq!(printed(folder, &["get", backend, "kirk"])["bucket"]["n"], 1);
        let changed = printed(folder, &["edit", backend, "kirk", r#"[{"path": ["n"], "increment": 1}]"#]);
        assert_eq!(changed["success"], true, "{changed}");
        assert_eq!(printed(folder, &["call", backend, "record_by_pk", r#"["kirk"]"#])["bucket"]["n"], 2);
        let exported = printed(folder, &["export", backend]);
        assert_eq!(exported["records"]["kirk"]["bucket"]["n"], 2);
        let text = exported.to_string().replace("kirk", "spock");
        std::fs::write(folder.join("more.json"), text).unwrap();
        assert!(miko(folder, &["import", backend, "more.json"]).status.success());
        assert_eq!(printed(folder, &["get", backend, "spock"])["bucket"]["n"], 2);
        // By its socket, a server asks for the token of its starter.
        let mut by_socket = Command::new(env!("CARGO_BIN_EXE_miko"));
        by_socket.args(["import", "--socket", "s", "more.json", "more.json"]);
        by_socket.current_dir(folder).env("MIKOBASE_TOKEN", token.to_hex());
        assert!(by_socket.status().unwrap().success());
        let mut by_environment = Command::new(env!("CARGO_BIN_EXE_miko"));
        by_environment.arg("export").current_dir(folder);
        by_environment.env("MIKOBASE_SOCKET", "s").env("MIKOBASE_TOKEN", token.to_hex());
        let exported: Value = serde_json::from_slice(&by_environment.output().unwrap().stdout).unwrap();
        assert_eq!(exported["records"].as_object().unwrap().len(), 2);
        // Another server cannot have the file.
        let second = miko(folder, &["serve", backend, "--tcp", "127.0.0.1:0", "--auth", "open"]);
        assert!(String::from_utf8_lossy(&second.stderr).contains("backend-in-use"), "{second:?}");
        serving.stop();
        assert!(!folder.join(format!("{backend}-server")).exists());
        // Nobody has it open any more.
        assert_eq!(printed(folder, &["get", backend, "spock"])["bucket"]["n"], 2);
        std::fs::remove_file(folder.join("more.json")).unwrap();
    }
}

fn stale_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let token = Token::random().unwrap();
    let killed = || {
        let mut killed = Serving::start(folder, &token, &["crew.db", "--socket", "s"]);
        killed.process.kill().unwrap();
        killed.process.wait().unwrap();
        assert!(folder.join("crew.db-server").exists());
    };
    killed();
    let create = r#"{"action": "create", "pk": "kirk", "bucket": {}}"#;
    assert_eq!(printed(folder, &["q0", "crew.db", create])["results"]["pk"], "kirk");
    // Another database is served on the socket that the name says.
    let other = Serving::start(folder, &token, &["other.db", "--socket", "s"]);
    assert_eq!(printed(folder, &["get", "crew.db", "kirk"])["pk"], "kirk");
    let locked = SqliteEngine::open(folder.join("crew.db"), BackendMode::ReadWrite).unwrap();
    let in_use = |output: Output| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("backend-in-use"), "{said}");
    };
    in_use(miko(folder, &["get", "crew.db", "kirk"]));
    other.stop();
    in_use(miko(folder, &["get", "crew.db", "kirk"]));
    drop(locked);
    killed();
    // A server without a socket has no name, and leaves none of another one.
    let without = Serving::start(folder, &token, &["crew.db", "--tcp", "127.0.0.1:0", "--auth", "open"]);
    assert!(!folder.join("crew.db-server").exists());
    without.stop();
    // The next server writes its own name.
    let serving = Serving::start(folder, &token, &["crew.db", "--socket", "new"]);
    assert_eq!(printed(folder, &["get", "crew.db", "kirk"])["pk"], "kirk");
    serving.stop();
}

fn two_readers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let token = Token::random().unwrap();
    Serving::start(folder, &token, &["crew.db", "--socket", "s"]).stop();
    let first = Serving::start(folder, &token, &["crew.db", "--socket", "first", "--read-only"]);
    let name = || std::fs::read_to_string(folder.join("crew.db-server")).unwrap();
    let of_first = name();
    for arguments in [&["--socket", "second"][..], &["--tcp", "127.0.0.1:0", "--auth", "open"]] {
        let arguments = [&["crew.db", "--read-only"], arguments].concat();
        let second = Serving::start(folder, &token, &arguments);
        assert_eq!(name(), of_first);
        second.stop();
        assert_eq!(name(), of_first);
    }
    first.stop();
    assert!(!folder.join("crew.db-server").exists());
}

fn nothing_created() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("s.http"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(["serve", "crew.db", "--socket", "s"]).current_dir(folder);
    let output = command.env("MIKOBASE_TOKEN", "0".repeat(64)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is no socket"), "{said}");
    assert!(!folder.join("crew.db").exists() && !folder.join("s").exists());
    let output = command.env("MIKOBASE_TOKEN", "0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("MIKOBASE_TOKEN"), "{said}");
}

/// Starts `miko serve --listen-fds` with two sockets as descriptors 3 and 4, as systemd does.
pub fn start_activated(folder: &Path, token: &Token, sockets: [UnixListener; 2], words: &[&str]) -> Child {
    let [first, second] = sockets.map(OwnedFd::from);
    let script = "export LISTEN_PID=$$ LISTEN_FDS=2; \
                  exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_miko"), "serve", "--listen-fds"])
        .args(words)
        .env("MIKOBASE_TOKEN", token.to_hex())
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .current_dir(folder)
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second))
        .spawn()
        .unwrap()
}

fn activated() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let bind = |name: &str| UnixListener::bind(folder.path().join(name)).unwrap();
    let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let sockets = [bind("crew.http"), bind("crew")];
    // Connects wait until the server is there.
    let mut early = Client::connect(&folder.path().join("crew.http"));
    early.send_request("GET", "/health", "", b"");
    let mut server = start_activated(folder.path(), &token, sockets, &["crew.db"]);
    let mut said = [0; 16];
    let count = notified.recv(&mut said).unwrap();
    assert_eq!(&said[..count], b"READY=1");
    assert_eq!(early.response().status, 200);
    let db = MikobaseClient::connect(folder.path().join("crew"), &token).unwrap();
    create(&db, 1).unwrap();
    assert_eq!(
        printed(folder.path(), &["call", "crew.db", "properties"])["engine"],
        "mikobase.uno/sqlite/file"
    );
    kill(Pid::from_raw(server.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    // Its sockets are systemd's.
    assert!(folder.path().join("crew").exists() && folder.path().join("crew.http").exists());
}

fn not_activated() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let refused = |said: &str, output: Output| {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{error}");
    };
    refused("LISTEN_PID", miko(folder.path(), &["serve", "--listen-fds"]));
    let script = |assignments: &str, redirections: &str| {
        let script = format!("export LISTEN_PID=$$ {assignments}; exec \"$@\" {redirections}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_miko"), "serve", "--listen-fds"]);
        command.env("MIKOBASE_TOKEN", token.to_hex()).current_dir(folder.path()).output().unwrap()
    };
    refused("LISTEN_FDS", script("LISTEN_FDS=0", ""));
    refused("descriptor 3 of LISTEN_FDS", script("LISTEN_FDS=1", "3<&-"));
    refused("descriptor 3 of LISTEN_FDS", script("LISTEN_FDS=1", "3</dev/null"));
    let socket = UnixListener::bind(folder.path().join("crew")).unwrap();
    let output = Command::new("sh")
        .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0", "sh", env!("CARGO_BIN_EXE_miko")])
        .args(["serve", "--listen-fds", "--ready-fd", "3"])
        .env("MIKOBASE_TOKEN", token.to_hex())
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .output()
        .unwrap();
    refused("descriptor 3 is one of LISTEN_FDS", output);
    let two = ["a", "b"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
    let mut server = start_activated(folder.path(), &token, two, &[]);
    assert_eq!(server.wait().unwrap().code(), Some(2));
}

fn in_session(session: &Session) -> String {
    format!("content-type: application/json\r\nmikobase-session: {}\r\n", session.id)
}

fn usage() {
    for arguments in [
        &["--tcp", "127.0.0.1:0"][..],
        &["--tcp", "127.0.0.1:0", "--auth", "peer"],
        &["--tcp", "127.0.0.1:0", "--auth", "token"],
        &["--tcp", "0.0.0.0:0", "--auth", "open"],
        &["--socket", "s"],
        &["--socket", "s", "--ready-fd", "77"],
        &["--socket", "s", "--read-only", "--append-only"],
        // The tests of TLS are in `tests/tls`; here the program has none.
        #[cfg(not(feature = "tls"))]
        &["--tcp", "127.0.0.1:0", "--auth", "open", "--tls-cert", "server.pem", "--tls-key", "server.key"],
        &[],
    ] {
        let refused = Command::new(env!("CARGO_BIN_EXE_miko"))
            .arg("serve")
            .args(arguments)
            .env_remove("MIKOBASE_TOKEN")
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {refused:?}");
    }
}

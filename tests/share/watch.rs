//! `miko watch` in pipes, as a program uses it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use mikobase::prelude::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::Case;
use crate::support::Running;

pub const CASES: &[Case] = &[
    ("changes_are_printed_one_per_line_and_resumed", lines),
    ("a_command_is_run_for_each_change", exec),
    ("the_changes_of_a_result_are_printed_one_per_line", result),
    ("live_queries_of_invalid_selects_are_refused", refused),
];

const CLASS: &str = "a.b/thing";

/// The command, with the share as its server.
fn miko(share: &Running<'_, ()>, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(words).env("MIKOBASE_SOCKET", share.path()).env("MIKOBASE_TOKEN", share.token().to_hex());
    command
}

/// A command that runs, and the lines of its output.
struct Watch {
    child: Child,
    lines: Box<dyn Iterator<Item = Value>>,
}

impl Watch {
    fn start(share: &Running<'_, ()>, words: &[&str]) -> Self {
        let mut child = miko(share, words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        Self { child, lines: Box::new(lines) }
    }

    fn next(&mut self) -> Value {
        self.lines.next().expect("it runs")
    }

    fn end(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
    }
}

fn lines() {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    let pk = db.create(CLASS, &json!({"n": 1})).unwrap();
    let condition = json!({"class": CLASS, "path": ["n", {"gte": 1}]}).to_string();
    let mut watch = Watch::start(&share, &["watch", "--snapshot", "--leaving", &condition]);
    let present = watch.next();
    assert_eq!((&present["kind"], &present["pk"]), (&json!("present"), &json!(pk)));
    assert_eq!(watch.next()["kind"], "synced");
    db.update(&pk, &json!({"n": 2})).unwrap();
    let update = watch.next();
    assert_eq!(update["fields"], json!({"n": {"old": 1, "new": 2}}));
    assert_eq!((&update["record"]["bucket"], &update["last"]), (&json!({"n": 2}), &json!(true)));
    watch.end();
    db.update(&pk, &json!({"n": 0})).unwrap();
    db.delete(&pk).unwrap();
    let mut watch = Watch::start(&share, &["listen", "--from", &update["seq"].to_string(), CLASS]);
    assert_eq!([watch.next()["kind"].take(), watch.next()["kind"].take()], ["update", "delete"]);
    watch.end();
    share.join().unwrap();
}

fn exec() {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    let pk = db.create(CLASS, &json!({"n": 1})).unwrap();
    let command = r#"echo "[\"$MIKOBASE_KIND\", \"$MIKOBASE_PK\", $(cat)]"; test "$MIKOBASE_KIND" != delete"#;
    let mut watch = Watch::start(&share, &["watch", "--snapshot", "--exec", command, CLASS]);
    let present = watch.next();
    assert_eq!((&present[0], &present[1], &present[2]["pk"]), (&json!("present"), &json!(pk), &json!(pk)));
    assert_eq!(watch.next()[0], "synced");
    // A variable cannot hold this pk.
    db.q0(json!({"action": "create", "class": CLASS, "pk": "a\0b", "bucket": {"n": 2}})).unwrap();
    let created = watch.next();
    assert_eq!((&created[0], &created[1], &created[2]["pk"]), (&json!("create"), &json!(""), &json!("a\0b")));
    db.delete(&pk).unwrap();
    assert_eq!(watch.next()[0], "delete");
    assert_eq!(watch.child.wait().unwrap().code(), Some(1), "the command has failed");
    share.join().unwrap();
}

fn result() {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    let pk = db.create(CLASS, &json!({"n": 1})).unwrap();
    let select = json!({"action": "select", "class": CLASS, "sort": ["n", {"reverse": true}], "limit": 1});
    let mut watch = Watch::start(&share, &["watch", &select.to_string()]);
    let present = watch.next();
    assert_eq!((&present["kind"], &present["index"]), (&json!("present"), &json!(0)));
    assert_eq!(watch.next()["kind"], "synced");
    let larger = db.create(CLASS, &json!({"n": 2})).unwrap();
    let (left, entered) = (watch.next(), watch.next());
    assert_eq!([&left["kind"], &left["pk"], &left["from"]], [&json!("leave"), &json!(pk), &json!(0)]);
    assert_eq!([&entered["kind"], &entered["record"]["pk"]], [&json!("enter"), &json!(larger)]);
    watch.end();
    share.join().unwrap();
}

fn refused() {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let select = r#"{"action": "select", "class": "a.b/thing"}"#;
    let cases: [(&[&str], i32, &str); 6] = [
        (&["watch", r#"{"class": 1}"#], 1, "/class"),
        (&["watch", "--from", "7", CLASS], 1, "changes-expired"),
        (&["watch", "--from", "7", "--snapshot", CLASS], 2, "--from"),
        (&["watch", "mikobase.uno/sqlite/memory"], 2, "name a target"),
        (&["watch", "--snapshot", select], 2, "has its result at first"),
        (&["watch", r#"{"action": "select", "history": true}"#], 1, "/history"),
    ];
    for (words, code, message) in cases {
        let output = miko(&share, words).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
    share.join().unwrap();
}

//! The command `miko`, as a program in a pipe uses it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use mikobase::prelude::*;
use serde_json::Value;

use crate::harness::Case;
use crate::support::{Running, create};

pub const CASES: &[Case] = &[
    ("q0_answers_each_line_before_the_next_one_is_written", q0_line_by_line),
    ("what_is_no_request_is_answered_and_the_stream_goes_on", bad_lines),
    ("a_query_on_the_command_line_is_answered_once", one_query),
    ("call_reaches_every_method_by_its_name", call),
    ("a_running_server_is_reached_by_socket_or_environment", running_server),
    ("exit_codes_are_as_documented", exit_codes),
];

const MEMORY: &str = "mikobase.uno/sqlite/memory";

fn miko(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(words).env_remove("MIKOBASE_SOCKET").env_remove("MIKOBASE_TOKEN");
    command
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn q0_line_by_line() {
    let mut program = miko(&["q0", MEMORY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut requests = program.stdin.take().unwrap();
    let mut answers = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut ask = |request: &Value| -> Value {
        writeln!(requests, "{request}").unwrap();
        serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap()
    };
    let created = ask(&json!({"action": "create", "class": "test.org/item", "bucket": {"n": 1}}));
    let pk = &created["results"]["pk"];
    let selected = ask(&json!({"action": "select", "pk": pk}));
    assert_eq!(selected["count"], 1);
    assert_eq!(selected["results"][0]["bucket"], json!({"n": 1}));
    assert_eq!(ask(&json!({"action": "delete", "pk": pk}))["results"]["deleted"], true);
    drop(requests);
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

fn bad_lines() {
    let mut program = miko(&["q0", MEMORY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = b"\nnot json\n\xff\xfe\n[1]\n{\"action\": \"create\", \"bucket\": {\"n\": 1e999}}\n{\"action\": \"select\"}";
    program.stdin.take().unwrap().write_all(lines).unwrap();
    let output = program.wait_with_output().unwrap();
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 6, "an answer per line");
    for answer in &answers[..5] {
        assert_eq!(answer["errors"][0]["id"], "invalid_request", "{answer}");
    }
    assert_eq!(answers[5], json!({"success": true, "results": [], "count": 0}));
    assert_eq!(output.status.code(), Some(1));
}

fn one_query() {
    let output = miko(&["q0", MEMORY, r#"{"action": "select"}"#]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"success\":true,\"results\":[],\"count\":0}\n");
    let pretty = miko(&["q0", "--pretty", MEMORY, r#"{"action": "select"}"#]).output().unwrap();
    assert!(String::from_utf8_lossy(&pretty.stdout).lines().count() > 1);
}

fn call() {
    let properties = json_of(&miko(&["call", MEMORY, "properties"]).output().unwrap());
    assert_eq!(properties["engine"], MEMORY);
    let absent = miko(&["call", MEMORY, "record_by_pk", r#"["nobody"]"#]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&absent.stdout), "null\n");
    let failed = json_of(&miko(&["call", MEMORY, "by_class", r#"{"class": "no class"}"#]).output().unwrap());
    assert_eq!((&failed["success"], &failed["errors"][0]["id"]), (&json!(false), &json!("invalid_request")));
}

fn running_server() {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let pk = create(share.db().unwrap(), 7).unwrap();
    let socket = share.path().to_str().unwrap();
    let with_token = |mut command: Command| {
        command.env("MIKOBASE_TOKEN", share.token().to_hex());
        json_of(&command.output().unwrap())
    };
    let by_flag = with_token(miko(&["call", "--socket", socket, "record_by_pk", &format!("[\"{pk}\"]")]));
    assert_eq!(by_flag["bucket"]["n"], 7);
    let mut by_environment = miko(&["q0", r#"{"action": "select", "class": "test.org/item"}"#]);
    by_environment.env("MIKOBASE_SOCKET", socket);
    assert_eq!(with_token(by_environment)["count"], 1);
    share.join().unwrap();
}

fn exit_codes() {
    let long = "0".repeat(64);
    let cases: [(&[&str], Option<&str>, i32, &str); 7] = [
        (&["q0", MEMORY, r#"{"action": "engage"}"#], None, 1, ""),
        (&["call", MEMORY, "engage"], None, 1, ""),
        (&["q0"], None, 2, "name a backend"),
        (&["call"], None, 2, "required"),
        (&["q0", "--socket", "/nowhere", "{}"], None, 2, "MIKOBASE_TOKEN"),
        (&["q0", "--socket", "/nowhere", "{}"], Some(&long), 3, "server-gone"),
        (&["q0", "mikobase.uno/redis", "{}"], None, 3, "invalid-backend"),
    ];
    for (words, token, code, said) in cases {
        let mut command = miko(words);
        if let Some(token) = token {
            command.env("MIKOBASE_TOKEN", token);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{words:?}: {output:?}");
    }
}

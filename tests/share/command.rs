//! The command `miko` in pipes, as a program uses it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mikobase::backend::{Backend, Mode};
use mikobase::prelude::*;
use mikobase::rpc::Interface;
use nix::sys::stat::Mode as Permissions;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::harness::Case;
use crate::support::{Running, create};

pub const CASES: &[Case] = &[
    ("q0_answers_each_line_before_the_next_one_is_written", q0_line_by_line),
    ("a_line_that_is_not_a_request_is_answered_and_the_next_is_read", bad_lines),
    ("a_query_on_the_command_line_is_answered_once", one_query),
    ("a_record_is_edited_and_patched", edit),
    ("call_reaches_every_method_by_its_name", call),
    ("a_running_server_is_reached_by_socket_or_environment", running_server),
    ("an_import_does_not_take_a_worldlet_for_the_database_beside_a_server", ambiguous_import),
    ("exit_codes_are_as_documented", exit_codes),
    ("a_command_that_only_reads_creates_no_file", reads_create_nothing),
    ("commands_that_only_read_run_beside_other_readers", readers_beside_a_reader),
    ("the_first_valid_write_creates_the_file", writes_create),
    ("an_export_that_fails_leaves_the_file_of_before", failed_export),
    ("an_export_to_a_device_writes_to_it", export_to_a_device),
    ("a_reader_that_leaves_early_ends_the_command_quietly", closed_pipe),
    ("the_backend_stands_first_in_every_subcommand", backend_first),
    ("a_person_at_a_terminal_is_prompted", prompt),
    ("a_terminal_gets_answers_as_they_are_and_no_control_characters", terminal),
    ("schemas_and_worldlets_are_checked_before_they_are_used", check),
    ("a_request_is_explained_and_checked_in_one_respect", explain),
    ("a_whole_mikobase_is_converted_into_another_form", convert),
    ("copies_of_any_command_share_a_mikobase", share),
    ("a_copy_that_fails_fails_the_share", share_fails),
    ("a_share_that_ctrl_c_ends_has_the_exit_code_of_shells", share_interrupted),
    ("a_share_that_is_interrupted_twice_has_it_too", share_interrupted_twice),
    ("ctrl_c_at_a_terminal_reaches_a_copy_once", share_interrupted_at_a_terminal),
    ("a_share_that_ctrl_c_ends_prints_its_final_state", share_interrupted_with_state),
    ("the_life_of_a_share_is_logged_on_request", log),
    ("a_share_whose_starter_ignores_sigchld_succeeds", share_without_sigchld),
    ("completions_and_manual_pages_cover_every_subcommand", docs),
    ("the_surface_is_printed_and_recorded", surface),
];

const MEMORY: &str = "mikobase.uno/sqlite/memory";

fn miko(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(words).env_remove("MIKOBASE_SOCKET").env_remove("MIKOBASE_TOKEN");
    command
}

/// With `-vv` or a filter, the events of a share are lines of standard error; without, there are none.
fn log() {
    let log_of = |words: &[&str], filter: Option<&str>| {
        let worker = ["--", env!("CARGO_BIN_EXE_miko"), "call", "properties"];
        let mut command = miko(&["share", "1"]);
        command.args(words).args(worker).env_remove("MIKOBASE_LOG");
        command.envs(filter.map(|filter| ("MIKOBASE_LOG", filter)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, quiet) = log_of(&[], None);
    assert!(code == Some(0) && !quiet.contains("share started"), "{quiet}");
    let (code, log) = log_of(&["-vv"], None);
    assert_eq!(code, Some(0));
    for event in ["share started", "worker started", "admitted", "worker ended", "final state received"] {
        assert!(log.contains(event), "{event}: {log}");
    }
    let (_, log) = log_of(&["-v"], None);
    assert!(log.contains("share started") && !log.contains("worker started"), "{log}");
    let (_, log) = log_of(&[], Some("miko_shared::server=debug"));
    assert!(log.contains("admitted") && !log.contains("share started"), "{log}");
    let (code, refusal) = log_of(&[], Some("miko=loud"));
    assert!(code == Some(2) && refusal.contains("--log"), "{refusal}");
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
    let lines =
        b"\xef\xbb\xbf\nnot json\n\xff\xfe\n[1]\n{\"action\": \"create\", \"bucket\": {\"n\": 1e999}}\n\
        \xef\xbb\xbf{\"action\": \"select\"}";
    program.stdin.take().unwrap().write_all(lines).unwrap();
    let output = program.wait_with_output().unwrap();
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 5, "an answer per line that is not blank");
    for answer in &answers[..4] {
        assert_eq!(answer["errors"][0]["id"], "invalid_request", "{answer}");
    }
    assert_eq!(answers[4], json!({"success": true, "results": [], "count": 0}));
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

fn ambiguous_import() {
    let folder = tempfile::tempdir().unwrap();
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (one, other) = (path("one.json"), path("other.json"));
    let text = |pk: &str| format!(r#"{{"records": {{"{pk}": {{"bucket": {{}}}}}}}}"#);
    std::fs::write(&one, text("one")).unwrap();
    std::fs::write(&other, text("other")).unwrap();
    let import = |words: &[&str]| {
        let mut command = miko(&[&["import"], words].concat());
        command.env("MIKOBASE_SOCKET", share.path()).env("MIKOBASE_TOKEN", share.token().to_hex());
        command.output().unwrap()
    };
    let refused = import(&[&one, &other]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("--socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&one).unwrap(), text("one"));
    let socket = share.path().to_str().unwrap();
    assert!(import(&["--socket", socket, &one, &other]).status.success());
    assert!(share.db().unwrap().record_by_pk("other").unwrap().is_some());
    assert!(import(&[&format!("mikobase.uno/worldlet?path={one}"), &other]).status.success());
    assert!(std::fs::read_to_string(&one).unwrap().contains("other"));
    share.join().unwrap();
}

fn exit_codes() {
    let long = "0".repeat(64);
    let cases: [(&[&str], Option<&str>, i32, &str); 12] = [
        (&["q0", MEMORY, r#"{"action": "engage"}"#], None, 1, ""),
        (&["call", MEMORY, "engage"], None, 1, ""),
        (&["q0"], None, 2, "name a backend"),
        (&["call"], None, 2, "required"),
        (&["q0", "--socket", "/nowhere", "{}"], None, 2, "MIKOBASE_TOKEN"),
        (&["q0", "--socket", "/nowhere", "{}"], Some(&long), 3, "server-gone"),
        (&["q0", "mikobase.uno/redis", "{}"], None, 3, "invalid-backend"),
        (&["q0", "--socket", "/nowhere", MEMORY, "{}"], None, 2, "name one of them"),
        (&["convert", "mikobase.uno/worldlet?path=/no/such.json", "-"], None, 3, "there is no such file"),
        (&["share", "1", "--backend", "/no/such/folder/x.db", "--", "true"], None, 3, "cannot be created"),
        // Before a copy has run.
        (&["share", "1", "--out", "/no/such/folder/x.json", "--", "echo", "ran"], None, 1, "not-writable"),
        (&["serve", "--socket", "s", "--out", "/no/such/folder/x.json"], Some(&long), 1, "not-writable"),
    ];
    for (words, token, code, said) in cases {
        let mut command = miko(words);
        if let Some(token) = token {
            command.env("MIKOBASE_TOKEN", token);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said) && !stderr.contains("ran"), "{words:?}: {output:?}");
    }
}

fn edit() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("crew.db").display().to_string();
    let create = r#"{"action": "create", "bucket": {"n": 1}}"#;
    let created = json_of(&miko(&["q0", &database, create]).output().unwrap());
    let pk = created["results"]["pk"].as_str().unwrap();
    let edits = r#"[{"path": ["n"], "increment": 2}, {"path": ["list"], "push": "x"}]"#;
    let output = miko(&["edit", &database, pk, edits]).output().unwrap();
    assert_eq!(json_of(&output)["results"]["values"], json!([3, 1]));
    assert_eq!(output.status.code(), Some(0));
    let output = miko(&["patch", &database, pk, r#"{"list": null, "m": 1}"#]).output().unwrap();
    let updated_at = json_of(&output)["results"]["updated_at"].as_str().unwrap().to_owned();
    let got = json_of(&miko(&["get", &database, pk]).output().unwrap());
    assert_eq!((&got["bucket"], &got["updated_at"]), (&json!({"n": 3, "m": 1}), &json!(updated_at)));
    for (time, code) in [(updated_at.as_str(), 0), (updated_at.as_str(), 1), ("yesterday", 1)] {
        let output = miko(&["patch", &database, pk, "{}", "--if-updated-at", time]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    let mut command = miko(&["edit", &database, pk, "-"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(br#"[{"path": ["n"], "test": 4}]"#).unwrap();
    let output = program.wait_with_output().unwrap();
    assert_eq!(json_of(&output)["errors"][0]["id"], "conflict");
    assert_eq!(output.status.code(), Some(1));
}

/// All forms of backend that name a missing file.
fn missing_backends(folder: &Path) -> [String; 4] {
    let path = |name: &str| folder.join(name).display().to_string();
    [
        path("missing.db"),
        path("missing.json"),
        format!("mikobase.uno/sqlite/file?path={}", path("missing")),
        format!("https://mikobase.uno/worldlet?path={}&temporal=true", path("missing")),
    ]
}

fn reads_create_nothing() {
    let select = r#"{"action": "select"}"#;
    let commands: [&[&str]; 14] = [
        &["q0", "BACKEND", select],
        &["q0", "BACKEND", r#"{"action": "engage"}"#],
        &["q0", "BACKEND", r#"{"action": "create"}"#],
        &["get", "BACKEND", "pk"],
        &["edit", "BACKEND", "pk", "[]"],
        &["patch", "BACKEND", "pk", "{}"],
        &["call", "BACKEND", "properties"],
        &["call", "BACKEND", "collect_files"],
        &["explain", "BACKEND", select],
        &["export", "BACKEND"],
        &["schema", "export", "BACKEND"],
        &["schema", "show", "BACKEND"],
        &["convert", "BACKEND", "-"],
        &["convert", "BACKEND", "OUT"],
    ];
    for words in commands {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.db").display().to_string();
        for backend in missing_backends(folder.path()) {
            let words: Vec<&str> = words
                .iter()
                .map(|word| match *word {
                    "BACKEND" => backend.as_str(),
                    "OUT" => out.as_str(),
                    word => word,
                })
                .collect();
            let output = miko(&words).stdin(Stdio::null()).output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{words:?}: {output:?}");
            assert!(text(&output.stderr).contains("there is no such file"), "{words:?}: {output:?}");
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{words:?} created something");
        }
    }
}

fn readers_beside_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for file in ["crew.db", "crew.json"] {
        let file = path(file);
        let created = miko(&["q0", &file, r#"{"action": "create", "pk": "kirk", "bucket": {}}"#]).status();
        assert!(created.unwrap().success());
        let _reader = file.parse::<Backend>().unwrap().open(Mode::Read).unwrap();
        let commands: [&[&str]; 5] = [
            &["get", &file, "kirk"],
            &["export", &file],
            &["explain", &file, r#"{"action": "select"}"#],
            &["schema", "show", &file],
            &["convert", &file, "-"],
        ];
        for words in commands {
            let output = miko(words).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        }
    }
    let writer = miko(&["patch", &path("crew.db"), "kirk", "{}"]).output().unwrap();
    assert_eq!(writer.status.code(), Some(0), "the reader is gone: {writer:?}");
}

/// The answers of `miko q0` to `lines`, and its exit code.
fn answers(words: &[&str], lines: &str) -> (Vec<Value>, Option<i32>) {
    let mut program = miko(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    let lines = text(&output.stdout);
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

fn writes_create() {
    let lines = r#"{"action": "select"}
        {"action": "create"}
        {"action": "create", "bucket": {}}
        {"action": "select"}"#;
    for name in ["crew.db", "crew.json"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name).display().to_string();
        let (said, code) = answers(&["q0", &path], lines);
        let ids: Vec<&Value> = said.iter().map(|answer| &answer["errors"][0]["id"]).collect();
        assert_eq!(ids[..2], [&json!("invalid-backend"), &json!("invalid-backend")], "{said:?}");
        assert_eq!((&said[2]["success"], &said[3]["count"]), (&json!(true), &json!(1)), "{said:?}");
        assert_eq!(code, Some(3));

        let created = folder.path().join(format!("empty-{name}")).display().to_string();
        let (said, code) = answers(&["q0", "--create", &created, r#"{"action": "select"}"#], "");
        assert_eq!((said[0]["count"].clone(), code), (json!(0), Some(0)));
    }
}

fn failed_export() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.json");
    std::fs::write(&backup, "the backup").unwrap();
    for backend in missing_backends(folder.path()) {
        let output = miko(&["export", &backend, "--out", backup.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert_eq!(std::fs::read_to_string(&backup).unwrap(), "the backup");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}

fn export_to_a_device() {
    for device in ["/dev/stdout", "/dev/null"] {
        let output = miko(&["export", MEMORY, "--out", device]).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout).ends_with("}\n"), device == "/dev/stdout", "{output:?}");
        assert!(!std::fs::symlink_metadata(device).unwrap().is_file(), "{device} is what it was");
    }
}

/// Runs every command that prints a document, with a pipe whose reader has closed it.
fn closed_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db").display().to_string();
    assert!(miko(&["import", &path, "schema/starfleet.worldlet.json"]).output().unwrap().status.success());
    let select = r#"{"action": "select"}"#;
    let commands: [&[&str]; 11] = [
        &["export", &path],
        &["convert", &path, "-"],
        &["q0", &path, select],
        &["call", &path, "export_schema"],
        &["explain", &path, select],
        &["schema", "export", &path],
        &["validate", select],
        &["surface"],
        &["completions", "bash"],
        &["man"],
        &["share", "0", "--", "true"],
    ];
    for words in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = miko(words).stdin(Stdio::null()).stdout(writer).output().unwrap();
        let said = text(&output.stderr);
        assert!(!said.contains("panicked") && !said.contains("internal"), "{words:?}: {output:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    }
    // Messages to a closed standard error are lost; the exit code is unchanged.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = miko(&["q0", "mikobase.uno/redis", select]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

fn backend_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (database, schema) = (path("crew.db"), path("crew.json"));
    std::fs::write(&schema, CREW).unwrap();
    let class = "test.org/officer";
    let cases: [(&[&str], i32, &str); 15] = [
        (&["schema", "import", &database, &schema], 0, ""),
        (&["schema", "show", &database], 0, "test.org/officer"),
        (&["schema", "show", &database, class], 0, "serial"),
        (&["schema", "show", &database, "http://test.org/officer"], 0, "serial"),
        (&["schema", "export", &database], 0, "test.org/officer"),
        (&["get", &database, "no such pk"], 1, "record_not_found"),
        // A lone backend is not read as another argument, and another argument is not read as a backend.
        (&["get", &database], 2, "name a pk"),
        (&["edit", &database, "[]"], 2, "name a pk"),
        (&["edit", &database, "no such pk", "[]"], 1, "one edit or more"),
        (&["patch", &database, "no such pk", "{}"], 1, "record_not_found"),
        (&["call", &database], 2, "name a method"),
        (&["call", &database, "{}"], 2, "name a method"),
        (&["schema", "import", &database], 2, "name a file"),
        (&["schema", "import", &schema], 2, "name a backend"),
        (&["schema", "show", class], 2, "name a backend"),
    ];
    for (words, code, said) in cases {
        let output = miko(words).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        let text = text(&output.stdout) + &text(&output.stderr);
        assert!(text.contains(said), "{words:?}: {text}");
    }
}

/// Runs the command on a terminal, with the program `script`. Skipped if that is not installed.
fn prompt() {
    let command = format!("{} q0 {MEMORY}", env!("CARGO_BIN_EXE_miko"));
    let script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = script else { return };
    // The last byte is Ctrl-D.
    script.stdin.take().unwrap().write_all(b"{\"action\": \"select\"}\n\x04").unwrap();
    let shown = text(&script.wait_with_output().unwrap().stdout);
    assert!(shown.matches("q0> ").count() >= 2 && shown.contains("success"), "{shown}");
}

/// What a command prints on a terminal; `None` if the system has no `script`.
fn on_a_terminal(command: &str) -> Option<String> {
    let mut script = Command::new("script");
    let output = script.args(["-qec", command, "/dev/null"]).stdin(Stdio::null()).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(text(&output.stdout))
}

fn terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db").display().to_string();
    // What `serde_json` reserves, and a control sequence by its one-character form.
    let bucket = json!({"x": {"$serde_json::private::RawValue": "12"}, "y": "\u{9b}31m"});
    let create = json!({"action": "create", "pk": "kirk", "bucket": bucket}).to_string();
    assert!(miko(&["q0", &path, &create]).status().unwrap().success());
    let Some(shown) = on_a_terminal(&format!("{} get {path} kirk", env!("CARGO_BIN_EXE_miko"))) else {
        return;
    };
    assert!(shown.contains("$serde_json::private::RawValue") && shown.contains("\\u009b31m"), "{shown}");
    assert!(shown.contains("\u{1b}["), "it has colours: {shown}");
    let hostile = folder.path().join("hostile.json");
    std::fs::write(&hostile, r#"{"records": {"a": {"bucket": {}, "\u001b]0;pwn\u0007": 1}}}"#).unwrap();
    let refused = miko(&["import", &path, hostile.to_str().unwrap()]).output().unwrap();
    let said = text(&refused.stderr);
    assert!(said.contains("\\u{1b}]0;pwn\\u{7}") && !said.contains('\u{1b}'), "{said}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const CREW: &str = r#"{"classes": {"test.org/officer": {"fields": {"serial": {"unique": true}}}}}"#;

fn check() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        std::fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (good, bad) =
        (file("good.json", CREW), file("bad.json", r#"{"classes": {"x": {}, "a.b/c": {"fields": 1}}}"#));
    let output = miko(&["schema", "check", &good]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), format!("{good}: 1 classes\n")));
    let output = miko(&["schema", "check", &bad, &good, "missing.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "two faults, one file that is good, one that is missing: {said}");
    assert!(lines[0].contains("/classes/x") && lines[1].contains("/classes/a.b~1c/fields"), "{said}");
    let temporal = file("temporal.json", r#"{"properties": {"temporal": true}, "records": {}}"#);
    let output = miko(&["schema", "check", &temporal]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), format!("{temporal}: 0 records\n")));
    let faulty = file("faulty.json", r#"{"records": {"a": {"bucket": 1}, "a": {}, "b": {"x": 1}}}"#);
    let [checked, imported] = [&["schema", "check"][..], &["import", MEMORY]].map(|words| {
        let output = miko(&[words, &[&faulty]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr)
    });
    assert_eq!(checked, imported);
    assert!(checked.lines().count() > 2, "{checked}");
    let output = miko(&["validate", r#"{"action": "select", "limit": "x"}"#]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json_of(&output)["errors"][0]["details"]["pointer"], "/limit");
    let output = miko(&["validate", r#"{"action": "select"}"#]).output().unwrap();
    assert_eq!((output.status.code(), json_of(&output)), (Some(0), json!({"errors": [], "warnings": []})));
}

fn explain() {
    let select = r#"{"action": "select", "path": ["n", {"gt": 1}], "limit": {"placeholder": "most"},
        "placeholders": {"most": 2, "x": 1}}"#;
    let explained = json_of(&miko(&["explain", MEMORY, select]).output().unwrap());
    assert_eq!(explained["values"], json!([r#"["n",{"gt":1}]"#, 2]));
    assert!(explained["sql"].as_str().unwrap().contains("q0_path(bucket, ?1)"), "{explained}");
    assert_eq!((&explained["index"], &explained["evaluator"]), (&Value::Null, &Value::Null));
    assert_eq!(
        miko(&["explain", MEMORY, r#"{"action": "delete", "pk": "x"}"#]).output().unwrap().status.code(),
        Some(1)
    );

    let placeholders = miko(&["validate", "--only", "placeholders", select]).output().unwrap();
    assert_eq!(placeholders.status.code(), Some(0));
    assert_eq!(json_of(&placeholders)["warnings"][0]["id"], "unused_placeholder");
    let broken = r#"{"action": "select", "class": "x", "path": ["n", {"placeholder": "y"}]}"#;
    for (respect, pointer) in [("uns", "/class"), ("placeholders", "/path/1")] {
        let found = json_of(&miko(&["validate", "--only", respect, broken]).output().unwrap());
        let pointers: Vec<_> =
            found["errors"].as_array().unwrap().iter().map(|item| &item["details"]["pointer"]).collect();
        assert_eq!(pointers, [pointer], "{respect}");
    }
    assert_eq!(miko(&["validate", "--only", "fields", broken]).output().unwrap().status.code(), Some(0));
}

fn convert() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let hand_written = r#"{"classes": {"a.b/c": {"fields": {"n": {"class": "number"}}}},
        "records": {"x": {"class": "a.b/c", "bucket": {"n": 1}}, "y": "text"}}"#;
    std::fs::write(path("hand.json"), hand_written).unwrap();
    let run = |from: &str, to: &str| miko(&["convert", from, to]).output().unwrap();
    assert_eq!(run(&path("hand.json"), &path("one.db")).status.code(), Some(0));
    assert_eq!(run(&path("one.db"), &path("two.db")).status.code(), Some(0));
    assert_eq!(run(&path("two.db"), &path("out.json")).status.code(), Some(0));
    let exported = std::fs::read_to_string(path("out.json")).unwrap();
    let canonical: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(canonical["records"].as_object().unwrap().len(), 3);
    assert_eq!(canonical["records"]["y"], "text");
    assert_eq!(text(&run(&path("out.json"), "-").stdout).trim_end(), exported.trim_end());
    // The target of a temporal worldlet is temporal, and is exported as the same worldlet.
    let history = r#"{"properties": {"temporal": true},
        "history": {"v": {"identity": "x", "timestamp": "2364-01-01T00:00:00Z", "bucket": {}}}}"#;
    std::fs::write(path("history.json"), history).unwrap();
    assert_eq!(run(&path("history.json"), &path("history.db")).status.code(), Some(0));
    let [direct, by_way] =
        ["history.json", "history.db"].map(|from| text(&run(&path(from), "-").stdout).to_owned());
    assert_eq!(direct, by_way);
    assert!(direct.contains(r#""v":{"identity":"x""#), "{direct}");
    // Also if the target is an empty file.
    std::fs::write(path("empty.db"), "").unwrap();
    assert_eq!(run(&path("history.json"), &path("empty.db")).status.code(), Some(0));
    assert_eq!(text(&run(&path("empty.db"), "-").stdout), direct);
    // So is one that cannot be opened as it was asked for.
    let strange = format!("mikobase.uno/sqlite/file?path={}&record_cache_size=x", path("strange.db"));
    assert_ne!(run(&path("hand.json"), &strange).status.code(), Some(0));
    assert!(!std::fs::exists(path("strange.db")).unwrap());
    // A new database is removed if the import into it fails.
    std::fs::write(path("broken.json"), r#"{"records": 5}"#).unwrap();
    assert_eq!(run(&path("broken.json"), &path("broken.db")).status.code(), Some(1));
    assert!(!std::fs::exists(path("broken.db")).unwrap());
    // An existing target is not overwritten.
    for (from, to) in [("hand.json", "two.db"), ("one.db", "out.json")] {
        let refused = run(&path(from), &path(to));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
    assert_eq!(std::fs::read_to_string(path("out.json")).unwrap(), exported);
}

/// A shell command that creates an officer by way of `miko q0`.
fn create_officer(serial: &str) -> String {
    let request = format!(
        r#"{{\"action\": \"create\", \"class\": \"test.org/officer\", \"bucket\": {{\"serial\": {serial}}}}}"#
    );
    format!("{} q0 \"{request}\"", env!("CARGO_BIN_EXE_miko"))
}

fn share() {
    let folder = tempfile::tempdir().unwrap();
    let (schema, out) = (folder.path().join("crew.json"), folder.path().join("out.json"));
    std::fs::write(&schema, CREW).unwrap();
    let (schema, out) = (schema.display().to_string(), out.display().to_string());
    let command = create_officer("1$MIKOBASE_WORKER$MIKOBASE_WORKERS");
    let output = miko(&["share", "4", "--schema", &schema, "--out", &out, "--", "sh", "-c", &command])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    assert_eq!(
        said.lines().filter(|line| line.starts_with("worker ") && line.contains("exit code 0")).count(),
        4
    );
    assert!(std::fs::read_to_string(&out).unwrap().ends_with("}\n"), "it is a text file");
    let worldlet: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let mut serials: Vec<&Value> = worldlet["records"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|record| record["bucket"].get("serial"))
        .collect();
    serials.sort_by_key(|serial| serial.as_u64());
    assert_eq!(serials, [104, 114, 124, 134]);

    // The next share imports the worldlet and prints its own to standard output.
    let count = format!(
        "test $({} call by_class '[\"test.org/officer\"]' | grep -o created_at | wc -l) = 4",
        env!("CARGO_BIN_EXE_miko")
    );
    let output = miko(&["share", "1", "--worldlet", &out, "--", "sh", "-c", &count]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(json_of(&output), worldlet);
}

fn share_fails() {
    let output =
        miko(&["share", "3", "--quiet", "--", "sh", "-c", "exit $MIKOBASE_WORKER"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(1), 0, 0));
    let output = miko(&["share", "1", "--", "sh", "-c", "kill -9 $$"]).output().unwrap();
    assert!(text(&output.stderr).starts_with("worker 0: SIGKILL"), "{output:?}");
    let output = miko(&["share", "1", "--", "no-such-program"]).output().unwrap();
    assert!(text(&output.stderr).contains("`no-such-program` cannot be run"), "{output:?}");
    let output = miko(&["share", "1", "--schema", "missing.json", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("missing.json"), "{output:?}");
    assert_eq!(miko(&["share", "1"]).output().unwrap().status.code(), Some(2));
    // Also if nobody reads the final state.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = miko(&["share", "1", "--", "false"]).stdout(writer).output().unwrap();
    assert_eq!(unread.status.code(), Some(1), "{unread:?}");
}

fn docs() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man/man1");
    let output = miko(&["man", &pages.display().to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let help = text(&miko(&["--help"]).output().unwrap().stdout);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let completions = text(&miko(&["completions", shell]).output().unwrap().stdout);
        for command in &commands {
            assert!(completions.contains(command), "{shell} completes {command}");
        }
    }
    for command in commands.iter().filter(|command| **command != "help") {
        assert!(pages.join(format!("miko-{command}.1")).exists(), "{command} has a page");
        let help = text(&miko(&[command, "--help"]).output().unwrap().stdout);
        let leaf = !["schema", "surface", "man", "completions"].contains(command);
        assert!(!leaf || help.contains("Examples:"), "{command} --help has examples");
    }
}

fn surface() {
    let printed = |arguments: &[&str]| {
        let output = miko(arguments).output().unwrap();
        mikobase::rpc::Surface::from_json(&text(&output.stdout)).unwrap()
    };
    let surface = <dyn Mikobase as Interface>::surface();
    assert!(printed(&["surface", "--schema"]) == *surface);
    assert!(printed(&["surface"]) == mikobase::rpc::Surface { schemas: None, ..surface.clone() });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("surface.json");
    assert!(miko(&["surface", "--record", &file.display().to_string()]).status().unwrap().success());
    let recorded = std::fs::read_to_string(file).unwrap();
    assert_eq!(recorded, std::fs::read_to_string("miko-core/schema/mikobase.surface.json").unwrap());
}

fn share_interrupted() {
    // The copy sends the parent the signal of Ctrl-C.
    let mut command = miko(&["share", "2", "--quiet", "--", "sh", "-c", "kill -INT $PPID; exec sleep 60"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"), "{output:?}");
}

fn share_interrupted_twice() {
    let copy = "trap '' INT; while kill -INT $PPID; do sleep 0.02; done";
    let output = miko(&["share", "1", "--quiet", "--", "sh", "-c", copy]).output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}

/// The terminal sends SIGINT to the copy, too.
fn share_interrupted_at_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let copy = "trap 'echo got >> got' INT; sleep 60 & > ready; wait $!; sleep 0.2; kill $!";
    std::fs::write(folder.path().join("copy"), copy).unwrap();
    let share = format!("{} share 1 --quiet -- sh ./copy", env!("CARGO_BIN_EXE_miko"));
    mkfifo(&folder.path().join("ready"), Permissions::S_IRWXU).unwrap();
    let script = Command::new("script")
        .args(["-qec", &share, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = script else { return };
    std::fs::read(folder.path().join("ready")).unwrap();
    // Ctrl-C.
    script.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(script.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_to_string(folder.path().join("got")).unwrap(), "got\n");
}

fn share_interrupted_with_state() {
    let create = r#"'{"action": "create", "bucket": {"text": "é"}}'"#;
    let copy = format!("{} q0 {create} >&2; kill -INT $PPID; exec sleep 60", env!("CARGO_BIN_EXE_miko"));
    let output = miko(&["share", "1", "--", "sh", "-c", &copy]).output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let state: Value = serde_json::from_slice(&output.stdout).unwrap();
    let records = state["records"].as_object().unwrap();
    assert_eq!(records.values().next().unwrap()["bucket"]["text"], "é", "{state}");
}

fn share_without_sigchld() {
    // An empty TMPDIR is one that is not set.
    let share = format!(
        "trap '' CHLD; export TMPDIR=; unset XDG_RUNTIME_DIR; exec {} share 2 --quiet -- true",
        env!("CARGO_BIN_EXE_miko")
    );
    let output = Command::new("bash").args(["-c", &share]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

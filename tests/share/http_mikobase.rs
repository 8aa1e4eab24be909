//! HTTP over a Mikobase: its own routes, and transactions that live with a session.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use mikobase::prelude::*;
use mikobase::{Limits, MikobaseClient};
use serde_json::Value;

use crate::harness::Case;
use crate::http_client::{Client, Session};
use crate::support::{count, create};

pub const CASES: &[Case] = &[
    ("q0_answers_with_its_own_body_and_a_status", q0),
    ("a_large_select_is_sent_in_lines", selects),
    ("the_description_has_no_dangling_reference", description),
    ("records_and_schemas_have_tags", tags),
    ("a_transaction_of_q0_lives_with_its_session", transactions),
    ("a_transaction_is_an_object_of_a_session_which_all_routes_know", objects),
    ("files_of_any_size_are_sent_both_ways", files),
    ("a_worldlet_is_sent_and_a_delta_is_merged", worldlets),
    ("miko_share_tells_its_programs_the_socket", miko_share),
    ("committed_changes_are_events_and_a_client_resumes", changes),
];

fn with_mikobase(uds: Uds, test: impl FnOnce(&PathBuf, &MikobaseClient)) {
    let uds = uds.http(true);
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    test(&share.http_path(), share.db().unwrap());
    share.join().unwrap();
}

fn q0() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let mut client = Client::connect(path);
        let created = client.post("/q0", &json!({"action": "create", "pk": "kirk", "bucket": {"n": 1.0}}));
        assert_eq!(created.status, 200);
        assert_eq!(created.json()["success"], true);
        assert_eq!(created.json()["results"]["pk"], "kirk");
        assert_eq!(
            db.record_by_pk("kirk").unwrap().unwrap().bucket_as::<Value>().unwrap(),
            json!({"n": 1.0})
        );
        for (body, status, id) in [
            (json!({"action": "create", "pk": "kirk", "bucket": {}}), 409, "pk-in-use"),
            (json!({"action": "delete", "pk": "nobody"}), 404, "record_not_found"),
            (json!({"action": "select", "limit": -1}), 400, "invalid_request"),
            (json!({"action": "select", "history": true}), 422, "not-temporal"),
            (json!({"action": "transaction"}), 400, "session-required"),
            (json!({"action": "claim", "select": {}, "lease": 1}), 400, "session-required"),
            (json!({"action": "release", "claim": "none"}), 409, "claim-lost"),
            (json!([1, 2]), 400, "invalid_request"),
        ] {
            let refused = client.post("/q0", &body);
            assert_eq!((refused.status, &*refused.error_id()), (status, id), "{body}");
        }
        let json = "content-type: application/json\r\n";
        // The body is one value, and becomes no second param.
        for body in ["", "{", "{}, {}", "{}], [{}"] {
            let refused = client.request("POST", "/q0", json, body.as_bytes());
            assert_eq!((refused.status, &*refused.error_id()), (400, "invalid_request"), "{body}");
        }
        let marked = client.request("POST", "/q0", json, "\u{feff}{\"action\": \"select\"}".as_bytes());
        assert_eq!((marked.status, &marked.json()["success"]), (200, &json!(true)));
        assert_eq!(client.get("/q0").headers["allow"], "POST");
    });
}

fn selects() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let mut client = Client::connect(path);
        for n in 0..1000 {
            create(db, n).unwrap();
        }
        let headers = "content-type: application/json\r\naccept: application/x-ndjson\r\n";
        let select = json!({"action": "select", "class": "test.org/item"}).to_string();
        let lines = client.request("POST", "/q0", headers, select.as_bytes());
        assert_eq!(lines.headers["content-type"], "application/x-ndjson");
        let numbers = lines.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(numbers.map(|record| record["bucket"]["n"].clone()).eq((0..1000).map(Value::from)));
        let refused = client.request("POST", "/q0", headers, br#"{"action": "select", "limit": -1}"#);
        assert_eq!((refused.status, &*refused.error_id()), (400, "invalid_request"));
    });
}

/// All references of the description lead to something, by names that OpenAPI allows.
fn description() {
    fn check(part: &Value, whole: &Value) {
        if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
            assert!(whole.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
        match part {
            Value::Object(members) => members.values().for_each(|member| check(member, whole)),
            Value::Array(elements) => elements.iter().for_each(|element| check(element, whole)),
            _ => {}
        }
    }
    with_mikobase(Uds::new().unwrap(), |path, _| {
        let described = Client::connect(path).get("/openapi.json").json();
        check(&described, &described);
        let lines = described.pointer("/paths/~1call~1select_stream/post/responses/200/content");
        assert!(lines.unwrap().get("application/x-ndjson").is_some());
        let params = &described["paths"]["/call/edit"]["post"]["requestBody"]["content"]["application/json"];
        let [by_name, in_order] = [0, 1].map(|form| &params["schema"]["anyOf"][form]);
        assert_eq!(by_name["$ref"], "#/components/schemas/params.edit");
        assert_eq!(described["components"]["schemas"]["params.edit"]["required"], json!(["pk", "edits"]));
        assert_eq!((&in_order["minItems"], &in_order["maxItems"]), (&json!(2), &json!(2)));
        for (method, route, parameters, body) in [
            ("post", "/q0", "Mikobase-Session", "application/json"),
            ("get", "/records/{pk}", "pk Mikobase-Session", ""),
            ("get", "/classes/{uns}", "uns Mikobase-Session", ""),
            ("get", "/schema", "Mikobase-Session", ""),
            ("get", "/changes", "target after snapshot leaving Last-Event-ID Mikobase-Session", ""),
            ("get", "/worldlet", "Mikobase-Session", ""),
            ("post", "/worldlet", "Mikobase-Session", "application/json"),
            ("post", "/files", "Mikobase-Session", "application/octet-stream"),
            ("get", "/files/{pk}", "pk Range Mikobase-Session", ""),
            ("post", "/objects/{handle}/{method}", "handle method Mikobase-Session", "application/json"),
            ("get", "/streams/{handle}", "handle Mikobase-Session", ""),
        ] {
            let operation = &described["paths"][route][method];
            let names = operation["parameters"].as_array().unwrap().iter();
            let names: Vec<&str> = names.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            assert_eq!(names.join(" "), parameters, "{route}");
            let content = operation["requestBody"]["content"].as_object();
            assert_eq!(content.map_or("", |content| content.keys().next().unwrap()), body, "{route}");
        }
        // A token, or none; none at all for this one.
        assert_eq!(described["security"], json!([{"token": []}, {}]));
        assert_eq!(described["paths"]["/health"]["get"]["security"], json!([]));
    });
}

fn tags() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let mut client = Client::connect(path);
        db.q0(json!({"action": "create", "pk": "a b/é", "bucket": {"n": 1}})).unwrap();
        let route = "/records/a%20b%2F%C3%A9";
        let record = client.get(route);
        assert_eq!(record.json()["bucket"], json!({"n": 1}));
        let tag = record.headers["etag"].clone();
        assert_eq!(tag, format!("{}", record.json()["updated_at"]));
        let if_changed = format!("if-none-match: {tag}\r\n");
        let same = client.request("GET", route, &if_changed, b"");
        assert_eq!((same.status, same.body.len(), &same.headers["etag"]), (304, 0, &tag));
        db.q0(json!({"action": "patch", "pk": "a b/é", "bucket": {"n": 2}})).unwrap();
        let changed = client.request("GET", route, &if_changed, b"");
        assert_eq!((changed.status, &changed.json()["bucket"]["n"]), (200, &json!(2)));
        assert_eq!(&*client.get("/records/nobody").error_id(), "record_not_found");
        let default = json!({"$serde_json::private::RawValue": "1"});
        let fields = json!({"n": {"class": "number"}, "key": {"class": "hash", "default": default}});
        db.import_schema(json!({"classes": {"a.b/c": {"fields": fields}}})).unwrap();
        for name in ["a.b/c", "https://a.b/c", "http:%2F%2Fa.b%2Fc"] {
            let read = client.get(&format!("/classes/{name}"));
            // As text: `serde_json` would take the key for one of its own.
            assert!(read.text().contains(&format!("\"default\":{default}")), "{}", read.text());
        }
        for route in ["/schema", "/classes/a.b/c"] {
            let read = client.get(route);
            assert_eq!(read.status, 200);
            let if_changed = format!("if-none-match: \"x\", {}\r\n", read.headers["etag"]);
            assert_eq!(client.request("GET", route, &if_changed, b"").status, 304);
        }
        assert_eq!(&*client.get("/classes/a.b/d").error_id(), "class-not-found");
    });
}

/// The events that a response has sent, up to so many items.
fn events(client: &mut Client, items: usize) -> String {
    let mut text = String::new();
    while text.matches("data: ").count() < items {
        text.push_str(&String::from_utf8(client.chunk().unwrap()).unwrap());
    }
    text
}

fn changes() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let subscribe = |headers: &str| {
            let mut client = Client::connect(path);
            client.send_request("GET", "/changes?target=test.org%2Fitem", headers, b"");
            assert_eq!(client.head().status, 200);
            client
        };
        let mut client = subscribe("");
        let item = |n| json!({"action": "create", "class": "test.org/item", "bucket": {"n": n}});
        db.batch(vec![item(1), item(2)], true).unwrap();
        let sent = events(&mut client, 2);
        let events_sent: Vec<&str> = sent.trim_end().split("\n\n").collect();
        assert!(events_sent[0].starts_with("data: ") && events_sent[0].contains(r#""n":1"#), "{sent}");
        let (id, second) = events_sent[1].split_once('\n').unwrap();
        assert!(second.contains(r#""n":2"#), "{sent}");
        db.q0(item(3)).unwrap();
        drop(client);
        let last = id.strip_prefix("id: ").unwrap();
        let sent = events(&mut subscribe(&format!("last-event-id: {last}\r\n")), 1);
        assert!(sent.starts_with("id: ") && sent.contains(r#""n":3"#), "{sent}");
        let refused = Client::connect(path).get("/changes?limit=1");
        assert_eq!((refused.status, &*refused.error_id()), (400, "invalid_request"));
    });
}

fn transactions() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let mut client = Client::connect(path);
        let begin = |client: &mut Client, session: &Session| {
            let begun = client.post_in(&session.id, "/q0", &json!({"action": "transaction"})).json();
            begun["results"]["transaction"].as_str().unwrap().to_owned()
        };
        let write = |client: &mut Client, session: &Session, transaction: &str| {
            let create = json!({"action": "create", "class": "test.org/item", "bucket": {}});
            let mut body = create.as_object().unwrap().clone();
            body.insert("transaction".to_owned(), transaction.into());
            client.post_in(&session.id, "/q0", &body.into())
        };
        let session = Session::open(path);
        let transaction = begin(&mut client, &session);
        assert_eq!(write(&mut client, &session, &transaction).status, 200);
        assert_eq!(count(db), 0);
        let other = Session::open(path);
        let foreign = write(&mut client, &other, &transaction);
        assert_eq!((foreign.status, &*foreign.error_id()), (404, "transaction-not-found"));
        // Another writer waits for it, and blocks nobody.
        let mut waiting = Client::connect(path);
        let body = json!({"action": "create", "class": "test.org/item", "bucket": {}}).to_string();
        waiting.send_request("POST", "/q0", "content-type: application/json\r\n", body.as_bytes());
        let commit = json!({"action": "commit", "transaction": transaction});
        assert_eq!(client.post_in(&session.id, "/q0", &commit).status, 200);
        assert_eq!(waiting.response().status, 200);
        assert_eq!(count(db), 2);
        // The end of its session rolls a transaction back.
        let transaction = begin(&mut client, &session);
        assert_eq!(write(&mut client, &session, &transaction).status, 200);
        drop(session);
        create(db, 1).unwrap();
        assert_eq!(count(db), 3);
    });
}

fn objects() {
    with_mikobase(Uds::new().unwrap(), |path, db| {
        let mut client = Client::connect(path);
        let session = Session::open(path);
        let begun = client.post_in(&session.id, "/call/begin", &json!({})).json();
        let object = format!("/objects/{}", begun["object"]);
        let buckets = json!({"class": "test.org/item", "buckets": [{}, {}]});
        let created = client.post_in(&session.id, &format!("{object}/create_many"), &buckets);
        assert_eq!(created.json().as_array().unwrap().len(), 2);
        assert_eq!(count(db), 0);
        assert_eq!(client.post_in(&session.id, &format!("{object}/commit"), &json!({})).status, 200);
        assert_eq!(count(db), 2);
        check_sessions(path, db, &session);
    });
}

/// A client whose session was lost learns it by any request.
fn check_sessions(path: &Path, db: &MikobaseClient, session: &Session) {
    let pk = db.put_file(&mut &b"make it so"[..], "text/plain").unwrap();
    let file = format!("/files/{pk}");
    let in_session = |id: &str| format!("content-type: application/json\r\nmikobase-session: {id}\r\n");
    let mut client = Client::connect(path);
    for (method, route, body) in [
        ("POST", "/q0", r#"{"action": "select"}"#),
        ("GET", "/records/nobody", ""),
        ("GET", "/schema", ""),
        ("GET", "/classes/a.b/c", ""),
        ("GET", "/worldlet", ""),
        ("POST", "/worldlet", "{}"),
        ("POST", "/files", "{}"),
        ("GET", &file, ""),
        ("GET", "/changes", ""),
        ("POST", "/call/properties", ""),
    ] {
        let mut ask = |id: &str| client.request(method, route, &in_session(id), body.as_bytes());
        let gone = ask(&"0".repeat(64));
        assert_eq!((gone.status, &*gone.error_id()), (410, "session-gone"), "{method} {route}");
        if route != "/changes" {
            assert_ne!(ask(&session.id).status, 410, "{method} {route}");
        }
    }
}

fn files() {
    let mut limits = Limits::default();
    limits.frame_size = 1 << 20;
    with_mikobase(Uds::new().unwrap().limits(limits), |path, db| {
        let mut client = Client::connect(path);
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let stored = client.request("POST", "/files", "content-type: image/png\r\n", &content);
        assert_eq!(stored.status, 201);
        let pk = stored.json()["pk"].as_str().unwrap().to_owned();
        let route = stored.headers["location"].clone();
        assert_eq!(route, format!("/files/{pk}"));
        let info = db.file_info(&pk).unwrap();
        assert_eq!((info.size, &*info.mime), (3_000_000, "image/png"));
        let read = client.get(&route);
        assert_eq!((read.status, &*read.headers["content-type"]), (200, "image/png"));
        assert!(read.body == content);
        assert_eq!(read.headers["etag"], format!("\"{}\"", info.sha256));
        let range = |client: &mut Client, range: &str| {
            client.request("GET", &route, &format!("range: bytes={range}\r\n"), b"")
        };
        for (asked, part) in [("2999990-", 2_999_990..3_000_000), ("0-0", 0..1), ("-5", 2_999_995..3_000_000)]
        {
            let read = range(&mut client, asked);
            assert_eq!((read.status, &*read.body), (206, &content[part.clone()]));
            assert_eq!(
                read.headers["content-range"],
                format!("bytes {}-{}/3000000", part.start, part.end - 1)
            );
        }
        let beyond = range(&mut client, "3000000-");
        assert_eq!((beyond.status, &*beyond.error_id()), (416, "range-not-satisfiable"));
        assert_eq!(beyond.headers["content-range"], "bytes */3000000");
        let known =
            client.request("GET", &route, &format!("if-none-match: {}\r\n", read.headers["etag"]), b"");
        assert_eq!((known.status, known.body.len()), (304, 0));
        assert_eq!(&*client.get("/files/none").error_id(), "file-not-found");
        // While the server looks for the last byte, it answers others.
        let mut other = Client::connect(path);
        let is_answered_meanwhile = |_| {
            client.send_request("GET", &route, "range: bytes=-1\r\n", b"");
            assert_eq!(client.head().status, 206);
            assert_eq!(other.get("/health").status, 200);
            client.stream.get_ref().set_nonblocking(true).unwrap();
            let has_byte = client.stream.fill_buf().is_ok();
            client.stream.get_ref().set_nonblocking(false).unwrap();
            let mut byte = [0];
            client.stream.read_exact(&mut byte).unwrap();
            assert_eq!(byte, content[2_999_999..]);
            !has_byte
        };
        assert!((0..20).any(is_answered_meanwhile));
        let empty = client.request("POST", "/files", "", b"").json();
        let empty = client.get(&format!("/files/{}", empty["pk"].as_str().unwrap()));
        assert_eq!((empty.status, empty.body.len()), (200, 0));
    });
}

fn worldlets() {
    with_mikobase(Uds::new().unwrap().temporal(true), |path, db| {
        let mut client = Client::connect(path);
        create(db, 1).unwrap();
        let mut text = Vec::new();
        db.export_worldlet(&mut text).unwrap();
        let sent = client.get("/worldlet");
        assert_eq!(sent.status, 200);
        let worldlet: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(sent.json()["history"], worldlet["history"]);
        assert!(worldlet["history"].is_object());
        assert_eq!(client.post("/worldlet", &json!({"history": worldlet["history"]})).status, 200);
        let refused = client.post("/worldlet", &json!({"history": 7}));
        assert_eq!((refused.status, &*refused.error_id()), (400, "invalid-worldlet"));
    });
}

fn miko_share() {
    let program = "test -S \"$MIKOBASE_HTTP\" && echo \"http of $MIKOBASE_WORKER\"";
    let output = Command::new(env!("CARGO_BIN_EXE_miko"))
        .args(["share", "1", "--quiet", "--", "sh", "-c", program])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("http of 0"), "{output:?}");
}

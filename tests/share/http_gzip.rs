//! Responses in gzip, and bodies of requests with a coding.

use std::io::Read;

use flate2::read::GzDecoder;
use mikobase::prelude::*;

use crate::harness::Case;
use crate::http_client::{Client, Response, Session};
use crate::support::Running;

pub const CASES: &[Case] = &[
    ("what_is_worth_it_is_compressed_for_those_who_take_it", bodies),
    ("each_item_of_a_compressed_stream_arrives_at_once", stream),
    ("a_body_with_a_coding_is_refused_by_name", coded_request),
];

const GZIP: &str = "accept-encoding: gzip\r\n";

fn with_mikobase(test: impl FnOnce(&mut Client, &std::path::Path)) {
    let uds = Uds::new().unwrap().http(true);
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let path = share.http_path();
    let mut client = Client::connect(&path);
    let text = "All is well. ".repeat(100);
    let create = json!({"action": "create", "pk": "log", "class": "a.b/log", "bucket": {"text": text}});
    assert_eq!(client.post("/q0", &create).status, 200);
    test(&mut client, &path);
    drop(client);
    share.join().unwrap();
}

fn decoded(response: &Response) -> String {
    assert_eq!(response.headers["content-encoding"], "gzip");
    let mut text = String::new();
    GzDecoder::new(&response.body[..]).read_to_string(&mut text).unwrap();
    text
}

fn bodies() {
    with_mikobase(|client, path| {
        let plain = client.get("/records/log");
        assert_eq!(plain.headers.get("content-encoding"), None);
        assert_eq!(plain.headers["vary"], "accept-encoding");
        let small = client.request("GET", "/records/log", GZIP, b"");
        assert_eq!(decoded(&small), plain.text());
        assert!(small.body.len() < plain.body.len() / 2);
        // The tag of one form is known in the other.
        for tag in [&plain.headers["etag"], &small.headers["etag"]] {
            for accepted in ["", GZIP] {
                let headers = format!("if-none-match: {tag}\r\n{accepted}");
                let known = client.request("GET", "/records/log", &headers, b"");
                let whole = if accepted.is_empty() { &plain } else { &small };
                assert_eq!((known.status, known.body.len()), (304, 0));
                for field in ["etag", "vary", "cache-control"] {
                    assert_eq!(known.headers[field], whole.headers[field], "{field}");
                }
                assert_eq!(known.headers.get("content-encoding"), None);
            }
        }
        let select = br#"{"action": "select", "class": "a.b/log"}"#;
        let headers = format!("content-type: application/json\r\naccept: application/x-ndjson\r\n{GZIP}");
        assert_eq!(decoded(&client.request("POST", "/q0", &headers, select)).lines().count(), 1);
        assert_eq!(decoded(&client.request("GET", "/worldlet", GZIP, b"")), client.get("/worldlet").text());
        decoded(&client.request("GET", "/metrics", GZIP, b""));
        // What is small, events and files are sent as they are.
        assert_eq!(client.request("GET", "/health", GZIP, b"").headers.get("content-encoding"), None);
        let headers = format!("content-type: application/json\r\naccept: text/event-stream\r\n{GZIP}");
        let events = client.request("POST", "/q0", &headers, select);
        assert!(events.text().starts_with("id: 1\n"), "{}", events.text());
        let file = client.request("POST", "/files", "content-type: text/plain\r\n", &[b'x'; 5000]);
        let file = client.request("GET", &file.headers["location"], GZIP, b"");
        assert_eq!((file.headers.get("content-encoding"), file.body.len()), (None, 5000));
        let mut session = Client::connect(path);
        session.send_request("POST", "/session", GZIP, b"");
        assert_eq!(session.head().headers.get("content-encoding"), None);
        // A large body is compressed while it is read.
        let large = "x".repeat(1 << 20);
        let create = json!({"action": "create", "pk": "large", "bucket": {"text": large}});
        assert_eq!(client.post("/q0", &create).status, 200);
        let read = decoded(&client.request("GET", "/records/large", GZIP, b""));
        assert_eq!(read, client.get("/records/large").text());
    });
}

fn stream() {
    with_mikobase(|client, path| {
        let mut changes = Client::connect(path);
        let headers = format!("accept: application/x-ndjson\r\n{GZIP}");
        changes.send_request("GET", "/changes", &headers, b"");
        let head = changes.head();
        assert_eq!((head.status, &*head.headers["content-encoding"]), (200, "gzip"));
        let mut arrived = Vec::new();
        for n in 1..=3 {
            client.post("/q0", &json!({"action": "create", "bucket": {"n": n}}));
            let mut text = String::new();
            while text.lines().count() < n {
                arrived.extend(changes.chunk().unwrap());
                text.clear();
                // The end is still missing.
                let _ = GzDecoder::new(&arrived[..]).read_to_string(&mut text);
            }
            assert!(text.lines().nth(n - 1).unwrap().contains(&format!(r#""n":{n}"#)), "{text}");
        }
    });
}

fn coded_request() {
    with_mikobase(|client, path| {
        let session = Session::open(path);
        let headers = format!(
            "content-type: application/json\r\ncontent-encoding: gzip\r\nmikobase-session: {}\r\n",
            session.id
        );
        for route in ["/q0", "/call/properties", "/files", "/worldlet"] {
            let mut client = Client::connect(path);
            let refused = client.request("POST", route, &headers, b"{}");
            assert_eq!((refused.status, &*refused.error_id()), (415, "unsupported-media-type"), "{route}");
        }
        let identity = "content-type: application/json\r\ncontent-encoding: identity\r\n";
        assert_eq!(client.request("POST", "/q0", identity, br#"{"action": "select"}"#).status, 200);
    });
}

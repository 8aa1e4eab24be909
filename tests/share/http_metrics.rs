//! `GET /metrics`: what a server has counted, of all of its sockets.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use miko_shared::wire::envelope::Envelope;
use mikobase::prelude::*;
use mikobase::{Auth, Http, Limits};

use crate::harness::Case;
use crate::http::with_http;
use crate::http_client::{Client, Session};
use crate::office::office_rpc::OfficeClient;
use crate::office::{Desk, Office, office};
use crate::support::{Raw, enclosed_call_in};

pub const CASES: &[Case] = &[
    ("what_is_counted_is_told_in_the_format_of_prometheus", metrics),
    ("a_call_that_has_waited_or_was_to_wait_and_is_refused_is_counted", refused),
];

/// The samples of a text in Prometheus' format, by name and labels. Each must belong to the family before it.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut family = "";
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            family = described.split(' ').next().unwrap();
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(sample.split('{').next(), Some(family), "{line}");
            let before = samples.insert(sample.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{line}");
        }
    }
    samples
}

fn metrics() {
    with_http(Http::new(Auth::Peer), |path, office| {
        // By the wire and by HTTP.
        office.echo("one".to_owned()).unwrap();
        let mut client = Client::connect(path);
        client.post("/call/echo", &json!({"text": "two"}));
        client.post("/call/echo", &json!({"text": 2}));
        client.post("/call/nothing", &json!({}));
        let session = Session::open(path);
        let desk = client.post_in(&session.id, "/call/desk", &json!({"name": "x"})).json();
        client.post_in(&session.id, &format!("/objects/{}/note", desk["object"]), &json!({"text": "x"}));
        let mut stream = Client::connect(path);
        stream.send_request("POST", "/call/news", "", b"");
        assert_eq!(stream.head().status, 200);
        let response = client.get("/metrics");
        assert_eq!(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let samples = samples(response.text());
        for (sample, expected) in [
            (r#"mikobase_calls_total{interface="Office",method="echo",outcome="ok"}"#, 2.0),
            (r#"mikobase_calls_total{interface="Office",method="echo",outcome="invalid_request"}"#, 1.0),
            (r#"mikobase_calls_total{interface="Office",method="desk",outcome="ok"}"#, 1.0),
            (r#"mikobase_calls_total{interface="Desk",method="note",outcome="ok"}"#, 1.0),
            (r#"mikobase_open_connections{protocol="wire"}"#, 1.0),
            (r#"mikobase_open_connections{protocol="http"}"#, 3.0),
            (r#"mikobase_connections_total{protocol="http"}"#, 3.0),
            (r#"mikobase_http_responses_total{status="404"}"#, 1.0),
            (r#"mikobase_http_responses_total{status="400"}"#, 1.0),
            ("mikobase_http_sessions", 1.0),
            ("mikobase_http_streams", 1.0),
        ] {
            assert_eq!(samples.get(sample), Some(&expected), "{sample} in\n{}", response.text());
        }
        for sample in [
            r#"mikobase_call_seconds_total{interface="Office",method="echo"}"#,
            r#"mikobase_received_bytes_total{protocol="wire"}"#,
            r#"mikobase_sent_bytes_total{protocol="wire"}"#,
            r#"mikobase_received_bytes_total{protocol="http"}"#,
            r#"mikobase_sent_bytes_total{protocol="http"}"#,
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            assert!(samples.get(sample).is_some_and(|value| *value > 0.0), "{sample}");
        }
        // A refusal before any route is counted, too.
        let mut broken = Client::connect(path);
        broken.send("GET\r\n\r\n");
        assert_eq!(broken.response().status, 400);
        let refusals = |text: &str| self::samples(text)[r#"mikobase_http_responses_total{status="400"}"#];
        assert_eq!(refusals(client.get("/metrics").text()), 2.0);
        // A connection is used on after a HEAD, whose response has no body.
        for path in ["/metrics", "/health", "/surface"] {
            client.send_request("HEAD", path, "", b"");
            assert_eq!(client.head().status, 200, "{path}");
        }
        client.send_request("HEAD", "/call/echo", "", b"");
        assert_eq!(client.head().status, 405);
        let refused = client.post("/metrics", &json!({}));
        assert_eq!((refused.status, &*refused.error_id()), (405, "method-not-allowed"));
    });
    let token = mikobase::Token::random().unwrap();
    with_http(Http::new(Auth::Token(token)), |path, _| {
        assert_eq!(Client::connect(path).get("/metrics").status, 401);
    });
}

fn refused() {
    let mut limits = Limits::default();
    limits.calls_in_flight = 1;
    let uds = Uds::new().unwrap().http(true).limits(limits).around(|call, next| {
        let served = next.run();
        match &*call.method.name {
            "lazy_closed_desk" => Err(Error::new(ErrorId::CONFLICT, "refused after it has run")),
            _ => served,
        }
    });
    let share = office(&uds);
    let [office, hooked] = [(); 2].map(|()| OfficeClient::connect(share.path(), share.token()).unwrap());
    let path = share.http_path();
    let closed = office.closed_desk().unwrap();
    // By the hook, though the call was to wait.
    let mut client = Client::connect(&path);
    let session = Session::open(&path);
    let refused = client.post_in(&session.id, "/call/lazy_closed_desk", &json!({}));
    assert_eq!(refused.error_id(), "conflict");
    assert!(hooked.lazy_closed_desk().unwrap().note("x").unwrap_err().is(ErrorId::CONFLICT));
    // At the deadline.
    let desk = client.post_in(&session.id, "/call/desk", &json!({"name": "a"})).json();
    let late = client.post_in(&session.id, &format!("/objects/{}/line_up", desk["object"]), &json!({}));
    assert_eq!(late.error_id(), "deadline-exceeded");
    // One waits, so another may not.
    let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
    let deadline = Duration::from_millis(100);
    for id in [1, 2] {
        let call = enclosed_call_in(Envelope { deadline, id }, "line_up", &json!({}));
        raw.stream.write_all(&call).unwrap();
    }
    assert!(raw.read_error().is(ErrorId::STORAGE_FULL));
    assert!(raw.read_error().is(ErrorId::DEADLINE_EXCEEDED));
    drop(closed);
    let response = client.get("/metrics");
    let samples = samples(response.text());
    for (sample, expected) in [
        (r#"interface="Office",method="lazy_closed_desk",outcome="conflict""#, 2.0),
        (r#"interface="Desk",method="line_up",outcome="deadline-exceeded""#, 1.0),
        (r#"interface="Office",method="line_up",outcome="storage-full""#, 1.0),
        (r#"interface="Office",method="line_up",outcome="deadline-exceeded""#, 1.0),
    ] {
        let found = samples.get(&format!("mikobase_calls_total{{{sample}}}"));
        assert_eq!(found, Some(&expected), "{sample} in\n{}", response.text());
    }
    drop((office, hooked, session, client, raw));
    share.join().unwrap();
}

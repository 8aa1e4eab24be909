//! HTTP over an interface that knows nothing of it: calls, streams, sessions, and what is refused.

use std::io::BufReader;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mikobase::prelude::*;
use mikobase::{Auth, Http, HttpLimits, Limits, Share, Token};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use serde_json::Value;

use crate::harness::Case;
use crate::http_client::{Client, Session};
use crate::office::office_rpc::OfficeClient;
use crate::office::{Office, OpenThings, eventually, kill_worker_with_child, office};

pub const CASES: &[Case] = &[
    ("methods_are_called_by_name_and_errors_have_ids", calls),
    ("a_share_that_does_not_ask_has_no_second_socket", not_asked),
    ("the_surface_and_the_description_are_there", descriptions),
    ("a_stream_is_sent_in_lines_or_events", streams),
    ("a_stream_whose_client_leaves_is_released", left_stream),
    ("objects_live_with_a_session", objects),
    ("without_a_session_what_returns_an_object_is_refused_before_it_runs", no_session),
    ("a_session_ends_with_its_connection", session_end),
    ("a_session_ends_with_its_process_though_a_child_holds_the_connection", killed),
    ("a_session_of_a_process_that_has_ended_already_ends_at_once", reaped),
    ("a_half_closed_connection_ends_its_session", half_closed),
    ("a_later_answer_is_waited_for_while_others_are_served", later),
    ("a_later_answer_whose_caller_leaves_is_unwanted", unwanted),
    ("a_call_that_waits_at_a_gate_blocks_nobody", gate),
    ("calls_pass_the_hook_of_around", hook),
    ("a_token_is_needed_and_wrong_ones_are_refused_like_none", tokens),
    ("what_is_too_large_is_refused_by_name", too_large),
    ("a_head_that_cannot_be_read_is_refused_by_name", bad_heads),
    ("slow_clients_are_refused_by_name", slow),
    ("too_many_connections_are_refused_by_name", connections),
];

fn http_office(uds: &Uds) -> (Share<'_, dyn Office, ()>, PathBuf) {
    let share = office(uds);
    let path = share.http_path();
    (share, path)
}

/// Runs `test` with the path of the HTTP socket of an office, and a client of its other socket.
pub fn with_office(test: impl FnOnce(&PathBuf, &OfficeClient)) {
    let uds = Uds::new().unwrap().http(true);
    let (share, path) = http_office(&uds);
    test(&path, &OfficeClient::connect(share.path(), share.token()).unwrap());
    share.join().unwrap();
}

pub fn with_http(http: Http, test: impl FnOnce(&PathBuf, &OfficeClient)) {
    let uds = Uds::new().unwrap().http_with(http);
    let (share, path) = http_office(&uds);
    test(&path, &OfficeClient::connect(share.path(), share.token()).unwrap());
    share.join().unwrap();
}

fn calls() {
    with_office(|path, _| {
        let mut client = Client::connect(path);
        let echoed = client.post("/call/echo", &json!({"text": "make \"it\" so"}));
        assert_eq!((echoed.status, echoed.text()), (200, r#""make \"it\" so""#));
        assert_eq!(echoed.headers["content-type"], "application/json");
        assert_eq!(echoed.headers["x-content-type-options"], "nosniff");
        // Without params, no body is needed.
        assert_eq!(client.request("POST", "/call/numbers_made", "", b"").text(), "0");
        for (path, body, status, id) in [
            ("/call/echo", json!({}), 400, "invalid_request"),
            ("/call/echo", json!({"text": 1}), 400, "invalid_request"),
            ("/call/nothing", json!({}), 404, "route-not-found"),
            ("/nothing", json!({}), 404, "route-not-found"),
            ("/call", json!({}), 404, "route-not-found"),
            ("/surface", json!({}), 405, "method-not-allowed"),
            ("/call/broken_promise", json!({}), 500, "internal"),
        ] {
            let refused = client.post(path, &body);
            assert_eq!((refused.status, &*refused.error_id()), (status, id), "{path}");
        }
        assert_eq!(client.request("PUT", "/call/echo", "", b"").headers["allow"], "POST");
        let typed = client.request("POST", "/call/echo", "content-type: text/plain\r\n", b"{}");
        assert_eq!((typed.status, &*typed.error_id()), (415, "unsupported-media-type"));
        let broken = client.request("POST", "/call/echo", "content-type: application/json\r\n", b"{");
        assert_eq!((broken.status, &*broken.error_id()), (400, "invalid_request"));
        assert_eq!(client.get("/health").json(), json!({"status": "ok"}));
    });
}

fn not_asked() {
    let uds = Uds::new().unwrap();
    let share = office(&uds);
    assert!(share.path().exists() && !share.http_path().exists());
    share.join().unwrap();
}

fn descriptions() {
    with_office(|path, _| {
        let mut client = Client::connect(path);
        let surface = client.get("/surface").json();
        assert_eq!(surface["interface"], "Office");
        let described = client.get("/openapi.json").json();
        assert_eq!(described["openapi"], "3.1.0");
        for method in surface["methods"].as_array().unwrap() {
            let name = method["name"].as_str().unwrap();
            assert_eq!(described["paths"][format!("/call/{name}")]["post"]["operationId"], name);
        }
        let desk = &described["paths"]["/call/desk"]["post"]["parameters"][0];
        assert_eq!(desk["name"], "Mikobase-Session");
    });
}

fn streams() {
    with_office(|path, _| {
        let mut client = Client::connect(path);
        let numbers = |end: &str| json!({"count": 3, "end": end});
        let lines = client.post("/call/numbers", &numbers(""));
        assert_eq!(lines.headers["content-type"], "application/x-ndjson");
        assert_eq!(lines.text(), "0\n1\n2\n");
        let failed = client.post("/call/numbers", &numbers("error"));
        let last: Value = serde_json::from_str(failed.text().lines().last().unwrap()).unwrap();
        assert_eq!(last["errors"][0]["id"], "conflict");
        let panicked = client.post("/call/numbers", &numbers("panic"));
        assert!(panicked.text().contains("out of numbers"), "{}", panicked.text());
        let headers = "content-type: application/json\r\naccept: text/event-stream\r\n";
        let events = client.request("POST", "/call/numbers", headers, br#"{"count": 2, "end": ""}"#);
        assert_eq!(events.headers["content-type"], "text/event-stream");
        let sent: Vec<&str> = events.text().lines().filter(|line| line.starts_with("data: ")).collect();
        assert_eq!(sent, ["data: 0", "data: 1"]);
        assert!(events.text().ends_with("event: end\ndata:\n\n"));
        // In a session the handle is given, and the stream is read by it.
        let session = Session::open(path);
        let handle = client.post_in(&session.id, "/call/numbers", &numbers("")).json();
        let route = format!("/streams/{}", handle["stream"]);
        let in_session = format!("mikobase-session: {}\r\n", session.id);
        assert_eq!(client.request("GET", &route, &in_session, b"").text(), "0\n1\n2\n");
        assert_eq!(client.request("GET", &route, &in_session, b"").status, 410);
    });
}

fn left_stream() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        client.send_request("POST", "/call/news", "", b"");
        assert_eq!(client.head().status, 200);
        office.publish(1).unwrap();
        assert_eq!(client.chunk().unwrap(), b"{\"number\":0}\n");
        assert_eq!(office.readers().unwrap().0, 1);
        drop(client);
        eventually(|| office.readers().unwrap().0, &0);
        // One that has sent more than its request leaves, too.
        let mut client = Client::connect(path);
        client.send_request("POST", "/call/news", "", b"");
        client.send("\r\n");
        assert_eq!(client.head().status, 200);
        eventually(|| office.readers().unwrap().0, &1);
        drop(client);
        eventually(|| office.readers().unwrap().0, &0);
        // A client that does not read makes the server advance no stream beyond what the socket holds.
        let mut client = Client::connect(path);
        let headers = "content-type: application/json\r\n";
        client.send_request("POST", "/call/pieces", headers, br#"{"size": 10000}"#);
        assert_eq!(client.head().status, 200);
        // In each of these calls the connection may have its turn.
        let made = (0..1000).map(|_| office.numbers_made().unwrap()).max().unwrap();
        assert!(made < 1000, "{made}");
    });
}

fn objects() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        let session = Session::open(path);
        let desk = client.post_in(&session.id, "/call/desk", &json!({"name": "a"})).json();
        let desk = format!("/objects/{}", desk["object"]);
        let note = |client: &mut Client, of: &str, text: &str| {
            client.post_in(&session.id, &format!("{of}/note"), &json!({"text": text}))
        };
        assert_eq!(note(&mut client, &desk, "one").text(), "1");
        assert_eq!(note(&mut client, &desk, "two").text(), "2");
        let panicked = note(&mut client, &desk, "panic");
        assert_eq!((panicked.status, &*panicked.error_id()), (500, "internal"));
        let drawer = client.post_in(&session.id, &format!("{desk}/drawer"), &json!({})).json();
        let drawer = format!("/objects/{}", drawer["object"]);
        let in_session = format!("mikobase-session: {}\r\n", session.id);
        assert_eq!(client.request("DELETE", &desk, &in_session, b"").status, 200);
        assert_eq!(client.request("DELETE", &desk, &in_session, b"").status, 410);
        let gone = note(&mut client, &desk, "three");
        assert_eq!((gone.status, &*gone.error_id()), (410, "session-gone"));
        assert_eq!(note(&mut client, &drawer, "one").text(), "1");
        // Another session has other objects.
        let other = Session::open(path);
        let foreign = client.post_in(&other.id, &format!("{drawer}/note"), &json!({"text": "x"}));
        assert_eq!(&*foreign.error_id(), "session-gone");
        assert_eq!(office.log().unwrap(), ["a opened", "drawer of a opened", "a closed"]);
    });
}

fn no_session() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        let refused = client.post("/call/desk", &json!({"name": "a"}));
        assert_eq!((refused.status, &*refused.error_id()), (400, "session-required"));
        assert_eq!(refused.json()["errors"][0]["details"]["method"], "desk");
        assert_eq!(office.log().unwrap(), [""; 0]);
        // The type of this result is an alias: it is known when the method has run.
        let refused = client.post("/call/desks", &json!({"names": ["a"]}));
        assert_eq!((refused.status, &*refused.error_id()), (400, "session-required"));
        eventually(|| office.open_things().unwrap(), &OpenThings::default());
        let unknown = client.post_in(&"0".repeat(64), "/call/log", &json!({}));
        assert_eq!((unknown.status, &*unknown.error_id()), (410, "session-gone"));
        let refused = client.post("/objects/1/note", &json!({"text": "x"}));
        assert_eq!(&*refused.error_id(), "session-required");
    });
}

fn session_end() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        let session = Session::open(path);
        for name in ["a", "b", "a trap", "c"] {
            client.post_in(&session.id, "/call/desk", &json!({"name": name}));
        }
        client.post_in(&session.id, "/call/news", &json!({}));
        assert_eq!(
            office.open_things().unwrap(),
            OpenThings { desks: 4, readers: 1, ..OpenThings::default() }
        );
        // A call of the session that waits ends with it.
        let mut waiting = Client::connect(path);
        let headers = format!("mikobase-session: {}\r\n", session.id);
        waiting.send_request("POST", "/call/letter", &headers, b"");
        eventually(|| office.waiting().unwrap(), &1);
        let id = session.id.clone();
        drop(session);
        assert_eq!(&*waiting.response().error_id(), "session-gone");
        eventually(|| office.open_things().unwrap(), &OpenThings::default());
        let closed: Vec<String> =
            office.log().unwrap().into_iter().filter(|line| line.ends_with("closed")).collect();
        assert_eq!(closed, ["c closed", "a trap closed", "b closed", "a closed"]);
        assert_eq!(&*client.post_in(&id, "/call/log", &json!({})).error_id(), "session-gone");
        // What is open when the share ends is dropped before the end.
        let last = Session::open(path);
        client.post_in(&last.id, "/call/desk", &json!({"name": "last"}));
        std::mem::forget(last);
    });
}

fn killed() {
    let uds = Uds::new().unwrap().http(true);
    let open = |_: &OfficeClient| {
        let session = Session::open(&uds.http_path());
        Client::connect(&uds.http_path()).post_in(&session.id, "/call/desk", &json!({"name": "a"}));
        Ok(session)
    };
    kill_worker_with_child(&uds, open, |_| ());
}

fn reaped() {
    with_office(|path, _| {
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        // SAFETY: the process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                connect(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
                std::process::exit(0);
            }
            ForkResult::Parent { child } => drop(waitpid(child, None).unwrap()),
        }
        let mut client = Client { stream: BufReader::new(UnixStream::from(socket)) };
        let opened = client.post("/session", &json!({}));
        let id = opened.json()["session"].as_str().unwrap().to_owned();
        let gone = Client::connect(path).post_in(&id, "/call/log", &json!({}));
        assert_eq!(&*gone.error_id(), "session-gone");
    });
}

fn half_closed() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        let mut session = Session::open(path);
        client.post_in(&session.id, "/call/desk", &json!({"name": "a"}));
        session.connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        eventually(|| office.open_things().unwrap().desks, &0);
        assert!(session.connection.is_closed());
    });
}

fn later() {
    with_office(|path, office| {
        let mut waiting = Client::connect(path);
        waiting.send_request("POST", "/call/letter", "", b"");
        eventually(|| office.waiting().unwrap(), &1);
        let mut client = Client::connect(path);
        let delivered = client.post("/call/deliver", &json!({"letter": "Dear Jim"}));
        assert_eq!(delivered.text(), "true");
        assert_eq!(waiting.response().text(), r#""Dear Jim""#);
        let late = waiting.post("/call/letter_soon", &json!({}));
        assert_eq!((late.status, &*late.error_id()), (504, "deadline-exceeded"));
        // An object that comes later.
        let session = Session::open(path);
        let headers = format!("mikobase-session: {}\r\n", session.id);
        waiting.send_request("POST", "/call/desk_later", &headers, b"");
        eventually(|| office.waiting().unwrap(), &1);
        assert_eq!(office.furnish().unwrap(), 1);
        let desk = waiting.response().json();
        let note =
            client.post_in(&session.id, &format!("/objects/{}/note", desk["object"]), &json!({"text": "x"}));
        assert_eq!(note.text(), "1");
    });
}

fn unwanted() {
    with_office(|path, office| {
        // Some clients send a line break after a request, and a next request may have begun.
        for more in ["", "\r\n", "POST /call"] {
            let mut waiting = Client::connect(path);
            waiting.send_request("POST", "/call/letter", "", b"");
            waiting.send(more);
            eventually(|| office.waiting().unwrap(), &1);
            drop(waiting);
            eventually(|| office.waiting().unwrap(), &0);
            assert!(!office.deliver("to nobody").unwrap());
        }
    });
}

fn gate() {
    with_office(|path, office| {
        let closed = office.closed_desk().unwrap();
        let mut waiting = [(); 2].map(|()| Client::connect(path));
        for client in &mut waiting {
            client.send_request("POST", "/call/line_up", "", b"");
        }
        eventually(|| office.open_things().unwrap().queued, &2);
        let [mut left, mut stays] = waiting;
        assert_eq!(Client::connect(path).get("/health").status, 200);
        left.stream.get_ref().shutdown(Shutdown::Both).unwrap();
        assert!(left.is_closed());
        eventually(|| office.open_things().unwrap().queued, &1);
        drop(closed);
        assert_eq!(stays.response().text(), "null");
        assert_eq!(office.open_things().unwrap().queued, 0);
        // The deadline of a call is that of its wait.
        let _closed = office.closed_desk().unwrap();
        let session = Session::open(path);
        let desk = stays.post_in(&session.id, "/call/desk", &json!({"name": "a"})).json();
        let late = stays.post_in(&session.id, &format!("/objects/{}/line_up", desk["object"]), &json!({}));
        assert_eq!((late.status, &*late.error_id()), (504, "deadline-exceeded"));
        assert_eq!(office.open_things().unwrap().queued, 0);
    });
}

fn hook() {
    let uds = Uds::new().unwrap().http(true).around(|call, next| {
        if call.method.name == "publish" {
            return Err(Error::new(ErrorId::CONFLICT, format!("not for {}", call.peer.pid)));
        }
        next.run()
    });
    let (share, path) = http_office(&uds);
    let mut client = Client::connect(&path);
    let refused = client.post("/call/publish", &json!({"count": 1}));
    assert_eq!((refused.status, &*refused.error_id()), (409, "conflict"));
    assert!(refused.text().contains(&format!("not for {}", std::process::id())), "{}", refused.text());
    assert_eq!(client.post("/call/echo", &json!({"text": "x"})).status, 200);
    drop(client);
    share.join().unwrap();
}

fn tokens() {
    let token = Token::random().unwrap();
    with_http(Http::new(Auth::Token(token.clone())), |path, _| {
        let mut client = Client::connect(path);
        let mut ask = |authorization: &str| client.request("POST", "/call/log", authorization, b"");
        let none = ask("");
        let wrong = ask(&format!("authorization: Bearer {}\r\n", Token::random().unwrap().to_hex()));
        for refused in [&none, &wrong] {
            assert_eq!((refused.status, &*refused.error_id()), (401, "unauthorized"));
            assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"mikobase\"");
        }
        assert_eq!(none.body, wrong.body);
        assert_eq!(ask(&format!("authorization: Bearer {}\r\n", token.to_hex())).status, 200);
        assert_eq!(client.get("/health").status, 200);
        assert_eq!(client.get("/surface").status, 401);
    });
}

fn too_large() {
    let mut limits = Limits::default();
    limits.frame_size = 1000;
    let uds = Uds::new().unwrap().http(true).limits(limits);
    let (share, path) = http_office(&uds);
    // One that says its size is refused before it is sent.
    let mut client = Client::connect(&path);
    client.send(
        "POST /call/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 99999999999\r\n\r\n",
    );
    let refused = client.response();
    assert_eq!((refused.status, &*refused.error_id()), (413, "request-too-large"));
    // One that does not is refused while it is sent.
    let mut client = Client::connect(&path);
    client.send(
        "POST /call/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    client.send([b"3e9\r\n".as_slice(), &[b' '; 1001], b"\r\n"].concat());
    assert_eq!(&*client.response().error_id(), "request-too-large");
    // So is an answer.
    let mut client = Client::connect(&path);
    let session = Session::open(&path);
    for _ in 0..10 {
        let desk = client.post_in(&session.id, "/call/desk", &json!({"name": "x".repeat(200)}));
        assert_eq!(desk.status, 200);
    }
    let refused = client.post("/call/log", &json!({}));
    assert_eq!((refused.status, &*refused.error_id()), (413, "request-too-large"));
    drop((client, session));
    share.join().unwrap();
}

fn bad_heads() {
    let mut limits = HttpLimits::default();
    limits.fields = 20;
    limits.head_timeout = Duration::MAX;
    limits.body_timeout = Duration::MAX;
    with_http(Http::new(Auth::Peer).limits(limits), |path, _| {
        // There is time for a body.
        let mut client = Client::connect(path);
        let typed = "content-type: application/json\r\ncontent-length: 11";
        client.send(format!("POST /call/echo HTTP/1.1\r\nhost: localhost\r\n{typed}\r\n\r\n"));
        assert_eq!(Client::connect(path).get("/health").status, 200);
        client.send(r#"{"text":""}"#);
        assert_eq!(client.response().text(), r#""""#);
        let bomb = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
        let many = format!("GET /health HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(30));
        for (bytes, status, id) in [
            (bomb.as_str(), 431, "headers-too-large"),
            (&many, 431, "headers-too-large"),
            ("nonsense\r\n\r\n", 400, "invalid_request"),
            ("GET /health HTTP/9.9\r\n\r\n", 400, "invalid_request"),
            ("POST /call/log HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400, "invalid_request"),
        ] {
            let mut client = Client::connect(path);
            // The server may close before it has read all.
            let _ = std::io::Write::write_all(client.stream.get_mut(), bytes.as_bytes());
            let refused = client.response();
            assert_eq!((refused.status, &*refused.error_id()), (status, id), "{bytes:.30}");
            // A request before it has its own response.
            let mut client = Client::connect(path);
            assert_eq!(client.get("/health").status, 200);
            let _ = std::io::Write::write_all(client.stream.get_mut(), bytes.as_bytes());
            assert_eq!(client.response().status, status, "{bytes:.30}");
        }
    });
}

fn slow() {
    let mut limits = HttpLimits::default();
    limits.head_timeout = Duration::from_millis(100);
    limits.body_timeout = Duration::from_millis(100);
    with_http(Http::new(Auth::Peer).limits(limits), |path, _| {
        let mut client = Client::connect(path);
        client.send("GET /health HTTP/1.1\r\nhost: ");
        let refused = client.response();
        assert_eq!((refused.status, &*refused.error_id()), (408, "client-too-slow"));
        let message = refused.json()["errors"][0]["details"]["message"].to_string();
        assert!(message.contains("did not arrive in time"), "{message}");
        assert!(client.is_closed());
        let mut client = Client::connect(path);
        client.send(
            "POST /call/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: 100\r\n\r\n{",
        );
        let refused = client.response();
        assert_eq!((refused.status, &*refused.error_id()), (408, "client-too-slow"));
        // An idle connection is closed without a word.
        let mut client = Client::connect(path);
        assert_eq!(client.get("/health").status, 200);
        assert_eq!(client.line(), None);
    });
}

fn connections() {
    let mut limits = Limits::default();
    limits.connections = 2;
    let uds = Uds::new().unwrap().http(true).limits(limits);
    let (share, path) = http_office(&uds);
    let mut held = [(); 2].map(|()| Client::connect(&path));
    for client in &mut held {
        assert_eq!(client.get("/health").status, 200);
    }
    let mut refused = Client::connect(&path);
    let response = refused.response();
    assert_eq!((response.status, &*response.error_id()), (503, "too-many-connections"));
    assert!(refused.is_closed());
    drop(held);
    eventually(|| Client::connect(&path).get("/health").status, &200);
    share.join().unwrap();
}

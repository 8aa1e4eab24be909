//! Connections of HTTP that are many, idle, closed by half, or used for several requests at once.

use std::net::{Shutdown, TcpStream};

use mikobase::prelude::*;
use mikobase::{Share, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::Case;
use crate::http::with_office;
use crate::http_client::{Client, Session};
use crate::office::{Office, eventually};
use crate::serve::Serving;
use crate::support::create;

pub const CASES: &[Case] = &[
    ("a_session_ends_with_its_connection_though_more_was_sent", session_with_more),
    ("a_stream_has_one_reader", one_reader),
    ("requests_that_are_sent_at_once_are_answered_in_order", pipelined),
    ("a_call_whose_client_half_closes_is_given_up", half_closed_call),
    ("a_thousand_idle_connections_leave_the_server_to_others", idle),
    ("connections_that_show_no_token_take_a_part_of_the_limit", unproven),
];

fn session_with_more() {
    with_office(|path, office| {
        let mut client = Client::connect(path);
        for ends in [|stream: &_| Shutdown::Write.of(stream), |stream: &_| Shutdown::Both.of(stream)] {
            let mut connection = Client::connect(path);
            let more = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
            connection.send(format!("POST /session HTTP/1.1\r\nhost: localhost\r\n\r\n{more}"));
            assert_eq!(connection.head().status, 200);
            let line: serde_json::Value = serde_json::from_slice(&connection.chunk().unwrap()).unwrap();
            client.post_in(line["session"].as_str().unwrap(), "/call/desk", &json!({"name": "a"}));
            assert_eq!(office.open_things().unwrap().desks, 1);
            // More may come while the session is open.
            connection.send(more);
            assert_eq!(client.get("/health").status, 200);
            assert_eq!(office.open_things().unwrap().desks, 1);
            ends(connection.stream.get_ref());
            eventually(|| office.open_things().unwrap().desks, &0);
        }
    });
}

/// How a test ends a connection.
trait End {
    fn of(self, stream: &std::os::unix::net::UnixStream);
}

impl End for Shutdown {
    fn of(self, stream: &std::os::unix::net::UnixStream) {
        stream.shutdown(self).unwrap();
    }
}

fn one_reader() {
    with_office(|path, office| {
        let session = Session::open(path);
        let mut client = Client::connect(path);
        let stream = client.post_in(&session.id, "/call/news", &json!({})).json()["stream"].to_string();
        let headers = format!("mikobase-session: {}\r\n", session.id);
        let mut reader = Client::connect(path);
        reader.send_request("GET", &format!("/streams/{stream}"), &headers, b"");
        assert_eq!(reader.head().status, 200);
        let second = client.request("GET", &format!("/streams/{stream}"), &headers, b"");
        assert_eq!((second.status, &*second.error_id()), (409, "conflict"));
        office.publish(1).unwrap();
        assert_eq!(reader.chunk().unwrap(), b"{\"number\":0}\n");
        // It was released with its reader.
        drop(reader);
        eventually(|| office.readers().unwrap().0, &0);
        let gone = client.request("GET", &format!("/streams/{stream}"), &headers, b"");
        assert_eq!((gone.status, &*gone.error_id()), (410, "session-gone"));
    });
}

fn pipelined() {
    with_office(|path, _| {
        let mut client = Client::connect(path);
        let call = |n: usize| {
            let body = json!({"text": n.to_string()}).to_string();
            let head = "POST /call/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
            format!("{head}content-length: {}\r\n\r\n{body}", body.len())
        };
        let refused = "GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n";
        client.send(format!("{}{}{refused}{}", call(1), call(2), call(3)));
        assert_eq!(client.response().text(), r#""1""#);
        assert_eq!(client.response().text(), r#""2""#);
        assert_eq!(client.response().status, 404);
        assert_eq!(client.response().text(), r#""3""#);
        // What follows a request that cannot be read is not read as one.
        client.send(format!("nonsense\r\n\r\n{}", call(4)));
        assert_eq!(client.response().status, 400);
        assert_eq!(client.line(), None);
    });
}

fn half_closed_call() {
    with_office(|path, office| {
        let mut waiting = Client::connect(path);
        waiting.send_request("POST", "/call/letter", "", b"");
        eventually(|| office.waiting().unwrap(), &1);
        waiting.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        eventually(|| office.waiting().unwrap(), &0);
        // Before a request, and inside one.
        for begun in
            ["", "GET /health HTTP/1.1\r\nhost: ", "POST /call/echo HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
        {
            let mut client = Client::connect(path);
            client.send(begun);
            client.stream.get_ref().shutdown(Shutdown::Write).unwrap();
            assert!(client.is_closed(), "{begun}");
        }
        assert_eq!(Client::connect(path).get("/health").status, 200);
    });
}

fn raise_descriptor_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(4096)), hard).unwrap();
}

fn idle() {
    const COUNT: usize = 1000;
    raise_descriptor_limit();
    let uds = Uds::new().unwrap().http(true);
    let share: Share<'_, dyn Mikobase, (), _> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let path = share.http_path();
    let mut idle: Vec<Client> = (0..COUNT).map(|_| Client::connect(&path)).collect();
    // Some have been used.
    for client in idle.iter_mut().step_by(10) {
        assert_eq!(client.get("/health").status, 200);
    }
    let pk = create(share.db().unwrap(), 1).unwrap();
    let mut client = Client::connect(&path);
    assert_eq!(client.get(&format!("/records/{pk}")).status, 200);
    let open = || {
        let mut client = Client::connect(&path);
        let response = client.get("/metrics");
        let line = response
            .text()
            .lines()
            .find(|line| line.starts_with("mikobase_open_connections{protocol=\"http\"}"));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()
    };
    assert_eq!(open(), COUNT + 2);
    drop(idle);
    eventually(open, &2);
    share.join().unwrap();
}

fn unproven() {
    // The server raises the limit for itself.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let serving = Serving::start(folder.path(), &token, &["--tcp", "127.0.0.1:0", "--auth", "token"]);
    raise_descriptor_limit();
    let address = serving.ready["tcp"].as_str().unwrap().to_owned();
    let bearer = format!("authorization: Bearer {}\r\n", token.to_hex());
    let mut known = Client::connect_tcp(&address);
    let mut ask = || known.request("POST", "/call/properties", &bearer, b"").status;
    assert_eq!(ask(), 200);
    // More than the limit, some of which are refused and wait for their end.
    let mut strangers: Vec<Client<TcpStream>> = Vec::new();
    for number in 0..1300 {
        let mut stranger = Client::connect_tcp(&address);
        if number % 2 == 1 {
            stranger.send("nonsense\r\n\r\n");
        }
        strangers.push(stranger);
        // The queue of the socket never has more than these.
        if number % 50 == 0 {
            assert_eq!(ask(), 200);
        }
    }
    let first = strangers[0].response();
    assert_eq!((first.status, &*first.error_id()), (503, "too-many-connections"));
    let [.., last, _] = &mut strangers[..] else { unreachable!() };
    assert_eq!(last.request("POST", "/call/properties", "", b"").status, 401);
    assert_eq!(ask(), 200);
    assert_eq!(Client::connect_tcp(&address).request("POST", "/call/properties", &bearer, b"").status, 200);
    serving.stop();
}

//! Proxies that speak HTTP. The cases of many other modules run with them, too: see `over_http` in `main.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::rpc::Client;
use mikobase::{
    Auth, BoxError, Http, HttpLimits, HttpServer, Later, Limits, MikobaseClient, Remote, Result, Stream,
    Token, Transport,
};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deaths::server_of;
use crate::harness::Case;
use crate::http::with_office;
use crate::office::office_rpc::OfficeClient;
use crate::office::{Building, Desk, Office, eventually};
use crate::serve::Serving;
use crate::support::{count, create};
use crate::turnstile::turnstile_rpc::TurnstileClient;
use crate::turnstile::{Counting, Turnstile};

pub const CASES: &[Case] = &[
    ("workers_speak_http_and_are_known_by_their_index", workers),
    ("workers_send_the_token_of_the_share", workers_with_a_token),
    ("workers_cannot_speak_http_where_it_is_not_offered", not_offered),
    ("a_wrong_token_and_another_interface_are_refused_when_connecting", refused),
    ("a_server_that_is_killed_is_gone_at_once_for_all_that_waits", server_gone),
    ("a_transaction_of_a_worker_that_dies_is_rolled_back", rolled_back),
    ("a_fork_opens_a_session_of_its_own", forked),
    ("connections_are_used_again", used_again),
    ("a_connection_that_the_server_has_closed_is_replaced", replaced),
    ("values_arrive_as_they_were_given", values),
    ("either_side_may_have_another_optional_param", other_params),
    ("what_json_cannot_say_is_refused_by_name", unsayable),
    ("errors_of_methods_keep_their_types_and_details", errors),
    ("large_calls_pass_and_too_large_ones_are_refused_before_they_are_sent", large),
    ("a_large_answer_is_refused_and_the_connection_is_used_on", large_answer),
    ("a_call_to_the_server_that_is_making_it_is_refused", own_server),
    ("a_stream_that_could_not_be_read_is_released", unread_stream),
    ("by_tcp_a_token_lets_in_and_a_transaction_ends_with_its_proxy", tcp),
];

/// Runs `test` with a share of a Mikobase over HTTP, and its proxy of the wire.
fn with_mikobase(http: Http, test: impl FnOnce(&Path, &MikobaseClient)) {
    let uds = Uds::new().unwrap().http_with(http);
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    test(&share.http_path(), share.db().unwrap());
    share.join().unwrap();
}

fn connect(path: &Path) -> MikobaseClient {
    MikobaseClient::connect_http(&HttpServer::unix(path)).unwrap()
}

fn workers() {
    let seen = tempfile::tempdir().unwrap();
    let folder = seen.path().to_owned();
    let uds = Uds::new().unwrap().transport(Transport::Http).around(move |call, next| {
        let worker = call.peer.worker.map_or("none".to_owned(), |worker| worker.to_string());
        std::fs::write(folder.join(format!("{worker} {}", call.peer.pid)), "").unwrap();
        next.run()
    });
    let report = uds.mikobase(3, |db, worker| {
        for n in 0..10 {
            create(db, n)?;
        }
        Ok(worker.pid())
    });
    let report = report.unwrap();
    assert!(report.workers().iter().all(|worker| worker.calls == 10), "{report:?}");
    for (index, worker) in report.workers().iter().enumerate() {
        assert!(seen.path().join(format!("{index} {}", worker.pid)).exists(), "{index}");
    }
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().map(|all| all.len()), Some(30));
}

fn workers_with_a_token() {
    let token = Token::random().unwrap();
    // In either order.
    let with_token = |uds: Uds| uds.http_with(Http::new(Auth::Token(token.clone())));
    for uds in [
        with_token(Uds::new().unwrap().transport(Transport::Http)),
        with_token(Uds::new().unwrap()).transport(Transport::Http),
    ] {
        uds.mikobase(2, |db, _| Ok(create(db, 1)?)).unwrap().all_succeeded().unwrap();
    }
}

fn not_offered() {
    let uds = Uds::new().unwrap().transport(Transport::Http).http(false);
    let error = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
    assert!(error.error().is(ErrorId::INVALID_REQUEST), "{error}");
    let uds = uds.transport(Transport::Tarpc);
    uds.mikobase(1, |db, _| Ok(create(db, 1)?)).unwrap().all_succeeded().unwrap();
}

fn refused() {
    let token = Token::random().unwrap();
    with_mikobase(Http::new(Auth::Token(token.clone())), |path, _| {
        let server = HttpServer::unix(path);
        for server in [server.clone(), server.clone().token(&Token::random().unwrap())] {
            let error = MikobaseClient::connect_http(&server).unwrap_err();
            assert!(error.is(ErrorId::UNAUTHORIZED), "{error}");
        }
        let server = server.token(&token);
        assert_eq!(count(&MikobaseClient::connect_http(&server).unwrap()), 0);
        let error = TurnstileClient::connect_http(&server).unwrap_err();
        assert!(error.is(ErrorId::SURFACE_MISMATCH), "{error}");
        let missing = HttpServer::unix(path.with_extension("none"));
        let error = MikobaseClient::connect_http(&missing).unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    });
}

fn server_gone() {
    let uds = Uds::new().unwrap().http(true);
    let share = uds.spawn_share::<dyn Office, ()>(0, || Ok(Box::new(Building::default())), |_, _| Ok(()));
    let share = share.unwrap();
    let office = OfficeClient::connect_http(&HttpServer::unix(share.http_path())).unwrap();
    let desk = office.desk("a").unwrap();
    let mut unread = office.numbers(5, "").unwrap();
    let mut news = office.news().unwrap();
    assert!(news.try_recv().is_pending());
    let letter = office.letter();
    let server = server_of(share.path());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| office.letter().wait());
        eventually(|| office.waiting().unwrap(), &2);
        kill(server, Signal::SIGKILL).unwrap();
        let began = Instant::now();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
        for error in [letter.wait().unwrap_err(), office.echo("x".to_owned()).unwrap_err()] {
            assert!(error.is(ErrorId::SERVER_GONE), "{error}");
        }
        for error in [
            desk.note("x").unwrap_err(),
            news.recv().unwrap().unwrap_err(),
            unread.recv().unwrap().unwrap_err(),
        ] {
            assert!(error.is(ErrorId::SESSION_GONE), "{error}");
        }
        assert!(news.recv().is_none() && unread.recv().is_none());
        drop(desk);
        assert!(began.elapsed() < Duration::from_secs(10), "nothing waits for a server that is gone");
    });
    share.join().unwrap_err();
}

fn rolled_back() {
    let uds = Uds::new().unwrap().transport(Transport::Http);
    let share = uds.spawn(1, |db, _| -> std::result::Result<(), BoxError> {
        let tx = db.begin()?;
        create(&*tx, 1)?;
        raise(Signal::SIGKILL)?;
        drop(tx);
        Ok(())
    });
    let mut share = share.unwrap();
    share.wait().unwrap();
    let db = share.db().unwrap();
    // It waits for the turn of the transaction, if that is still open.
    create(db, 2).unwrap();
    let all = db.q0(json!({"action": "select"})).unwrap().into_records().unwrap();
    let numbers: Vec<Value> = all.iter().filter_map(|record| record.bucket.get("n").unwrap()).collect();
    assert_eq!(numbers, [2]);
    share.join().unwrap().all_succeeded().unwrap_err();
}

fn forked() {
    let uds = Uds::new().unwrap().transport(Transport::Http);
    let report = uds.mikobase(1, |db, _| {
        let tx = db.begin()?;
        create(&*tx, 1)?;
        // SAFETY: the process has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                let error = create(&*tx, 2).unwrap_err();
                assert!(error.is(ErrorId::SESSION_GONE), "{error}");
                // To drop it here does not roll it back.
                drop(tx);
                assert_eq!(count(db), 0, "it reads in a session of its own");
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None)?;
                assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
            }
        }
        create(&*tx, 3)?;
        tx.commit()?;
        Ok(count(db))
    });
    assert_eq!(report.unwrap().into_returned().unwrap(), [2]);
}

/// The sockets that the server has: its connections, and a few more.
fn sockets_of(server: Pid) -> BTreeSet<String> {
    let descriptors = std::fs::read_dir(format!("/proc/{server}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.map(|target| target.display().to_string()).filter(|name| name.starts_with("socket:")).collect()
}

fn used_again() {
    let uds = Uds::new().unwrap().http(true);
    let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
    let db = connect(&share.http_path());
    create(&db, 0).unwrap();
    let server = server_of(share.path());
    let before = sockets_of(server);
    assert!(before.len() > 2, "{before:?}");
    for n in 1..50 {
        create(&db, n).unwrap();
        assert!(db.record_by_pk("nobody").unwrap().is_none());
        assert_eq!(
            db.iter(json!({})).unwrap().count(),
            n + 1,
            "a stream that was read leaves its connection"
        );
        db.begin().unwrap().q0(json!({"action": "oops"})).unwrap_err();
    }
    assert_eq!(sockets_of(server).difference(&before).count(), 0);
    share.join().unwrap();
}

fn replaced() {
    let mut limits = HttpLimits::default();
    limits.head_timeout = Duration::from_millis(5);
    let uds = Uds::new().unwrap().http_with(Http::new(Auth::Peer).limits(limits));
    let open = || Ok(Box::new(Counting::default()) as Box<dyn Turnstile>);
    let share = uds.spawn_share::<dyn Turnstile, ()>(0, open, |_, _| Ok(())).unwrap();
    let turnstile = TurnstileClient::connect_http(&HttpServer::unix(share.http_path())).unwrap();
    let server = server_of(share.path());
    let before = sockets_of(server);
    for _ in 0..3 {
        assert_eq!(turnstile.count().unwrap(), 0);
        // The connection of the session is among those from before, and stays.
        eventually(|| sockets_of(server).difference(&before).count(), &0);
    }
    assert_eq!(turnstile.pass().unwrap(), 1, "it was not sent on a connection that was closed");
    share.join().unwrap();
}

/// Values of which JSON says less than Rust.
#[mikobase_interface]
trait Mirror {
    /// What was given, as text and as it is.
    fn nested(&self, value: Option<Option<u8>>) -> Result<(String, Option<Option<u8>>)>;

    /// The value itself, which may be a nil inside options.
    fn deep(&self, level: u8) -> Result<Option<Option<Option<Value>>>>;

    /// As `deep`, of an answer that comes later.
    fn deep_later(&self, level: u8) -> Later<Option<Option<()>>>;

    /// What was given, as text and as it is.
    fn json(&self, value: Value, optional: Option<Value>) -> Result<(String, Value)>;

    /// The bytes and a few more.
    fn bytes(&self, bytes: &[u8], wrapped: mikobase::Bytes, optional: Option<Vec<u8>>) -> Result<Vec<u8>>;

    /// The number.
    fn float(&self, float: f64) -> Result<f64>;

    /// NaN.
    fn nan(&self) -> Result<f64>;

    /// The map.
    fn map(&self, map: BTreeMap<u8, String>) -> Result<BTreeMap<u8, String>>;

    /// A map whose keys are lists.
    fn keys(&self) -> Result<BTreeMap<Vec<u8>, u8>>;

    /// Items that look like the signs of a stream in lines.
    fn items(&self) -> Result<Stream<Value>>;

    /// Always fails.
    fn fail(&self, how: &str) -> std::result::Result<(), Failure>;

    /// As many letters.
    fn letters(&self, count: usize) -> Result<String>;

    /// Asks the mirror at a socket of HTTP.
    fn ask(&self, path: &str) -> Result<f64>;

    /// A desk that says what it is asked.
    fn desks(&self) -> Result<Vec<Remote<dyn Desk>>>;
}

/// An error type whose JSON may look like a list of errors.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Failure {
    Numbers(Vec<u8>),
    Cracked { at: (u8, u8), glass: Option<String> },
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(format!("{}", error.id()))
    }
}

struct Glass;

impl Mirror for Glass {
    fn nested(&self, value: Option<Option<u8>>) -> Result<(String, Option<Option<u8>>)> {
        Ok((format!("{value:?}"), value))
    }

    fn deep(&self, level: u8) -> Result<Option<Option<Option<Value>>>> {
        Ok(match level {
            0 => None,
            1 => Some(None),
            2 => Some(Some(None)),
            3 => Some(Some(Some(Value::Null))),
            _ => Some(Some(Some(json!(level)))),
        })
    }

    fn deep_later(&self, level: u8) -> Later<Option<Option<()>>> {
        Later::from(Ok([None, Some(None), Some(Some(()))][usize::from(level)]))
    }

    fn json(&self, value: Value, optional: Option<Value>) -> Result<(String, Value)> {
        Ok((format!("{value} {optional:?}"), value))
    }

    fn bytes(&self, bytes: &[u8], wrapped: mikobase::Bytes, optional: Option<Vec<u8>>) -> Result<Vec<u8>> {
        Ok([bytes, &*wrapped, &optional.unwrap_or_default()].concat())
    }

    fn float(&self, float: f64) -> Result<f64> {
        Ok(float)
    }

    fn nan(&self) -> Result<f64> {
        Ok(f64::NAN)
    }

    fn map(&self, map: BTreeMap<u8, String>) -> Result<BTreeMap<u8, String>> {
        Ok(map)
    }

    fn keys(&self) -> Result<BTreeMap<Vec<u8>, u8>> {
        Ok(BTreeMap::from([(vec![1], 1)]))
    }

    fn items(&self) -> Result<Stream<Value>> {
        Ok(Stream::of(looks_like_signs()))
    }

    fn fail(&self, how: &str) -> std::result::Result<(), Failure> {
        Err(match how {
            "numbers" => Failure::Numbers(vec![1, 2]),
            "cracked" => Failure::Cracked { at: (1, 2), glass: None },
            other => Failure::Other(other.to_owned()),
        })
    }

    fn letters(&self, count: usize) -> Result<String> {
        Ok("x".repeat(count))
    }

    fn ask(&self, path: &str) -> Result<f64> {
        mirror_rpc::MirrorClient::connect_http(&HttpServer::unix(path))?.float(1.5)
    }

    fn desks(&self) -> Result<Vec<Remote<dyn Desk>>> {
        Ok(Vec::new())
    }
}

fn looks_like_signs() -> Vec<Value> {
    vec![
        json!({"lagged": 3}),
        json!({"success": false, "errors": []}),
        json!(null),
        json!("event: end\n\ndata: x\n\n"),
        json!({"stream": 1}),
        json!({"object": 1}),
    ]
}

/// A mirror of another version, which has other optional params.
mod other_version {
    use mikobase::Result;
    use mikobase::prelude::*;

    #[mikobase_interface]
    pub trait Mirror {
        fn nested(
            &self,
            value: Option<Option<u8>>,
            times: Option<u8>,
        ) -> Result<(String, Option<Option<u8>>)>;

        fn bytes(&self, bytes: &[u8], wrapped: mikobase::Bytes) -> Result<Vec<u8>>;
    }
}

fn other_params() {
    use other_version::Mirror as _;
    with_mirrors(|_, path| {
        let mirror = other_version::mirror_rpc::MirrorClient::connect_http(&HttpServer::unix(path)).unwrap();
        assert_eq!(mirror.nested(Some(None), None).unwrap().0, "Some(None)");
        let error = mirror.nested(None, Some(1)).unwrap_err();
        assert_eq!(error.items()[0].message(), "the method has no param `times`");
        assert_eq!(mirror.bytes(&[1], vec![2].into()).unwrap(), [1, 2]);
    });
}

/// Runs `test` with proxies of a mirror: over HTTP and over the wire.
fn with_mirrors(test: impl Fn(&Client<dyn Mirror>, &Path)) {
    let mut limits = Limits::default();
    limits.frame_size = 4 << 20;
    let uds = Uds::new().unwrap().http(true).limits(limits);
    let share = uds.spawn_share::<dyn Mirror, ()>(0, || Ok(Box::new(Glass)), |_, _| Ok(())).unwrap();
    for mirror in [
        Client::connect_http(&HttpServer::unix(share.http_path())).unwrap(),
        Client::connect(share.path(), share.token()).unwrap(),
    ] {
        test(&mirror, &share.http_path());
    }
    share.join().unwrap();
}

fn values() {
    with_mirrors(|mirror, _| {
        for value in [None, Some(None), Some(Some(0)), Some(Some(7))] {
            assert_eq!(mirror.nested(value).unwrap().0, format!("{value:?}"));
        }
        for level in 0..6 {
            assert_eq!(mirror.deep(level).unwrap(), Glass.deep(level).unwrap(), "{level}");
        }
        for level in 0..3 {
            assert_eq!(mirror.deep_later(level).wait().unwrap(), Glass.deep_later(level).wait().unwrap());
        }
        let hostile =
            json!({"$serde_json::private::RawValue": "5", "n": [u64::MAX, i64::MIN, 1.0, -0.0, 5e-324]});
        for value in [json!(null), json!([]), json!("\u{0}\u{2028}🖖"), hostile] {
            for optional in [None, Some(Value::Null), Some(value.clone())] {
                let expected = (format!("{value} {optional:?}"), value.clone());
                assert_eq!(mirror.json(value.clone(), optional).unwrap(), expected);
            }
        }
        let bytes = mirror.bytes(&[0, 255], vec![1, 2].into(), Some(vec![3])).unwrap();
        assert_eq!(bytes, [0, 255, 1, 2, 3]);
        assert_eq!(mirror.bytes(&[], Vec::new().into(), None).unwrap(), [0_u8; 0]);
        let map = BTreeMap::from([(7, "seven".to_owned())]);
        assert_eq!(mirror.map(map.clone()).unwrap(), map);
        for float in [0.1 + 0.2, f64::MAX, f64::MIN_POSITIVE, -0.0] {
            assert_eq!(mirror.float(float).unwrap().to_bits(), float.to_bits());
        }
        let mut items = mirror.items().unwrap();
        for (index, expected) in looks_like_signs().into_iter().enumerate() {
            assert_eq!(items.recv().unwrap().unwrap(), expected);
            assert_eq!(items.last_seq(), index as u64 + 1);
        }
        assert!(items.recv().is_none());
        assert!(mirror.desks().unwrap().is_empty());
    });
}

fn unsayable() {
    let uds = Uds::new().unwrap().http(true);
    let share = uds.spawn_share::<dyn Mirror, ()>(0, || Ok(Box::new(Glass)), |_, _| Ok(())).unwrap();
    let mirror = Client::<dyn Mirror>::connect_http(&HttpServer::unix(share.http_path())).unwrap();
    let error = mirror.float(f64::INFINITY).unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    assert_eq!(error.items()[0].details["field"], "float");
    for error in [mirror.nan().unwrap_err(), mirror.keys().unwrap_err()] {
        assert!(error.is(ErrorId::INTERNAL) && error.to_string().contains("JSON"), "{error}");
    }
    share.join().unwrap();
}

fn errors() {
    with_mirrors(|mirror, _| {
        for how in ["numbers", "cracked", "in words"] {
            assert_eq!(mirror.fail(how), Glass.fail(how));
        }
    });
    with_mikobase(Http::new(Auth::Peer), |path, wire| {
        let http = connect(path);
        create(wire, 1).unwrap();
        for request in [
            json!({"action": "select", "limit": -1, "warp": 9}),
            json!({"action": "delete", "pk": "nobody"}),
            json!({"action": "create", "bucket": 5}),
            json!([]),
        ] {
            let [over_http, over_wire] = [&http, wire].map(|db| db.q0(request.clone()).unwrap_err());
            assert_eq!(over_http, over_wire);
        }
    });
}

fn large() {
    with_mirrors(|mirror, _| {
        let text = "é\"\\\n".repeat(500_000);
        assert!(mirror.json(json!(text), None).is_err_and(|error| error.is(ErrorId::REQUEST_TOO_LARGE)));
        let text = "x".repeat(3 << 20);
        assert!(mirror.fail(&text) == Err(Failure::Other(text)));
        let error = mirror.json(json!("x".repeat(5 << 20)), None).unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
        assert_eq!(error.items()[0].details["allowed"], 4 << 20);
        assert_eq!(mirror.float(1.0).unwrap(), 1.0);
    });
}

fn large_answer() {
    with_mirrors(|mirror, _| {
        assert_eq!(mirror.letters(4_000_000).unwrap().len(), 4_000_000);
        let error = mirror.letters(5 << 20).unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
        assert_eq!(mirror.letters(1).unwrap(), "x");
    });
}

fn own_server() {
    with_mirrors(|mirror, path| {
        let error = mirror.ask(path.to_str().unwrap()).unwrap_err();
        assert!(error.is(ErrorId::SELF_CALL), "{error}");
        let uds = Uds::new().unwrap().http(true);
        let share = uds.spawn_share::<dyn Mirror, ()>(0, || Ok(Box::new(Glass)), |_, _| Ok(())).unwrap();
        assert_eq!(
            mirror.ask(share.http_path().to_str().unwrap()).unwrap(),
            1.5,
            "another server may be asked"
        );
        share.join().unwrap();
    });
}

fn unread_stream() {
    with_office(|path, office| {
        let proxy = OfficeClient::connect_http(&HttpServer::unix(path)).unwrap();
        let mut news = proxy.news().unwrap();
        assert_eq!(office.readers().unwrap().0, 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(async { news.recv() }).unwrap().unwrap_err();
        assert!(error.is(ErrorId::INSIDE_RUNTIME), "{error}");
        drop(news);
        eventually(|| office.readers().unwrap().0, &0);
    });
}

fn tcp() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random().unwrap();
    let arguments = ["crew.db", "--tcp", "127.0.0.1:0", "--auth", "token"];
    let serving = Serving::start(folder.path(), &token, &arguments);
    let url = format!("http://{}", serving.ready["tcp"].as_str().unwrap());
    let server = HttpServer::at(&url).unwrap();
    let stranger = MikobaseClient::connect_http(&server.clone().token(&Token::random().unwrap()));
    assert!(stranger.unwrap_err().is(ErrorId::UNAUTHORIZED));
    let server = server.token(&token);
    let [db, other] = [(); 2].map(|()| MikobaseClient::connect_http(&server).unwrap());
    let tx = db.begin().unwrap();
    create(&*tx, 1).unwrap();
    assert_eq!(count(&other), 0);
    // The session ends with the proxy and its last object.
    drop((tx, db));
    create(&other, 2).unwrap();
    let numbers: Vec<Value> = other
        .iter(json!({}))
        .unwrap()
        .map(|record| record.unwrap().bucket.get("n").unwrap().unwrap())
        .collect();
    assert_eq!(numbers, [2]);
    serving.stop();
    assert!(other.properties().unwrap_err().is(ErrorId::SERVER_GONE));
}

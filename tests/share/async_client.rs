//! The async client: the same methods in a runtime.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use mikobase::prelude::*;
use mikobase::{ImportAsync, Limits, Remote, Token, UploadAsync};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, spawn_blocking};

use crate::harness::Case;
use crate::lost::NOT_TAKEN_UP;
use crate::office::desk_rpc::DeskAsync;
use crate::office::office_rpc::{OfficeAsync, OfficeAsyncClient, OfficeClient};
use crate::office::{Desk, News, Office, eventually, office};
use crate::relay::{ConnectionFate, Relay};
use crate::turnstile::turnstile_rpc::{TurnstileAsync, TurnstileAsyncClient, TurnstileClient};
use crate::turnstile::{RELEASE, Turnstile, turnstile};

pub const CASES: &[Case] = &[
    ("an_async_client_gives_the_answers_of_a_blocking_one", same_answers),
    ("clones_of_an_async_client_call_at_once", at_once),
    ("a_dropped_call_does_not_affect_others", dropped),
    ("an_async_call_has_its_methods_deadline", own_deadline),
    ("an_async_deadline_covers_opening_a_connection", opening),
    ("an_async_call_is_sent_again_only_if_it_may_be", lost),
    ("an_async_call_with_an_unreadable_answer_fails_like_a_blocking_one", unreadable),
    ("an_async_client_of_a_server_that_is_gone_says_so", gone),
    ("an_async_client_is_let_in_by_the_same_rules", let_in),
    ("an_async_call_beyond_the_frame_size_is_refused_by_name", too_large),
    ("async_streams_objects_and_later_answers_share_a_connection", sessions),
    ("an_async_client_sends_and_reads_files_worldlets_and_results_of_any_size", transfers),
    ("an_async_call_outside_a_runtime_is_an_error", outside),
];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn in_a_runtime<F: Future>(test: F) -> F::Output {
    runtime().block_on(test)
}

fn same_answers() {
    let uds = Uds::new().unwrap();
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    let flight = json!({"action": "fly"});
    let (pk, record, class, error) = in_a_runtime(async {
        let db = MikobaseAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let create = json!({"action": "create", "class": "test.org/item", "bucket": {"n": 1}});
        let pk = db.q0(create).await.unwrap().into_pk().unwrap();
        let (record, class, error) =
            tokio::join!(db.record_by_pk(&pk), db.by_class("test.org/item"), db.q0(flight.clone()));
        (pk, record.unwrap(), class.unwrap(), error.unwrap_err())
    });
    let db = share.db().unwrap();
    assert_eq!(record.as_ref().map(|record| &record.pk), Some(&pk));
    assert_eq!(record, db.record_by_pk(&pk).unwrap());
    assert_eq!(class, db.by_class("test.org/item").unwrap());
    assert_eq!(error, db.q0(flight).unwrap_err());
    share.join().unwrap();
}

fn at_once() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    in_a_runtime(async {
        let client = TurnstileAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..200 {
            // The future of a method borrows nothing, so it can be spawned.
            calls.spawn(client.clone().pass());
        }
        let mut counted: Vec<u64> = calls.join_all().await.into_iter().map(Result::unwrap).collect();
        counted.sort_unstable();
        assert_eq!(counted, (1..=200).collect::<Vec<_>>());
        assert_eq!(client.jam().await.unwrap_err().to_string(), "conflict: it is jammed");
    });
    share.join().unwrap();
}

fn dropped() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    in_a_runtime(async {
        let client = TurnstileAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let waiting = tokio::spawn(client.queue());
        let counting = tokio::spawn(client.count());
        waiting.abort();
        RELEASE.get().unwrap().notify();
        counting.await.unwrap().unwrap();
        assert!(client.pass().await.unwrap() >= 1);
    });
    RELEASE.get().unwrap().notify();
    share.join().unwrap();
}

fn own_deadline() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    in_a_runtime(async {
        let client = TurnstileAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let error = client.queue().await.unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        RELEASE.get().unwrap().notify();
        assert_eq!(client.count().await.unwrap(), 1);
    });
    share.join().unwrap();
}

fn opening() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    let relay = Relay::start(share.path(), NOT_TAKEN_UP);
    in_a_runtime(async {
        let client = TurnstileAsyncClient::connect(relay.path(), share.token()).await.unwrap();
        relay.wait_for_loss();
        let error = client.queue().await.unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        assert_eq!(client.count().await.unwrap(), 0, "it was not run");
    });
    share.join().unwrap();
}

fn lost() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    in_a_runtime(async {
        let connect = async |fates| {
            let relay = Relay::start(share.path(), fates);
            (TurnstileAsyncClient::connect(relay.path(), share.token()).await.unwrap(), relay)
        };
        let (client, _relay) =
            connect(&[ConnectionFate::IsLostBeforeTheFirstAnswer, ConnectionFate::Lives]).await;
        assert_eq!(client.push().await.unwrap(), 2, "run twice");
        let (client, _relay) =
            connect(&[ConnectionFate::IsLostBeforeTheFirstAnswer, ConnectionFate::Lives]).await;
        let error = client.pass().await.unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
        assert_eq!(client.count().await.unwrap(), 3, "run once more");
        let (client, _relay) = connect(&[ConnectionFate::IsLostBeforeTheFirstAnswer]).await;
        let error = client.push().await.unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    });
    share.join().unwrap();
}

fn unreadable() {
    const NO_ANSWER: ConnectionFate =
        ConnectionFate::SendsInPlaceOfTheFirstAnswer(&[0, 0, 0, 3, 0xc1, 0xc1, 0xc1]);
    const TOO_LARGE: ConnectionFate = ConnectionFate::SendsInPlaceOfTheFirstAnswer(&[0xff; 4]);
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    let fates: [&[ConnectionFate]; 2] =
        [&[NO_ANSWER, ConnectionFate::Lives], &[TOO_LARGE, ConnectionFate::Lives]];
    for (fates, count) in fates.into_iter().zip([2, 4]) {
        let relay = Relay::start(share.path(), fates);
        let blocking = TurnstileClient::connect(relay.path(), share.token()).unwrap();
        let expected = blocking.push().unwrap_err();
        let relay = Relay::start(share.path(), fates);
        in_a_runtime(async {
            let client = TurnstileAsyncClient::connect(relay.path(), share.token()).await.unwrap();
            assert_eq!(client.push().await.unwrap_err(), expected);
            assert_eq!(client.count().await.unwrap(), count, "each client has sent the call once");
        });
    }
    share.join().unwrap();
}

fn gone() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    let runtime = runtime();
    let client = runtime.block_on(TurnstileAsyncClient::connect(share.path(), share.token())).unwrap();
    assert_eq!(runtime.block_on(client.count()).unwrap(), 0);
    share.join().unwrap();
    for _ in 0..2 {
        let error = runtime.block_on(client.count()).unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    }
}

fn let_in() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    in_a_runtime(async {
        let wrong: Token = "0".repeat(64).parse().unwrap();
        let refused = TurnstileAsyncClient::connect(share.path(), &wrong).await.err().unwrap();
        assert!(refused.is(ErrorId::UNAUTHORIZED), "{refused}");
        let refused = MikobaseAsyncClient::connect(share.path(), share.token()).await.err().unwrap();
        assert!(refused.is(ErrorId::SURFACE_MISMATCH), "{refused}");
        let missing = share.path().with_file_name("nobody");
        let refused = TurnstileAsyncClient::connect(missing, share.token()).await.err().unwrap();
        assert!(refused.is(ErrorId::SERVER_GONE), "{refused}");
    });
    share.join().unwrap();
}

fn too_large() {
    let mut limits = Limits::default();
    limits.frame_size = 10_000;
    let uds = Uds::new().unwrap().limits(limits);
    let share = turnstile(&uds);
    in_a_runtime(async {
        let client = TurnstileAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let error = client.echo(vec![0; 20_000]).await.unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
        assert_eq!(client.echo(vec![1; 1000]).await.unwrap(), vec![1; 1000]);
    });
    share.join().unwrap();
}

fn sessions() {
    let uds = Uds::new().unwrap();
    let share = office(&uds);
    let desk = in_a_runtime(async {
        let office = OfficeAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let letter = tokio::spawn(office.letter());
        let mut news = office.news().await.unwrap();
        let mut numbers = office.numbers(50_000, "error").await.unwrap();
        let desk = office.desk("a").await.unwrap();
        let calls = async {
            let desk = Remote::asynchronous(&desk).unwrap();
            for i in 1..=1000 {
                assert_eq!(desk.note("x").await.unwrap(), i);
            }
        };
        let items = async {
            for number in 0..50_000 {
                assert_eq!(numbers.recv_async().await.unwrap().unwrap(), number);
            }
            assert!(numbers.recv_async().await.unwrap().unwrap_err().is(ErrorId::CONFLICT));
            assert!(numbers.recv_async().await.is_none());
        };
        tokio::join!(calls, items);
        office.publish(3).await.unwrap();
        assert_eq!(StreamExt::next(&mut news).await.unwrap().unwrap(), News { number: 0 });
        while office.waiting().await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(office.deliver("hello").await.unwrap());
        assert_eq!(letter.await.unwrap().unwrap(), "hello");
        // One that is dropped is wanted no more.
        let mut unread = office.letter();
        assert!(poll_fn(|context| Poll::Ready(Pin::new(&mut unread).poll(context).is_pending())).await);
        assert_eq!(office.waiting().await.unwrap(), 1);
        drop(unread);
        assert_eq!(office.waiting().await.unwrap(), 0);
        // A thread that may block uses the same objects and streams.
        spawn_blocking(move || {
            assert_eq!(desk.note("x").unwrap(), 1001);
            assert_eq!(news.recv().unwrap().unwrap(), News { number: 1 });
            assert!(news.recv_timeout(Duration::ZERO).is_ready() && news.try_recv().is_pending());
            desk
        })
        .await
        .unwrap()
    });
    // Their connection ended with the runtime.
    let error = desk.note("x").unwrap_err();
    assert!(error.is(ErrorId::OUTSIDE_RUNTIME) || error.is(ErrorId::SESSION_GONE), "{error}");
    drop(desk);
    let office = OfficeClient::connect(share.path(), share.token()).unwrap();
    eventually(|| office.log().unwrap(), &vec!["a opened".to_owned(), "a closed".to_owned()]);
    share.join().unwrap();
}

fn outside() {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    let error = polled_once(TurnstileAsyncClient::connect(share.path(), share.token())).err().unwrap();
    assert!(error.is(ErrorId::OUTSIDE_RUNTIME), "{error}");
    let client =
        in_a_runtime(async { TurnstileAsyncClient::connect(share.path(), share.token()).await.unwrap() });
    let error = polled_once(client.count()).unwrap_err();
    assert!(error.is(ErrorId::OUTSIDE_RUNTIME), "{error}");
    // The same client continues in another runtime.
    assert_eq!(in_a_runtime(client.count()).unwrap(), 0);
    share.join().unwrap();
}

/// The output of a future that is ready at its first poll, outside a runtime.
fn polled_once<F: Future>(future: F) -> F::Output {
    match Box::pin(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn transfers() {
    let uds = Uds::new().unwrap();
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    in_a_runtime(async {
        let db = MikobaseAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let upload = db.write_file("text/plain").await.unwrap();
        let upload = Remote::asynchronous(&upload).unwrap();
        upload.put(b"make it so".to_vec().into()).await.unwrap();
        let pk = upload.finish().await.unwrap();
        let piece = db.read_file(&pk).await.unwrap().recv_async().await.unwrap().unwrap();
        assert_eq!(*piece, *b"make it so");

        let import = db.import(false).await.unwrap();
        let import = Remote::asynchronous(&import).unwrap();
        import.put(br#"{"records": {"a": {"bucket": {"n": 1}}}}"#.to_vec().into()).await.unwrap();
        assert_eq!(import.finish().await.unwrap().records, 1);
        let mut records = db.select_stream(json!({"action": "select"})).await.unwrap();
        assert_eq!(records.recv_async().await.unwrap().unwrap().pk, "a");
        assert!(records.recv_async().await.is_none());
        assert!(db.export().await.unwrap().recv_async().await.unwrap().is_ok());
    });
    share.join().unwrap();
}

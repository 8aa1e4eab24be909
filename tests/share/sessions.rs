//! Objects and streams that live with a connection, and threads that share one.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use miko_shared::wire::extension::{self, FromServer};
use mikobase::prelude::*;
use mikobase::{Remote, Stream};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::deaths::server_of;
use crate::harness::Case;
use crate::office::office_rpc::OfficeClient;
use crate::office::{
    Building, Desk, NEWS_HELD, Office, OpenThings, eventually, kill_worker_with_child, office,
};
use crate::relay::{ConnectionFate, Relay};
use crate::support::{Raw, enclosed_call, over_http, proxy, uds};

pub const CASES: &[Case] = &[
    ("an_object_is_called_as_a_local_one_and_dropped_with_its_proxy", objects),
    ("objects_travel_anywhere_in_a_result", anywhere),
    ("the_objects_of_a_connection_are_dropped_newest_first", newest_first),
    ("a_panic_of_an_object_is_an_error_and_the_server_goes_on", panics),
    ("an_answer_that_cannot_be_sent_leaves_no_object", broken),
    ("an_object_of_a_lost_connection_is_gone_and_its_calls_are_not_repeated", lost),
    ("an_object_used_in_a_fork_is_an_error", forked),
    ("a_lazy_object_is_opened_by_its_first_call", lazy),
    ("a_lazy_object_that_cannot_be_opened_says_so_at_its_first_call", lazy_refused),
    ("a_lazy_object_is_opened_once_by_many_threads", lazy_threads),
    ("a_lazy_object_is_open_after_a_first_call_that_timed_out", lazy_timeout),
    ("a_lazy_object_is_opened_after_its_opening_was_refused_for_its_deadline", lazy_refused_late),
    ("a_lazy_object_whose_opening_is_not_answered_is_gone_and_its_connection_is_not", lazy_unanswered),
    ("the_first_call_on_a_lazy_object_is_made_once_whatever_its_hook_returns", lazy_hook),
    ("a_lazy_object_is_opened_after_a_hook_has_refused_its_opening", lazy_hook_of_opening),
    ("the_first_call_on_a_lazy_object_waits_while_that_waits_at_a_gate", lazy_gate),
    ("the_first_call_on_a_lazy_object_finds_it_when_that_has_waited_at_a_gate", lazy_late),
    ("a_lazy_object_is_opened_over_another_connection_if_the_first_is_lost", lazy_lost),
    ("a_lazy_object_of_a_connection_that_was_lost_with_its_opening_is_gone", lazy_lost_when_sent),
    ("an_object_that_holds_nothing_is_released_with_the_next_call", settled),
    ("a_killed_worker_frees_its_objects_though_its_child_holds_the_socket", killed),
    ("a_stream_gives_all_items_in_order_and_then_its_end", ends),
    ("a_stream_that_is_not_read_advances_no_further_than_its_window", window),
    ("a_client_that_reads_nothing_can_release_an_object", release_unread),
    ("streams_of_one_connection_have_turns", turns),
    ("a_reader_of_a_feed_that_sleeps_is_told_how_many_items_it_missed", lag),
    ("an_item_for_twenty_readers_is_encoded_once_and_a_sleeper_disturbs_nobody", twenty),
    ("a_later_answer_comes_while_other_calls_are_served", later),
    ("a_later_answer_that_is_dropped_is_delivered_to_nobody", dropped),
    ("a_later_answer_has_a_deadline", later_deadline),
    ("a_later_answer_that_its_caller_gave_up_releases_what_it_carries", given_up),
    ("a_cancelled_call_is_answered_once_as_cancelled", cancelled),
    ("a_later_answer_of_a_lost_connection_is_unwanted", later_lost),
    ("threads_share_one_connection_with_large_calls_and_a_stream", threads),
];

/// Runs `test` with a client of an office.
fn with_office(test: impl FnOnce(&OfficeClient)) {
    let uds = uds();
    let share = office(&uds);
    test(&proxy(&share));
    share.join().unwrap();
}

fn objects() {
    with_office(|office| {
        let desk = office.desk("a").unwrap();
        fn use_any(desk: &impl Desk) -> Result<usize> {
            desk.note("one")?;
            desk.note("two")
        }
        assert_eq!(use_any(&desk).unwrap(), 2);
        assert_eq!(format!("{desk:?}"), "RemoteDesk { .. }");
        let drawer = desk.drawer().unwrap();
        drop(desk);
        assert_eq!(drawer.note("it outlives its desk").unwrap(), 1);
        assert_eq!(office.log().unwrap(), ["a opened", "drawer of a opened", "a closed"]);
    });
}

fn anywhere() {
    with_office(|office| {
        let desks = office.desks(&["a".to_owned(), String::new(), "b".to_owned()]).unwrap();
        let notes: Vec<Option<usize>> =
            desks.iter().map(|(_, desk)| desk.as_ref().map(|desk| desk.note("x").unwrap())).collect();
        assert_eq!(notes, [Some(1), None, Some(1)]);
    });
}

fn newest_first() {
    let uds = uds();
    let share = office(&uds);
    let [office, other] = [(); 2].map(|()| proxy(&share));
    let desks = office.desks(&["a", "b", "a trap", "c"].map(str::to_owned)).unwrap();
    // The connection lives as long as an object of it.
    drop(office);
    let last = desks.into_iter().last().unwrap().1.unwrap();
    assert_eq!(last.note("x").unwrap(), 1);
    let opened = ["a opened", "b opened", "a trap opened", "c opened"];
    let released = ["a closed", "b closed", "a trap closed"];
    eventually(
        || other.log().unwrap(),
        &[&opened[..], &released[..]].concat().iter().map(|s| s.to_string()).collect(),
    );
    let more: Vec<_> = (0..3).map(|_| last.drawer().unwrap()).collect();
    // A process that ends releases nothing.
    std::mem::forget(more);
    std::mem::forget(last);
    share.join().unwrap();
}

fn panics() {
    with_office(|office| {
        let desk = office.desk("a").unwrap();
        let error = desk.note("panic").unwrap_err();
        assert!(error.is(ErrorId::INTERNAL) && error.to_string().contains("a note that panics"), "{error}");
        drop(office.desk("a trap").unwrap());
        assert_eq!(desk.note("fine").unwrap(), 1);
    });
}

fn broken() {
    with_office(|office| {
        let error = office.broken_desk().unwrap_err();
        assert!(error.is(ErrorId::INTERNAL), "{error}");
        assert_eq!(office.log().unwrap(), ["broken opened", "broken closed"]);
    });
}

fn lost() {
    let uds = uds();
    let share = office(&uds);
    let direct = proxy(&share);
    let relay = Relay::start(share.path(), &[ConnectionFate::IsLostAfterTwoAnswers, ConnectionFate::Lives]);
    let office = OfficeClient::connect(relay.path(), share.token()).unwrap();
    let desk = office.desk("a").unwrap();
    let mut numbers = office.numbers(1, "").unwrap();
    relay.wait_for_loss();
    let error = desk.note("x").unwrap_err();
    assert!(error.is(ErrorId::SESSION_GONE), "{error}");
    let error = numbers.recv().unwrap().unwrap_err();
    assert!(error.is(ErrorId::SESSION_GONE), "{error}");
    assert!(numbers.recv().is_none());
    eventually(|| direct.log().unwrap(), &vec!["a opened".to_owned(), "a closed".to_owned()]);
    // The proxy itself opens another connection.
    assert_eq!(office.desk("b").unwrap().note("x").unwrap(), 1);
    share.join().unwrap();
}

fn forked() {
    with_office(|office| {
        let desk = office.desk("a").unwrap();
        let mut numbers = office.numbers(10, "").unwrap();
        // Asks for the items. If the server is fast, the first one is here at once.
        let first = numbers.try_recv();
        // All items arrive before the fork, so that it inherits those that were not read.
        (0..100).for_each(|_| drop(office.echo(String::new()).unwrap()));
        let first = if let Poll::Ready(first) = first { first } else { numbers.recv() };
        assert_eq!(first.unwrap().unwrap(), 0);
        // SAFETY: the process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let calls = [desk.note("x").unwrap_err(), numbers.recv().unwrap().unwrap_err()];
                assert!(calls.iter().all(|error| error.is(ErrorId::SESSION_GONE)), "{calls:?}");
                drop((desk, numbers));
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).unwrap();
                assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
            }
        }
        assert_eq!(desk.note("x").unwrap(), 1);
        assert!(numbers.map(Result::unwrap).eq(1..10));
    });
}

fn lazy() {
    with_office(|office| {
        drop(office.lazy_desk("unused").unwrap());
        let desk = office.lazy_desk("a").unwrap();
        let opened_before_use = if over_http() { 3 } else { 0 };
        assert_eq!(office.log().unwrap().len(), opened_before_use);
        assert_eq!(desk.note("one").unwrap(), 1);
        assert_eq!(desk.note("two").unwrap(), 2);
        let counted = office.lazy_desk("b").unwrap();
        assert_eq!(counted.count().wait().unwrap(), 0, "a call whose answer comes later");
        drop((desk, counted));
        let log = office.log().unwrap();
        assert_eq!(log[log.len() - 4..], ["a opened", "b opened", "a closed", "b closed"]);
    });
}

fn lazy_refused() {
    with_office(|office| {
        let error = match office.lazy_desk("") {
            Ok(desk) => [desk.note("x"), desk.count().wait(), desk.note("x")].map(Result::unwrap_err),
            Err(error) => [(); 3].map(|()| error.clone()),
        };
        assert!(error.iter().all(|error| error.to_string() == "conflict: a desk has a name"), "{error:?}");
        assert!(office.log().unwrap().is_empty());
    });
}

fn lazy_threads() {
    with_office(|office| {
        let desk = office.lazy_desk("a").unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10).for_each(|_| assert!(desk.note("x").unwrap() > 0)));
            }
        });
        assert_eq!(desk.note("x").unwrap(), 81);
        drop(desk);
        assert_eq!(office.log().unwrap(), ["a opened", "a closed"]);
    });
}

fn lazy_timeout() {
    let uds = uds();
    let share = office(&uds);
    let [office, other] = [(); 2].map(|()| proxy(&share));
    let closed = other.closed_desk().unwrap();
    let desk = office.lazy_desk("a").unwrap();
    let error = desk.line_up().unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED) || error.is(ErrorId::LOCK_TIMEOUT), "{error}");
    assert_eq!(desk.note("x").unwrap(), 1);
    assert_eq!(other.log().unwrap(), ["closed opened", "a opened"], "it is the same desk");
    drop((closed, desk));
    eventually(|| other.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn lazy_refused_late() {
    if over_http() {
        // The desk is opened at once.
        return;
    }
    let uds = uds();
    let share = office(&uds);
    let [office, other] = [(); 2].map(|()| proxy(&share));
    let closed = other.closed_desk().unwrap();
    let desk = office.lazy_closed_desk_soon().unwrap();
    for error in [desk.note("x").unwrap_err(), desk.line_up().unwrap_err(), desk.note("x").unwrap_err()] {
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED) || error.is(ErrorId::LOCK_TIMEOUT), "{error}");
    }
    drop(closed);
    eventually(|| desk.note("x").is_ok(), &true);
    drop(desk);
    eventually(|| other.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn lazy_unanswered() {
    if over_http() {
        return;
    }
    let uds = uds();
    let share = office(&uds);
    let office = proxy(&share);
    let server = server_of(share.path());
    let desk = office.lazy_closed_desk_soon().unwrap();
    // The connection is open.
    office.log().unwrap();
    kill(server, Signal::SIGSTOP).unwrap();
    for error in [desk.line_up().unwrap_err(), desk.line_up().unwrap_err()] {
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    }
    let message = "session-gone: the answer to the call that opens the object did not arrive in time";
    for error in [desk.line_up().unwrap_err(), desk.note("x").unwrap_err()] {
        assert!(error.to_string().starts_with(message), "{error}");
    }
    kill(server, Signal::SIGCONT).unwrap();
    eventually(|| office.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn lazy_hook() {
    let uds = uds().around(|call, next| {
        let served = next.run();
        match &*call.method.name {
            "note" => Err(Error::new(ErrorId::SESSION_GONE, "the hook").with("handle", 1)),
            _ => served,
        }
    });
    let share = office(&uds);
    let office = proxy(&share);
    let desk = office.lazy_desk("a").unwrap();
    let error = desk.note("x").unwrap_err();
    assert!(error.is(ErrorId::SESSION_GONE) && error.to_string().contains("the hook"), "{error}");
    assert_eq!(desk.notes().unwrap(), 1);
    drop((desk, office));
    share.join().unwrap();
}

fn lazy_hook_of_opening() {
    let was_refused = AtomicBool::new(false);
    let uds = uds().around(move |call, next| match &*call.method.name {
        "lazy_desk" if !was_refused.swap(true, Ordering::Relaxed) => {
            Err(Error::new(ErrorId::SESSION_GONE, "the hook"))
        }
        _ => next.run(),
    });
    let share = office(&uds);
    let office = proxy(&share);
    let desk = office.lazy_desk("a").unwrap();
    let error = desk.note("x").unwrap_err();
    assert!(error.to_string().contains("the hook"), "{error}");
    // Over HTTP this error always means that the session is lost.
    if !over_http() {
        desk.note("y").unwrap();
        assert_eq!(desk.notes().unwrap(), 1);
    }
    drop((desk, office));
    share.join().unwrap();
}

fn lazy_gate() {
    let uds = uds();
    let share = office(&uds);
    let [office, other] = [(); 2].map(|()| proxy(&share));
    let closed = other.closed_desk().unwrap();
    thread::scope(|scope| {
        let noted = scope.spawn(|| office.lazy_closed_desk()?.note("x"));
        eventually(|| other.open_things().unwrap().queued, &1);
        drop(closed);
        assert_eq!(noted.join().unwrap().unwrap(), 1);
    });
    eventually(|| other.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn lazy_late() {
    with_office(|office| {
        let desk = office.late_desk().unwrap();
        assert_eq!([desk.note("one").unwrap(), desk.note("two").unwrap()], [1, 2]);
    });
}

fn lazy_lost() {
    let uds = uds();
    let share = office(&uds);
    let relay = Relay::start(share.path(), &[ConnectionFate::IsLostWhileIdle, ConnectionFate::Lives]);
    let office = OfficeClient::connect(relay.path(), share.token()).unwrap();
    let desk = office.lazy_desk("a").unwrap();
    relay.wait_for_loss();
    assert_eq!(desk.note("x").unwrap(), 1);
    assert_eq!(office.log().unwrap(), ["a opened"]);
    share.join().unwrap();
}

fn lazy_lost_when_sent() {
    let uds = uds();
    let share = office(&uds);
    let direct = proxy(&share);
    let relay =
        Relay::start(share.path(), &[ConnectionFate::IsLostBeforeTheFirstAnswer, ConnectionFate::Lives]);
    let office = OfficeClient::connect(relay.path(), share.token()).unwrap();
    let desk = office.lazy_desk("a").unwrap();
    // `notes` may be repeated, but the opening may not.
    for error in [desk.notes().unwrap_err(), desk.note("x").unwrap_err(), desk.notes().unwrap_err()] {
        assert!(error.is(ErrorId::SESSION_GONE) || over_http(), "{error}");
    }
    eventually(|| direct.log().unwrap(), &vec!["a opened".to_owned(), "a closed".to_owned()]);
    assert_eq!(office.lazy_desk("b").unwrap().note("x").unwrap(), 1);
    share.join().unwrap();
}

fn settled() {
    let uds = uds();
    let share = office(&uds);
    let [office, other] = [(); 2].map(|()| proxy(&share));
    // The first call opens a lazy desk, and tells nothing about its release.
    for (desk, name) in [(office.desk("a"), "a"), (office.lazy_desk("b"), "b")] {
        let desk = desk.unwrap();
        assert_eq!(desk.note("x").unwrap(), 1);
        desk.clear().unwrap();
        drop(desk);
        if !over_http() {
            assert_eq!(other.log().unwrap().last().unwrap(), &format!("{name} opened"));
        }
        // With a next call, whatever it is.
        let log = office.log().unwrap();
        assert_eq!(log.last().unwrap(), &format!("{name} closed"));
    }
    // What is called after it may hold something again.
    let desk = office.desk("c").unwrap();
    desk.clear().unwrap();
    assert_eq!(desk.note("x").unwrap(), 1);
    drop(desk);
    eventually(|| other.log().unwrap().last().cloned(), &Some("c closed".to_owned()));
    // Many are released without a next call.
    let desks: Vec<_> = (0..1000).map(|_| office.desk("d").unwrap()).collect();
    desks.iter().for_each(|desk| desk.clear().unwrap());
    drop(desks);
    eventually(|| other.open_things().unwrap().desks < 200, &true);
    drop(office);
    eventually(|| other.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn killed() {
    let uds = uds();
    let open = |office: &OfficeClient| Ok((office.desk("a")?, office.news()?));
    kill_worker_with_child(&uds, open, |office| eventually(|| office.readers().unwrap().0, &0));
}

fn ends() {
    with_office(|office| {
        let numbers = office.numbers(100_000, "").unwrap();
        assert!(numbers.enumerate().all(|(i, number)| number.unwrap() == i as u64));
        for (end, expected) in [
            ("error", "conflict: no more"),
            ("panic", "internal: the source of the stream panicked: out of numbers"),
        ] {
            let mut numbers = office.numbers(3, end).unwrap();
            for number in 0..3 {
                assert_eq!(numbers.recv().unwrap().unwrap(), number);
                assert_eq!(numbers.last_seq(), number + 1);
            }
            assert_eq!(numbers.recv().unwrap().unwrap_err().to_string(), expected);
            assert!(numbers.recv().is_none());
        }
        let error = office.pieces(65 << 20).unwrap().recv().unwrap().unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    });
}

fn window() {
    with_office(|office| {
        let mut pieces = office.pieces(1000).unwrap();
        assert_eq!(office.numbers_made().unwrap(), 0, "nothing is sent before it is read");
        assert_eq!(pieces.recv().unwrap().unwrap(), [7; 1000]);
        let made = || {
            // A round trip for each piece: the server has had its time.
            (0..1000).for_each(|_| drop(office.echo(String::new()).unwrap()));
            office.numbers_made().unwrap()
        };
        let full = made();
        // Over HTTP a piece is twice as long, and it is the sockets that hold what is on its way.
        let window = if over_http() { 50..500 } else { 200..300 };
        assert!(window.contains(&full), "{full} pieces of 1000 bytes in a window of 256 KiB");
        assert_eq!(made(), full);
        for _ in 0..1000 {
            pieces.recv().unwrap().unwrap();
        }
        assert!(made() < 1000 + window.end);
        drop(pieces);
        let after = made();
        assert_eq!(made(), after);
    });
}

fn release_unread() {
    let uds = uds();
    let share = office(&uds);
    let [office, watching] = [(); 2].map(|()| proxy(&share));
    let desk = office.desk("a").unwrap();
    // More than the socket holds is sent, and the client does not read it.
    let mut streams: Vec<_> = (0..4).map(|_| office.pieces(10_000).unwrap()).collect();
    streams.iter_mut().for_each(|stream| drop(stream.recv_timeout(Duration::ZERO)));
    let letter = office.letter();
    eventually(|| watching.waiting().unwrap(), &1);
    drop((desk, letter));
    eventually(|| watching.open_things().unwrap(), &OpenThings::default());
    share.join().unwrap();
}

fn turns() {
    let uds = uds();
    let share = office(&uds);
    let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
    let mut sent = Vec::new();
    for stream in 1..=3 {
        sent.extend(enclosed_call("pieces", &json!({"size": 10_000})));
        extension::put_credit(stream, u64::MAX, &mut sent);
    }
    raw.stream.write_all(&sent).unwrap();
    let mut items = [0; 4];
    while items[1..].iter().any(|count| *count < 20) {
        let frame = raw.read_frame().unwrap();
        if let Ok(FromServer::Item { stream, .. }) = FromServer::read(&frame) {
            items[stream as usize] += 1;
        }
        assert!(items.iter().sum::<u32>() < 1000, "{items:?}");
    }
    drop(raw);
    share.join().unwrap();
}

fn lag() {
    with_office(|office| {
        let mut news = office.news().unwrap();
        let total = NEWS_HELD as u64 + 500;
        office.publish(total).unwrap();
        let error = news.recv().unwrap().unwrap_err();
        assert!(error.is(ErrorId::LAGGED), "{error}");
        assert_eq!(error.items()[0].details["count"], 500);
        for number in 500..total {
            assert_eq!(news.recv().unwrap().unwrap().number, number);
            assert_eq!(news.last_seq(), number + 1);
        }
        assert!(news.try_recv().is_pending());
        drop(news);
        assert_eq!(office.readers().unwrap().0, 0);
    });
}

fn twenty() {
    let uds = uds();
    let share = office(&uds);
    let connect = || proxy(&share);
    let publisher = connect();
    let clients: Vec<OfficeClient> = (0..20).map(|_| connect()).collect();
    let mut streams: Vec<Stream<_>> = clients.iter().map(|client| client.news().unwrap()).collect();
    let mut sleeper = streams.pop().unwrap();
    for round in 0..20 {
        publisher.publish(100).unwrap();
        for news in &mut streams {
            for i in 0..100 {
                assert_eq!(news.recv().unwrap().unwrap().number, round * 100 + i);
            }
        }
    }
    let error = sleeper.recv().unwrap().unwrap_err();
    assert!(error.is(ErrorId::LAGGED), "{error}");
    let (readers, encoded) = publisher.readers().unwrap();
    assert_eq!(readers, 20);
    // JSON is made for each reader.
    assert!(over_http() || encoded == 2000, "{encoded}");
    drop((streams, sleeper, clients));
    eventually(|| publisher.readers().unwrap().0, &0);
    share.join().unwrap();
}

fn later() {
    with_office(|office| {
        let (mut one, two) = (office.letter(), office.letter());
        assert_eq!(office.echo("meanwhile".to_owned()).unwrap(), "meanwhile");
        assert!(one.wait_timeout(Duration::from_millis(1)).is_pending());
        assert!(office.deliver("first").unwrap() && office.deliver("second").unwrap());
        assert_eq!(two.wait().unwrap(), "second", "the answers come in any order");
        assert_eq!(one.wait().unwrap(), "first");
        let error = office.broken_promise().wait().unwrap_err();
        assert!(error.to_string().contains("dropped the promise"), "{error}");

        let desk = office.desk_later();
        assert_eq!(office.furnish().unwrap(), 1);
        assert_eq!(desk.wait().unwrap().note("x").unwrap(), 1);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| office.letter().wait());
            eventually(|| office.waiting().unwrap(), &1);
            assert!(office.deliver("to a thread").unwrap());
            assert_eq!(waiting.join().unwrap().unwrap(), "to a thread");
        });
        // As any result.
        let building = Building::default();
        let letter = building.letter();
        assert!(building.deliver("here").unwrap());
        assert_eq!(letter.wait().unwrap(), "here");
    });
}

fn dropped() {
    with_office(|office| {
        drop(office.letter());
        let kept = office.letter();
        assert_eq!(office.waiting().unwrap(), 1);
        assert!(office.deliver("a").unwrap());
        assert!(!office.deliver("b").unwrap());
        assert_eq!(kept.wait().unwrap(), "a");
    });
}

fn later_deadline() {
    with_office(|office| {
        let error = office.letter_soon().wait().unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        assert!(!office.deliver("too late").unwrap());
        assert_eq!(office.waiting().unwrap(), 0);
    });
}

fn given_up() {
    with_office(|office| {
        let desk = office.desk_later();
        assert_eq!(office.furnish().unwrap(), 1);
        // The answer was sent before that of `furnish`, or after it; no thread has read it.
        drop(desk);
        eventually(|| office.log().unwrap(), &vec!["late opened".to_owned(), "late closed".to_owned()]);
    });
}

fn cancelled() {
    let uds = uds();
    let share = office(&uds);
    let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
    let mut sent = enclosed_call("letter", &json!({}));
    extension::put_cancel(1, &mut sent);
    // The second one finds nothing to cancel, nor does one of a call that was answered.
    extension::put_cancel(1, &mut sent);
    sent.extend(enclosed_call("waiting", &json!({})));
    extension::put_cancel(1, &mut sent);
    sent.extend(enclosed_call("waiting", &json!({})));
    raw.stream.write_all(&sent).unwrap();
    assert!(raw.read_error().is(ErrorId::CANCELLED));
    for _ in 0..2 {
        let answer = raw.read_frame().unwrap();
        assert!(answer.ends_with(b"waiting\x81\xa2Ok\x00"), "{answer:?}");
    }
    drop(raw);
    share.join().unwrap();
}

fn later_lost() {
    let uds = uds();
    let share = office(&uds);
    let direct = proxy(&share);
    let relay = Relay::start(share.path(), &[ConnectionFate::IsLostAfterTwoAnswers]);
    let office = OfficeClient::connect(relay.path(), share.token()).unwrap();
    let letter = office.letter();
    for _ in 0..2 {
        assert_eq!(office.waiting().unwrap(), 1);
    }
    relay.wait_for_loss();
    let error = letter.wait().unwrap_err();
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    eventually(|| direct.waiting().unwrap(), &0);
    assert!(!direct.deliver("to nobody").unwrap());
    share.join().unwrap();
}

fn threads() {
    with_office(|office| {
        let text = "x".repeat(3 << 20);
        let numbers = office.numbers(50_000, "").unwrap();
        let desk: Remote<dyn Desk> = office.desk("a").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| assert!(numbers.enumerate().all(|(i, number)| number.unwrap() == i as u64)));
            for _ in 0..2 {
                scope.spawn(|| (0..10).for_each(|_| assert!(office.echo(text.clone()).unwrap() == text)));
            }
            for worker in 0..4 {
                scope.spawn(move || {
                    for i in 0..1000 {
                        let sent = format!("{worker} {i}");
                        assert_eq!(office.echo(sent.clone()).unwrap(), sent);
                    }
                });
            }
            let desk = &desk;
            scope.spawn(move || (1..=1000).for_each(|i| assert_eq!(desk.note("x").unwrap(), i)));
        });
    });
}

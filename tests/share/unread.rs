//! Clients and servers that do not read, and clients that always have more to send.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mikobase::Limits;
use mikobase::prelude::*;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};

use crate::deaths::server_of;
use crate::harness::Case;
use crate::ledger::{Ledger, ledger};
use crate::office::{Desk, Office, eventually, office};
use crate::support::{Raw, enclosed_call, proxy, uds};

pub const CASES: &[Case] = &[
    ("a_client_that_reads_no_answers_keeps_no_gate", no_gate),
    ("calls_behind_an_answer_that_cannot_be_sent_are_run", calls_behind),
    ("what_a_connection_has_ends_when_the_server_closes_it", closed),
    ("a_connection_with_many_calls_leaves_others_their_turn", many_calls),
    ("a_lazy_object_is_opened_by_the_second_call_if_the_first_was_not_sent", lazy_not_begun),
];

fn no_gate() {
    let uds = uds();
    let share = ledger(&uds);
    let [one, other] = [(); 2].map(|()| proxy(&share));
    one.write(&"x".repeat(1 << 20), 0).unwrap();
    let held = one.hold().unwrap();
    let mut raw = Raw::to::<dyn Ledger>(share.path(), share.token());
    let waits = json!({"entry": "of the client that does not read", "limit": 3_600_000});
    let mut calls = enclosed_call("write", &waits);
    // More than the socket holds.
    calls.extend(enclosed_call("entries", &json!({})));
    raw.stream.write_all(&calls).unwrap();
    eventually(|| one.waiting().unwrap(), &1);
    drop(held);
    other.write("next", 30_000).unwrap();
    assert_eq!(other.entries().unwrap().0[1..], ["of the client that does not read", "next"]);
    drop(raw);
    share.join().unwrap();
}

fn calls_behind() {
    let uds = uds();
    let share = ledger(&uds);
    let other = proxy(&share);
    other.write(&"x".repeat(1 << 20), 0).unwrap();
    let write = |entry: &str| enclosed_call("write", &json!({"entry": entry, "limit": 30_000}));
    for has_session in [false, true] {
        let mut raw = Raw::to::<dyn Ledger>(share.path(), share.token());
        if has_session {
            // The call waits at the gate, in a session, which stays.
            let held = other.hold().unwrap();
            raw.stream.write_all(&write("parked")).unwrap();
            eventually(|| other.waiting().unwrap(), &1);
            drop(held);
            raw.read_frame().unwrap();
        }
        // An answer of more than the socket holds, and then calls that fill several reads.
        let mut calls = enclosed_call("entries", &json!({}));
        calls.extend(write("behind").repeat(1000));
        raw.stream.write_all(&calls).unwrap();
        drop(raw);
        let behind = || other.entries().unwrap().0.iter().filter(|entry| *entry == "behind").count();
        eventually(behind, &(1000 * (1 + usize::from(has_session))));
    }
    share.join().unwrap();
}

fn closed() {
    let mut limits = Limits::default();
    // The last answers are not given up.
    limits.handshake = Duration::MAX;
    let uds = uds().limits(limits);
    let share = office(&uds);
    let watching = proxy(&share);
    let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
    // A little more than the socket holds: the rest waits to be sent.
    let size = getsockopt(&raw.stream, sockopt::SndBuf).unwrap() + 20_000;
    let mut sent = enclosed_call("desk", &json!({"name": "a"}));
    sent.extend(enclosed_call("echo", &json!({"text": "x".repeat(size)})));
    // A frame that is no call.
    sent.extend([0, 0, 0, 3, 0xc1, 0xc1, 0xc1]);
    raw.stream.write_all(&sent).unwrap();
    eventually(|| watching.log().unwrap(), &vec!["a opened".to_owned(), "a closed".to_owned()]);
    drop(raw);
    share.join().unwrap();
}

fn many_calls() {
    const CALLS: usize = 10_000;
    let uds = uds();
    let share = office(&uds);
    let other = proxy(&share);
    for has_session in [false, true] {
        let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
        if has_session {
            raw.stream.write_all(&enclosed_call("desk", &json!({"name": "a"}))).unwrap();
            raw.read_frame().unwrap();
        }
        let mut sending = raw.stream.try_clone().unwrap();
        let end = raw.stream.try_clone().unwrap();
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Calls that keep the server busier than the client.
                let calls = enclosed_call("publish", &json!({"count": 200})).repeat(100);
                // It fails when the test ends the connection.
                (0..CALLS / 100).all(|_| sending.write_all(&calls).is_ok());
            });
            scope.spawn(|| {
                while raw.read_frame().is_some() && answered.fetch_add(1, Ordering::Relaxed) < CALLS - 1 {}
            });
            while answered.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            other.echo("of another connection".to_owned()).unwrap();
            assert!(answered.load(Ordering::Relaxed) < CALLS, "has a session: {has_session}");
            let _ = end.shutdown(Shutdown::Both);
        });
    }
    share.join().unwrap();
}

fn lazy_not_begun() {
    let uds = uds();
    let share = office(&uds);
    let office = proxy(&share);
    let desk = office.lazy_desk("a").unwrap();
    let server = server_of(share.path());
    kill(server, Signal::SIGSTOP).unwrap();
    // The first letter for which the socket has no room is not sent before its deadline.
    let is_sent = || {
        let began = Instant::now();
        drop(office.letter_soon());
        began.elapsed() < Duration::from_millis(100)
    };
    while is_sent() {}
    let error = desk.line_up().unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED) && error.to_string().contains("not sent"), "{error}");
    kill(server, Signal::SIGCONT).unwrap();
    assert_eq!(desk.note("x").unwrap(), 1);
    assert_eq!(office.log().unwrap(), ["a opened"]);
    drop((desk, office));
    share.join().unwrap();
}

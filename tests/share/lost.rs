//! Lost connections: which calls are repeated, and which fail.

use mikobase::prelude::*;

use crate::harness::Case;
use crate::relay::{ConnectionFate, Relay};
use crate::turnstile::turnstile_rpc::TurnstileClient;
use crate::turnstile::{RELEASE, Turnstile, turnstile};

pub const CASES: &[Case] = &[
    ("an_idempotent_call_is_sent_again_when_its_answer_is_lost", idempotent),
    ("a_call_that_reads_is_sent_again_when_its_answer_is_lost", reading),
    ("any_other_call_fails_when_its_answer_is_lost_and_the_next_one_works", neither),
    ("a_call_that_was_never_sent_is_sent_on_a_new_connection", unsent),
    ("a_call_is_sent_again_once", once),
    ("a_method_has_its_own_deadline", own_deadline),
    ("after_a_deadline_the_connection_is_used_on", same_connection),
    ("a_deadline_covers_opening_a_connection", opening),
];

/// Runs `test` with a client whose connections meet these fates.
fn with_connections(fates: &'static [ConnectionFate], test: impl FnOnce(&TurnstileClient, &Relay)) {
    let uds = Uds::new().unwrap();
    let share = turnstile(&uds);
    let relay = Relay::start(share.path(), fates);
    let client = TurnstileClient::connect(relay.path(), share.token()).unwrap();
    test(&client, &relay);
    share.join().unwrap();
}

const FIRST_ANSWER_LOST: &[ConnectionFate] =
    &[ConnectionFate::IsLostBeforeTheFirstAnswer, ConnectionFate::Lives];

/// The first connection is lost, and no handshake is answered on the second.
pub const NOT_TAKEN_UP: &[ConnectionFate] =
    &[ConnectionFate::IsLostWhileIdle, ConnectionFate::IsNotTakenUp, ConnectionFate::Lives];

fn idempotent() {
    with_connections(FIRST_ANSWER_LOST, |client, _| {
        assert_eq!(client.push().unwrap(), 2, "it was run twice, as it allows");
        assert_eq!(client.push().unwrap(), 3);
    });
}

fn reading() {
    with_connections(FIRST_ANSWER_LOST, |client, _| assert_eq!(client.count().unwrap(), 0));
}

fn neither() {
    with_connections(FIRST_ANSWER_LOST, |client, _| {
        let error = client.pass().unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
        assert_eq!(client.count().unwrap(), 1, "it was run once");
        assert_eq!(client.pass().unwrap(), 2);
    });
}

fn unsent() {
    with_connections(&[ConnectionFate::IsLostWhileIdle, ConnectionFate::Lives], |client, relay| {
        relay.wait_for_loss();
        assert_eq!(client.pass().unwrap(), 1);
    });
}

fn once() {
    with_connections(&[ConnectionFate::IsLostBeforeTheFirstAnswer], |client, _| {
        let error = client.push().unwrap_err();
        assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    });
}

fn own_deadline() {
    with_connections(&[ConnectionFate::Lives], |client, _| {
        let error = client.queue().unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        RELEASE.get().unwrap().notify();
        assert_eq!(
            client.count().unwrap(),
            1,
            "it was run once, though it is idempotent: in time is what counts"
        );
    });
}

/// Without that, the call would last as long as the limit `call_deadline`, five minutes.
fn opening() {
    with_connections(NOT_TAKEN_UP, |client, relay| {
        relay.wait_for_loss();
        let error = client.queue().unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        assert_eq!(client.count().unwrap(), 0, "it was not run, and the next call has a new connection");
    });
}

/// A second connection would not be taken up.
fn same_connection() {
    with_connections(&[ConnectionFate::Lives, ConnectionFate::IsNotTakenUp], |client, _| {
        for late in 1..=3 {
            let error = client.queue().unwrap_err();
            assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
            RELEASE.get().unwrap().notify();
            assert_eq!(client.count().unwrap(), late, "the late answer is not taken for this one");
        }
    });
}

//! What runs around each call of a server.

use std::cell::RefCell;
use std::rc::Rc;

use mikobase::Peer;
use mikobase::prelude::*;

use crate::harness::Case;
use crate::support::{Running, uds};
use crate::turnstile::turnstile_rpc::TurnstileClient;
use crate::turnstile::{Counting, Turnstile, turnstile};

pub const CASES: &[Case] = &[
    ("it_sees_each_call_once_with_its_worker_and_how_it_went", sees_each_call),
    ("its_refusal_is_the_error_of_the_method_and_the_call_is_not_run", refuses),
    ("its_panic_fails_the_call_and_the_server_goes_on", panics),
    ("it_may_call_another_server", calls_another_server),
    ("calls_of_one_commit_are_seen_one_by_one", in_a_commit_batch),
];

fn sees_each_call() {
    let seen = Rc::new(RefCell::new(Vec::<String>::new()));
    let written = Rc::clone(&seen);
    let uds = uds().around(move |call, next| {
        let served = next.run();
        let Peer { worker, pid, .. } = call.peer;
        assert!(*pid > 0 && !call.deadline.is_zero());
        written.borrow_mut().push(format!("{} by {worker:?}: {served:?}", call.method.name));
        // The record of what was seen is read through the shared object: there is no other way out.
        if call.method.name == "jam" {
            return Err(Error::new(ErrorId::CONFLICT, written.borrow().join("; ")));
        }
        served
    });
    let work = |turnstile: &TurnstileClient, _: &Worker| Ok(turnstile.pass()?);
    let mut share =
        uds.spawn_share::<dyn Turnstile, _>(2, || Ok(Box::new(Counting::default())), work).unwrap();
    share.wait().unwrap();
    let seen = share.db().unwrap().jam().unwrap_err().items()[0].message().to_owned();
    let mut lines: Vec<_> = seen.split("; ").collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "jam by None: Ok(Failed(Some(ErrorId(\"conflict\"))))",
            "pass by Some(0): Ok(Succeeded)",
            "pass by Some(1): Ok(Succeeded)",
        ]
    );
    share.join().unwrap().all_succeeded().unwrap();
}

fn refuses() {
    let uds = uds().around(|call, next| match call.method.read {
        Some(true) => next.run(),
        _ => Err(Error::new(ErrorId::UNAUTHORIZED, "only reading is allowed")),
    });
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    let class = json!({"classes": {"a.b/c": {"fields": {}}}});
    let error = db.import_schema(class).unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: only reading is allowed");
    assert_eq!(db.by_class("a.b/c").unwrap().iter().count(), 0);
    share.join().unwrap();
}

fn panics() {
    let uds = uds().around(|call, next| {
        assert!(call.method.name != "jam", "a hook that fails");
        next.run()
    });
    let share =
        uds.spawn_share::<dyn Turnstile, ()>(0, || Ok(Box::new(Counting::default())), |_, _| Ok(())).unwrap();
    let turnstile = share.db().unwrap();
    let error = turnstile.jam().unwrap_err();
    assert!(error.is(ErrorId::INTERNAL) && error.to_string().contains("a hook that fails"), "{error}");
    assert_eq!(turnstile.pass().unwrap(), 1);
    share.join().unwrap();
}

fn calls_another_server() {
    let gate_uds = uds();
    let gate = turnstile(&gate_uds);
    let (path, token) = (gate.path().to_owned(), gate.token().clone());
    let uds = uds().around(move |_, next| {
        TurnstileClient::connect(&path, &token)?.pass()?;
        next.run()
    });
    let share = turnstile(&uds);
    let behind_the_gate = share.db().unwrap();
    assert_eq!(behind_the_gate.count().unwrap(), 0);
    assert_eq!(behind_the_gate.pass().unwrap(), 1);
    assert_eq!(gate.db().unwrap().count().unwrap(), 2, "one for each call");
    share.join().unwrap();
    gate.join().unwrap();
}

fn in_a_commit_batch() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Rc::new(RefCell::new(0));
    let uds = uds().around(move |call, next| {
        *seen.borrow_mut() += 1;
        match &*call.method.name {
            "properties" => Err(Error::new(ErrorId::CONFLICT, seen.borrow().to_string())),
            _ => next.run(),
        }
    });
    let path = directory.path().join("seen.sqlite");
    let uds = uds.backend(&path.display().to_string()).unwrap();
    let mut share: Running<'_, ()> = uds
        .spawn(4, |db, _| {
            for n in 0..50 {
                crate::support::create(db, n)?;
            }
            Ok(())
        })
        .unwrap();
    share.wait().unwrap();
    let error = share.db().unwrap().properties().unwrap_err();
    assert_eq!(error.items()[0].message(), "201");
    share.join().unwrap().all_succeeded().unwrap();
}

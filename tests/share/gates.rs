//! Ordinary methods that wait at a gate.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;

use mikobase::prelude::*;
use mikobase::rpc::Served;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::harness::Case;
use crate::ledger::ledger_rpc::{LedgerAsync, LedgerAsyncClient, LedgerClient};
use crate::ledger::{Book, Hold, Ledger, ledger};
use crate::office::eventually;
use crate::support::{Event, proxy, uds, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_call_waits_for_an_object_that_is_alone_and_is_then_run_once", waits),
    ("calls_and_threads_of_the_server_are_served_in_one_order", in_order),
    ("a_call_that_waits_too_long_is_an_error_and_changes_nothing", too_long),
    ("a_call_at_a_gate_has_the_deadline_of_its_method", deadline),
    ("a_panic_inside_a_gate_leaves_it", panics),
    ("a_killed_worker_leaves_the_gate_and_the_queue", killed),
    ("around_sees_a_call_that_waits_once", around),
    ("calls_that_wait_are_bounded_in_number_and_bytes", bounded),
];

const LONG: u64 = 3_600_000;

/// Runs `test` with two clients of a ledger.
fn with_ledger(test: impl FnOnce(&LedgerClient, &LedgerClient)) {
    let uds = uds();
    let share = ledger(&uds);
    let [one, other] = [(); 2].map(|()| proxy(&share));
    test(&one, &other);
    share.join().unwrap();
}

fn waits() {
    with_ledger(|one, other| {
        let held = one.hold().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| other.write("after", LONG));
            eventually(|| one.waiting().unwrap(), &1);
            held.write("inside").unwrap();
            drop(held);
            waiting.join().unwrap().unwrap();
        });
        assert_eq!(one.entries().unwrap(), (vec!["inside".to_owned(), "after".to_owned()], 2));
        one.write("free", 0).unwrap();
    });
}

fn in_order() {
    let uds = uds();
    let share = ledger(&uds);
    let blocking = proxy(&share);
    let held = blocking.hold().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    LocalSet::new().block_on(&runtime, async {
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(LedgerAsyncClient::connect(share.path(), share.token()).await.unwrap());
        }
        let mut calls = Vec::new();
        for (number, entry) in expected.iter().enumerate() {
            let client = &clients[number % clients.len()];
            if number % 2 == 0 {
                calls.push(spawn_local(client.write(entry, LONG)));
            } else {
                client.write_by_thread(entry).await.unwrap();
            }
            while client.waiting().await.unwrap() <= number {
                yield_now().await;
            }
        }
        drop(held);
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
    eventually(|| blocking.entries().unwrap(), &(expected, 200));
    share.join().unwrap();
}

fn too_long() {
    with_ledger(|one, other| {
        let held = one.hold().unwrap();
        for limit in [0, 20] {
            let error = other.write("late", limit).unwrap_err();
            assert!(error.is(ErrorId::LOCK_TIMEOUT), "{error}");
        }
        drop(held);
        assert_eq!(one.entries().unwrap(), (Vec::new(), 4), "each was attempted twice");
        other.write("in time", 0).unwrap();
        assert_eq!(one.waiting().unwrap(), 0);
    });
}

fn deadline() {
    with_ledger(|one, other| {
        let held = one.hold().unwrap();
        let error = other.write_shared("late").unwrap_err();
        assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
        eventually(|| one.waiting().unwrap(), &0);
        drop(held);
        other.write_shared("in time").unwrap();
        assert_eq!(one.entries().unwrap().0, ["in time"]);
    });
}

fn panics() {
    with_ledger(|one, other| {
        assert!(one.fail().unwrap_err().is(ErrorId::INTERNAL));
        let held = one.hold().unwrap();
        thread::scope(|scope| {
            let failing = scope.spawn(|| other.fail());
            eventually(|| one.waiting().unwrap(), &1);
            drop(held);
            assert!(failing.join().unwrap().unwrap_err().is(ErrorId::INTERNAL));
        });
        one.write("it goes on", 0).unwrap();
    });
}

fn killed() {
    let uds = uds();
    let holds = Event::new();
    let work = |ledger: &LedgerClient, worker: &Worker| -> std::result::Result<(), BoxError> {
        if worker.index() == 0 {
            let _held = ledger.hold()?;
            holds.notify();
            wait_for_ever()
        }
        holds.wait();
        holds.notify();
        ledger.write(&worker.index().to_string(), LONG)?;
        Ok(())
    };
    let share = uds.spawn_share::<dyn Ledger, ()>(3, || Ok(Box::new(Book::default())), work).unwrap();
    let ledger = proxy(&share);
    eventually(|| ledger.waiting().unwrap(), &2);
    let pid = |index| {
        let (_, pid) = share.workers().into_iter().find(|(worker, _)| *worker == index).unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap())
    };
    kill(pid(1), Signal::SIGKILL).unwrap();
    eventually(|| ledger.waiting().unwrap(), &1);
    kill(pid(0), Signal::SIGKILL).unwrap();
    eventually(|| ledger.entries().unwrap().0, &vec!["2".to_owned()]);
    ledger.write("next", 0).unwrap();
    drop(ledger);
    share.join().unwrap();
}

fn around() {
    let seen = Rc::new(RefCell::new(Vec::<String>::new()));
    let uds = uds().around(move |call, next| {
        let served = next.run();
        seen.borrow_mut().push(format!("{}: {served:?}", call.method.name));
        if call.method.name == "fail" {
            return Err(Error::new(ErrorId::CONFLICT, seen.borrow().join("; ")));
        }
        // What it says of a call that has run does not change what becomes of it.
        served.map(|_| Served::Succeeded)
    });
    let share = ledger(&uds);
    let [one, other] = [(); 2].map(|()| proxy(&share));
    let held = one.hold().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| other.write("after", LONG));
        // The object is dropped by its own connection, so no call is needed that the hook would see.
        while one.waiting().unwrap() == 0 {}
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    let error = one.fail().unwrap_err().to_string();
    assert_eq!(error.matches("write: Ok(Pending)").count(), 1, "{error}");
    assert_eq!(error.matches("write:").count(), 1, "{error}");
    share.join().unwrap();
}

fn bounded() {
    let mut limits = mikobase::Limits::default();
    limits.frame_size = 1 << 20;
    limits.calls_in_flight = 10;
    let uds = uds().limits(limits);
    let share = ledger(&uds);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // So many calls of this size may wait, of as many connections.
    let cases = [(10, 1, 1), (2, 200_000, 1), (5, 200_000, 3), (1, 1_000_000, 3)];
    LocalSet::new().block_on(&runtime, async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(LedgerAsyncClient::connect(share.path(), share.token()).await.unwrap());
        }
        let (holder, clients) = clients.split_first().unwrap();
        for (allowed, size, connections) in cases {
            let held = holder.hold().await.unwrap();
            let entry = "x".repeat(size);
            let mut calls = Vec::new();
            for number in 0..allowed {
                calls.push(spawn_local(clients[number % connections].write(&entry, LONG)));
                while holder.waiting().await.unwrap() <= number {
                    yield_now().await;
                }
            }
            for client in &clients[..connections] {
                let error = client.write(&entry, LONG).await.unwrap_err();
                assert!(error.is(ErrorId::STORAGE_FULL), "{error}");
            }
            drop(held);
            for call in calls {
                call.await.unwrap().unwrap();
            }
            clients[0].write(&entry, 0).await.unwrap();
        }
    });
    share.join().unwrap();
}

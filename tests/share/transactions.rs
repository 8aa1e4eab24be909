//! Transactions of workers: they take turns, and what dies is rolled back.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Limits, Remote, Results, Token};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use serde_json::Value;

use crate::harness::{Case, is_long};
use crate::random::Random;
use crate::support::{Event, over_http, proxy, uds, wait_for_ever};

pub const CASES: &[Case] = &[
    ("workers_that_transfer_between_accounts_keep_the_sum", transfers),
    ("a_worker_that_dies_in_a_transaction_leaves_nothing_of_it", death),
    ("a_kill_at_any_moment_leaves_whole_transactions", kills),
    ("a_panicking_block_is_rolled_back_and_the_next_worker_goes_on", panic),
    ("a_transaction_stays_usable_after_its_first_call_has_timed_out", first_call_times_out),
    ("an_idle_transaction_ends_when_another_worker_waits", idle),
    ("a_writer_waits_for_its_turn_at_most_for_the_limit", lock_timeout),
    ("a_write_past_the_own_transaction_is_refused_at_once", past),
    ("only_the_end_of_the_outermost_transaction_ends_the_refusal_of_writes", turn_kept),
    ("a_write_is_accepted_while_the_own_transaction_has_no_turn", no_turn),
    ("a_call_of_another_transaction_in_the_block_is_refused_at_once", another_transaction),
    ("an_id_belongs_to_the_connection_that_began_the_transaction", ids),
    ("a_transaction_that_is_open_at_the_end_is_not_in_the_final_state", at_the_end),
    ("an_async_client_has_transactions", asynchronous),
    ("two_calls_of_a_transaction_wait_for_one_turn", two_calls),
];

/// Each kind of engine, in memory and in a file.
const BACKENDS: [&str; 4] = ["memory", "temporal", "db", "json"];

/// Runs `test` with a share on each engine, with two accounts.
fn on_each_engine(mut test: impl FnMut(Uds)) {
    for backend in BACKENDS {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            "memory" => "mikobase.uno/sqlite/memory".to_owned(),
            "temporal" => "mikobase.uno/sqlite/memory?temporal=true".to_owned(),
            extension => folder.path().join(format!("bank.{extension}")).to_str().unwrap().to_owned(),
        };
        let uds = uds().backend(&url).unwrap();
        test(uds.setup(|server| {
            for pk in ["one", "other"] {
                let account = json!({"balance": 1000});
                let create =
                    json!({"action": "create", "class": "bank.com/account", "pk": pk, "bucket": account});
                server.db().q0(create)?;
            }
            Ok(())
        }));
    }
}

fn transfer(db: &(impl Mikobase + ?Sized), by: i64) -> mikobase::Result<()> {
    db.transaction(|tx| {
        let balance = |pk: &str| Ok::<_, Error>(tx.hot(pk).get(["balance"])?.and_then(|n| n.as_i64()));
        let (from, to) = (balance("one")?.unwrap(), balance("other")?.unwrap());
        tx.update("one", &json!({"balance": from - by}))?;
        tx.update("other", &json!({"balance": to + by}))?;
        tx.commit()
    })
}

/// The balances, as one read sees them.
fn balances(db: &(impl Mikobase + ?Sized)) -> mikobase::Result<Vec<i64>> {
    let accounts = db.records_by_pks(vec!["one".to_owned(), "other".to_owned()])?;
    let balance =
        |record: &mikobase::Record| record.bucket.get("balance").unwrap().unwrap().as_i64().unwrap();
    Ok(accounts.iter().flatten().map(balance).collect())
}

fn transfers() {
    on_each_engine(|uds| {
        let report = uds.mikobase(6, |db, worker| {
            let by = i64::try_from(worker.index()).unwrap() - 2;
            for _ in 0..10 {
                transfer(db, by)?;
                assert_eq!(balances(db)?.iter().sum::<i64>(), 2000);
                let selected = db.select(json!({"class": "bank.com/account"}))?;
                assert_eq!(selected.count(), 2);
            }
            Ok(())
        });
        let report = report.unwrap();
        let state: Value = report.worldlet().to_value().unwrap();
        report.all_succeeded().unwrap();
        // 10 times the sum of -2 to 3.
        assert!(state.to_string().contains(r#"{"balance":970}"#), "{state}");
        assert!(state.to_string().contains(r#"{"balance":1030}"#), "{state}");
    });
}

fn death() {
    on_each_engine(|uds| {
        let written = Event::new();
        let share = uds
            .spawn(1, |db, _| {
                let tx = db.begin()?;
                tx.update("one", &json!({"balance": 0}))?;
                tx.create("bank.com/account", &json!({"balance": 1}))?;
                written.notify();
                wait_for_ever();
                #[expect(unreachable_code, reason = "the type of the block")]
                Ok(())
            })
            .unwrap();
        written.wait();
        let db = share.db().unwrap();
        assert_eq!(balances(db).unwrap(), [1000, 1000], "nothing of it is seen");
        let before = db.count(json!({})).unwrap();
        share.kill(Signal::SIGKILL as i32).unwrap();
        // It is the turn of the next one as soon as the death is known.
        transfer(db, 1).unwrap();
        assert_eq!(balances(db).unwrap(), [999, 1001]);
        assert_eq!(db.count(json!({})).unwrap(), before);
        share.join().unwrap();
    });
}

fn kills() {
    let rounds = if is_long() { 500 } else { 20 };
    let mut random = Random::new(1701);
    on_each_engine(|uds| {
        let uds = uds.lock_timeout(Duration::from_secs(30));
        let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
        let db = proxy(&share);
        for round in 0..rounds {
            let workers: Vec<Pid> = (0..2).map(|_| worker(share.path(), share.token())).collect();
            for worker in workers {
                let until = Instant::now() + Duration::from_micros(random.below(6000) as u64);
                while Instant::now() < until {
                    assert_eq!(balances(&db).unwrap().iter().sum::<i64>(), 2000, "round {round}");
                }
                kill(worker, Signal::SIGKILL).unwrap();
                waitpid(worker, None).unwrap();
            }
            let begun = Instant::now();
            transfer(&db, 0).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10), "the turn in round {round}");
        }
        drop(db);
        share.join().unwrap();
    });
}

/// Forks a process that transfers until it is killed.
fn worker(path: &Path, token: &Token) -> Pid {
    // SAFETY: the process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            if let Ok(db) = MikobaseClient::connect(path, token) {
                while transfer(&db, 7).is_ok() {}
            }
            std::process::exit(0);
        }
    }
}

fn panic() {
    on_each_engine(|uds| {
        let report = uds.mikobase(2, |db, worker| {
            if worker.index() == 0 {
                db.transaction::<()>(|tx| {
                    tx.update("one", &json!({"balance": 0}))?;
                    tx.transaction(|inner| {
                        inner.update("other", &json!({"balance": 0}))?;
                        panic!("in the block")
                    })
                })?;
            }
            transfer(db, 1)?;
            Ok(())
        });
        let report = report.unwrap();
        assert_eq!(report.workers().iter().filter(|worker| worker.returned().is_ok()).count(), 1);
        let state = report.worldlet().to_string();
        assert!(state.contains(r#"{"balance":999}"#) && state.contains(r#"{"balance":1001}"#), "{state}");
    });
}

/// Runs `test` with two clients of a share.
fn with_clients(uds: Uds, test: impl FnOnce(MikobaseClient, MikobaseClient)) {
    let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
    let connect = || proxy(&share);
    test(connect(), connect());
    share.join().unwrap();
}

fn idle() {
    on_each_engine(|uds| {
        // The transaction of the other one must not be idle for as long, on a machine that is busy.
        let limit = Duration::from_millis(if over_http() { 300 } else { 30 });
        with_clients(uds.transaction_idle(limit), |one, other| {
            let tx = one.begin().unwrap();
            tx.update("one", &json!({"balance": 0})).unwrap();
            // The other one waits until the limit, and no longer.
            let begun = Instant::now();
            transfer(&other, 1).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10));
            let error = tx.update("one", &json!({"balance": 0})).unwrap_err();
            assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{error}");
            assert_eq!(balances(&one).unwrap(), [999, 1001]);
        });
    });
}

fn lock_timeout() {
    on_each_engine(|uds| {
        with_clients(uds.lock_timeout(Duration::from_millis(10)), |one, other| {
            let tx = one.begin().unwrap();
            tx.update("one", &json!({"balance": 0})).unwrap();
            let error = other.update("other", &json!({})).unwrap_err();
            assert!(error.is(ErrorId::LOCK_TIMEOUT), "{error}");
            let error = transfer(&other, 1).unwrap_err();
            assert!(error.is(ErrorId::LOCK_TIMEOUT), "{error}");
            tx.commit().unwrap();
            assert_eq!(balances(&other).unwrap(), [0, 1000]);
        });
    });
}

fn past() {
    on_each_engine(|uds| {
        with_clients(uds, |one, other| {
            let update = || json!({"action": "update", "pk": "one", "bucket": {}});
            one.transaction(|tx| {
                tx.update("one", &json!({"balance": 0}))?;
                for db in [&one, &other] {
                    let refused = [
                        db.q0(update()).err(),
                        db.batch(vec![json!({"action": "select"}), update()], false).err(),
                        db.begin().err(),
                        db.collect_files().err(),
                        db.transaction(|second| second.commit()).err(),
                    ];
                    for error in refused {
                        let error = error.unwrap();
                        assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
                    }
                    assert_eq!(balances(db)?, [1000, 1000]);
                    assert_eq!(db.count(json!({"class": "bank.com/account"}))?, 2);
                    db.batch(vec![json!({"action": "select"})], true)?;
                }
                // Another thread waits like any other caller.
                thread::scope(|scope| {
                    let waits = scope.spawn(|| one.q0(update()));
                    tx.update("other", &json!({"balance": 0}))?;
                    tx.commit()?;
                    waits.join().unwrap().map(drop)
                })
            })
            .unwrap();
            one.update("one", &json!({"balance": 5})).unwrap();
            assert_eq!(balances(&one).unwrap(), [5, 0]);
        });
    });
}

/// What is called in a block, with its transaction.
type InBlock = fn(&MikobaseClient, &Remote<dyn Transaction>) -> mikobase::Result<()>;

fn create(db: &(impl Mikobase + ?Sized)) -> mikobase::Result<()> {
    db.create("bank.com/account", &json!({})).map(drop)
}

fn is_refused(result: mikobase::Result<()>) {
    let error = result.unwrap_err();
    assert!(error.is(ErrorId::TRANSACTION_OPEN), "{error}");
}

/// Calls that leave the transaction of the block its turn.
const KEEP_THE_TURN: &[InBlock] = &[
    |_, tx| create(tx),
    |_, tx| tx.q0(json!({"action": "update", "pk": "no such", "bucket": {}})).map(drop).or(Ok(())),
    |_, tx| {
        let inner = tx.begin()?;
        create(&inner)?;
        inner.commit()
    },
    |_, tx| {
        create(tx)?;
        let inner = tx.begin()?;
        create(&inner)?;
        inner.roll_back()
    },
    |db, tx| {
        tx.transaction(|inner| {
            let innermost = inner.begin()?;
            create(&innermost)?;
            innermost.commit()?;
            is_refused(create(db));
            inner.commit()?;
            is_refused(create(db));
            Ok(())
        })
    },
];

fn turn_kept() {
    with_clients(uds(), |db, _| {
        for (case, calls) in KEEP_THE_TURN.iter().enumerate() {
            let before = db.count(json!({})).unwrap();
            let counted = db.transaction(|tx| {
                calls(&db, tx)?;
                is_refused(create(&db));
                let counted = tx.count(json!({}))?;
                tx.commit()?;
                create(&db)?;
                Ok(counted)
            });
            let counted = counted.unwrap_or_else(|error| panic!("case {case}: {error}"));
            assert!(counted >= before, "case {case}");
            assert_eq!(db.count(json!({})).unwrap(), counted + 1, "case {case}");
        }
    });
}

/// Calls after which the transaction of the block has no turn to write.
const TAKE_NO_TURN: &[InBlock] = &[
    |_, _| Ok(()),
    |_, tx| tx.begin().map(drop),
    |_, tx| tx.validate(json!({"action": "select"})).map(drop),
    |_, tx| {
        // They are refused in a transaction.
        assert!(tx.merge(json!({})).is_err());
        assert!(tx.write_file("text/plain").is_err());
        assert!(tx.delete_file("file").is_err());
        assert!(tx.collect_files().is_err());
        assert!(tx.import(false).is_err());
        assert!(tx.watch_select(json!({"class": "bank.com/account"})).is_err());
        Ok(())
    },
    |_, tx| {
        create(tx)?;
        tx.transaction(|inner| {
            create(inner)?;
            tx.commit()
        })
    },
    |_, tx| {
        let inner = tx.begin()?;
        create(&inner)?;
        tx.roll_back()
    },
];

fn no_turn() {
    with_clients(uds().lock_timeout(Duration::from_millis(10)), |db, other| {
        for (case, calls) in TAKE_NO_TURN.iter().enumerate() {
            let written = db.transaction(|tx| {
                calls(&db, tx)?;
                create(&db)
            });
            written.unwrap_or_else(|error| panic!("case {case}: {error}"));
        }
        // Another client has the turn.
        let open = other.begin().unwrap();
        create(&open).unwrap();
        db.transaction(|tx| {
            let error = create(tx).unwrap_err();
            assert!(error.is(ErrorId::LOCK_TIMEOUT), "{error}");
            open.commit()?;
            create(&db)
        })
        .unwrap();
    });
}

fn another_transaction() {
    with_clients(uds(), |db, _| {
        let second = db.begin().unwrap();
        let nested = second.begin().unwrap();
        db.transaction(|tx| {
            let third = db.begin()?;
            create(tx)?;
            for other in [&second, &nested, &third] {
                is_refused(create(other));
                is_refused(other.record_by_pk("one").map(drop));
                other.validate(json!({"action": "select"}))?;
                other.commit()?;
                is_refused(create(&db));
            }
            tx.commit()?;
            create(&third)?;
            third.commit()
        })
        .unwrap();
        create(&nested).unwrap();
        second.commit().unwrap();
        assert_eq!(db.count(json!({})).unwrap(), 3);
    });
}

fn ids() {
    on_each_engine(|uds| {
        with_clients(uds, |one, other| {
            let Results::Transaction { transaction: id } =
                one.q0(json!({"action": "transaction"})).unwrap().results
            else {
                panic!("a transaction has an id")
            };
            let update =
                json!({"action": "update", "pk": "one", "bucket": {"balance": 0}, "transaction": id});
            let error = other.q0(update.clone()).unwrap_err();
            assert!(error.is(ErrorId::TRANSACTION_NOT_FOUND), "{error}");
            one.q0(update).unwrap();
            assert_eq!(balances(&one).unwrap(), [1000, 1000]);
            // It ends with its connection, and the next one has its turn.
            drop(one);
            transfer(&other, 1).unwrap();
            assert_eq!(balances(&other).unwrap(), [999, 1001]);
        });
    });
}

fn at_the_end() {
    on_each_engine(|uds| {
        let report = uds.mikobase(1, |db, _| {
            let tx: Remote<dyn Transaction> = db.begin()?;
            tx.update("one", &json!({"balance": 0}))?;
            db.q0(json!({"action": "transaction"}))?;
            std::mem::forget(tx);
            Ok(())
        });
        let report = report.unwrap();
        let state = report.worldlet().to_string();
        assert!(!state.contains(r#"{"balance":0}"#), "{state}");
        report.all_succeeded().unwrap();
    });
}

fn asynchronous() {
    let uds = uds();
    let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = MikobaseAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let tx = Remote::asynchronous(&db.begin().await.unwrap()).unwrap();
        let create = json!({"action": "create", "class": "bank.com/account", "bucket": {}});
        tx.q0(create).await.unwrap();
        assert_eq!(db.by_class("bank.com/account").await.unwrap().count(), 0);
        mikobase::TransactionAsync::commit(&tx).await.unwrap();
        assert_eq!(db.by_class("bank.com/account").await.unwrap().count(), 1);
    });
    drop(runtime);
    share.join().unwrap();
}

fn two_calls() {
    on_each_engine(|uds| {
        let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connect = || MikobaseAsyncClient::connect(share.path(), share.token());
            let (db, other) = (connect().await.unwrap(), connect().await.unwrap());
            let first = Remote::asynchronous(&other.begin().await.unwrap()).unwrap();
            let create = || json!({"action": "create", "class": "bank.com/account", "bucket": {}});
            first.q0(create()).await.unwrap();
            let tx = Remote::asynchronous(&db.begin().await.unwrap()).unwrap();
            let commit_first = async {
                // The calls before it on this connection have been taken up then, and wait.
                db.record_by_pk("one").await.unwrap();
                mikobase::TransactionAsync::commit(&first).await.unwrap();
            };
            let (one, two, ()) = tokio::join!(tx.q0(create()), tx.q0(create()), commit_first);
            assert_ne!(one.unwrap().into_pk().unwrap(), two.unwrap().into_pk().unwrap());
            assert_eq!(tx.by_class("bank.com/account").await.unwrap().count(), 5);
            mikobase::TransactionAsync::commit(&tx).await.unwrap();
            assert_eq!(db.by_class("bank.com/account").await.unwrap().count(), 5);
        });
        drop(runtime);
        share.join().unwrap();
    });
}

fn first_call_times_out() {
    // Both deadlines, of `begin` and of the first call, pass at once.
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(700);
    let share = uds().limits(limits).spawn(0, |_, _| Ok(())).unwrap();
    // The proxy of the share has the deadline of the share, the other one that of all calls.
    let (one, other) = (proxy(&share), share.db().unwrap());
    let tx = one.begin().unwrap();
    tx.create("test.org/item", &json!({"n": 1})).unwrap();
    let waiting = other.begin().unwrap();
    let error = waiting.create("test.org/item", &json!({"n": 2})).unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    tx.commit().unwrap();
    waiting.create("test.org/item", &json!({"n": 3})).unwrap();
    waiting.commit().unwrap();
    assert_eq!(one.count(json!({})).unwrap(), 2);
    drop((tx, waiting, one, other));
    share.join().unwrap();
}

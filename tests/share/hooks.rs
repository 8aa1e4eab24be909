//! Hooks in the server process of a share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use mikobase::prelude::*;
use mikobase::{HookResult, PendingSave, Token};
use serde_json::Value;

use crate::harness::Case;
use crate::support::uds;

pub const CASES: &[Case] = &[
    ("the_hooks_of_the_builder_and_of_setup_run_for_all_workers", builder_and_setup),
    ("a_hook_that_panics_refuses_and_the_server_goes_on", panics),
    ("a_veto_rolls_back_the_transaction_of_a_worker", transactions),
    ("a_hook_that_calls_its_own_share_is_refused", self_calls),
    ("a_target_that_is_invalid_fails_the_share", invalid_target),
];

/// A share in memory, and one whose calls are committed in groups.
fn on_each_engine(test: impl Fn(Uds)) {
    let folder = tempfile::tempdir().unwrap();
    for url in ["mikobase.uno/sqlite/memory", folder.path().join("ships.db").to_str().unwrap()] {
        test(uds().backend(url).unwrap());
    }
}

/// Gives each ship a number: hooks run one after another.
fn numbers() -> impl Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static {
    let ships = AtomicI64::new(0);
    move |save| {
        if save.is_amendable() && save.before().is_none() {
            save.set("number", ships.fetch_add(1, Ordering::Relaxed) + 1)?;
        }
        Ok(())
    }
}

fn refuse_klingons(save: &mut PendingSave<'_>) -> HookResult {
    match save.get("fleet") {
        Some(fleet) if fleet == "Klingon" => Err("no Klingon ships here".into()),
        _ => Ok(()),
    }
}

fn builder_and_setup() {
    on_each_engine(|uds| {
        let old = json!({"records": {"old": {"bucket": {"fleet": "Klingon"}, "class": "a.b/ship"}}});
        let uds = uds.worldlet(old.to_string()).before_save("a.b/ship", numbers()).setup(|server| {
            server.db().create("a.b/ship", &json!({"fleet": "Klingon"}))?;
            server.before_save("a.b/ship", refuse_klingons)?;
            server.before_save("a.b/ship", |save| {
                let doubled = save.get("number").and_then(Value::as_i64).unwrap_or_default() * 2;
                save.set("doubled", doubled)?;
                Ok(())
            })?;
            let refused = server.db().create("a.b/ship", &json!({"fleet": "Klingon"})).unwrap_err();
            assert!(refused.is(ErrorId::SAVE_REJECTED));
            Ok(())
        });
        let report = uds.mikobase(4, |db, _| {
            for _ in 0..10 {
                db.create("a.b/ship", &json!({"fleet": "Federation"}))?;
                let refused = db.create("a.b/ship", &json!({"fleet": "Klingon"})).unwrap_err();
                let item = &refused.items()[0];
                assert_eq!(item.id, ErrorId::SAVE_REJECTED);
                assert!(item.details["hook"].as_str().unwrap().ends_with("refuse_klingons"), "{refused}");
                assert_eq!(item.message(), "no Klingon ships here");
                // It is tested as well: the old ship stays what it is.
                assert!(db.patch("old", &json!({"n": 1})).unwrap_err().is(ErrorId::SAVE_REJECTED));
            }
            Ok(())
        });
        let report = report.unwrap();
        let state = report.worldlet().to_value().unwrap();
        report.all_succeeded().unwrap();
        let ships: Vec<&Value> =
            state["records"].as_object().unwrap().values().map(|record| &record["bucket"]).collect();
        assert_eq!(ships.len(), 42);
        let of_federation = ships.iter().filter(|ship| ship["fleet"] == "Federation");
        let mut numbers: Vec<i64> = of_federation
            .map(|ship| {
                assert_eq!(ship["doubled"].as_i64(), ship["number"].as_i64().map(|number| 2 * number));
                ship["number"].as_i64().unwrap()
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        // Those that were refused have taken numbers as well: 2 in `setup`, then 2 in each round.
        assert_eq!(numbers.len(), 40);
        assert!(numbers.iter().all(|number| (3..=82).contains(number)), "{numbers:?}");
        assert!(ships.iter().all(|ship| ship["fleet"] == "Federation" || ship.get("doubled").is_none()));
    });
}

fn panics() {
    on_each_engine(|uds| {
        let uds = uds.before_save("a.b/ship", |save| {
            let crew = save.get("crew").and_then(Value::as_i64).expect("a ship has a crew");
            save.set("boats", crew / 10)?;
            Ok(())
        });
        let report = uds.mikobase(3, |db, _| {
            for n in 1..=10 {
                let refused = db.create("a.b/ship", &json!({})).unwrap_err();
                assert!(refused.is(ErrorId::SAVE_REJECTED), "{refused}");
                assert!(refused.to_string().contains("the hook panicked: a ship has a crew"), "{refused}");
                let pk = db.create("a.b/ship", &json!({"crew": 10 * n}))?;
                assert_eq!(db.hot(&pk).get(["boats"])?, Some(json!(n)));
            }
            Ok(())
        });
        let report = report.unwrap();
        let state = report.worldlet().to_value().unwrap();
        report.all_succeeded().unwrap();
        assert_eq!(state["records"].as_object().unwrap().len(), 30);
    });
}

fn transactions() {
    on_each_engine(|uds| {
        let uds = uds.before_save("bank.com/account", |save| {
            let balance = save.get("balance").and_then(Value::as_i64).unwrap_or_default();
            if balance < 0 { Err("an account is not overdrawn".into()) } else { Ok(()) }
        });
        let uds = uds.setup(|server| {
            for pk in ["one", "other"] {
                let bucket = json!({"balance": 10});
                let create =
                    json!({"action": "create", "pk": pk, "class": "bank.com/account", "bucket": bucket});
                server.db().q0(create)?;
            }
            Ok(())
        });
        let report = uds.mikobase(4, |db, worker| {
            let (from, to) = if worker.index() % 2 == 0 { ("one", "other") } else { ("other", "one") };
            for _ in 0..10 {
                let transferred = db.transaction(|tx| {
                    tx.increment(to, ["balance"], 7)?;
                    let taken = tx.increment(from, ["balance"], -7);
                    if taken.is_err() {
                        // Nothing of it is left, whatever the block does with the error.
                        assert!(tx.commit().unwrap_err().is(ErrorId::TRANSACTION_INVALIDATED));
                    }
                    taken?;
                    tx.commit()
                });
                assert!(transferred.is_ok() || transferred.unwrap_err().is(ErrorId::SAVE_REJECTED));
                let balances = db.select(json!({"class": "bank.com/account"}))?;
                let balances = balances.iter().map(|account| account.bucket.get("balance").unwrap().unwrap());
                assert_eq!(balances.map(|balance| balance.as_i64().unwrap()).sum::<i64>(), 20);
            }
            Ok(())
        });
        report.unwrap().all_succeeded().unwrap();
    });
}

fn self_calls() {
    let uds = uds();
    let (path, token): (PathBuf, Token) = (uds.path().to_owned(), uds.token().clone());
    let uds = uds.before_save("a.b/ship", move |save| {
        let refused = MikobaseClient::connect(&path, &token).and_then(|db| db.create("a.b/log", &json!({})));
        let refused = refused.unwrap_err();
        save.set("refused", refused.id().as_str())?;
        let refused = save.db().create("a.b/log", &json!({})).unwrap_err();
        save.set("also", refused.id().as_str())?;
        Ok(())
    });
    let report = uds.mikobase(1, |db, _| {
        let pk = db.create("a.b/ship", &json!({}))?;
        let ship = db.record_by_pk(&pk)?.unwrap();
        assert_eq!(ship.bucket.as_str(), r#"{"refused":"self-call","also":"self-call"}"#);
        assert_eq!(db.count(json!({}))?, 1);
        Ok(())
    });
    report.unwrap().all_succeeded().unwrap();
}

fn invalid_target() {
    let uds = uds().before_save(json!({"class": "ship", "limit": 1}), |_| Ok(()));
    let failed = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
    let message = failed.to_string();
    assert!(message.contains("/class") && message.contains("limit"), "{message}");
}

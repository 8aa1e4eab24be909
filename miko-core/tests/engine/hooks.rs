//! Hooks: what they see, amend and refuse, and what they may call. `hooks_on_paths.rs` has the paths of
//! writing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use miko_core::q0::{Condition, gte};
use miko_core::{
    Engine, Error, ErrorId, Mikobase, MikobaseExt, PendingSave, Record, Remote, Stream, Target, Transaction,
};
use serde_json::{Value, json};

use crate::support::{Local, engine, export, ids, sqlite_in_memory};

const OFFICER: &str = "starfleet.com/officer";

/// A database with a class of officers and a subclass.
fn starfleet() -> Local {
    let db = engine();
    let officer = json!({
        "fields": {
            "name": {"class": "string", "collapse": true, "max_length": 20},
            "slug": {"class": "string", "required": true, "unique": true},
            "rank": {"class": "string", "default": "Ensign"},
        },
        "misc_fields": true,
    });
    let captain = json!({"inherits": OFFICER});
    db.import_schema(json!({"classes": {OFFICER: officer, "starfleet.com/captain": captain}})).unwrap();
    db
}

fn text<'s>(save: &'s PendingSave<'_>, field: &str) -> &'s str {
    save.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Adds a hook that sets the slug of officers.
fn add_slugs(db: &Local) {
    db.before_save("slugs", OFFICER, |save| {
        if save.is_amendable() {
            let slug = text(save, "name").to_lowercase().replace(' ', "-");
            save.set("slug", slug)?;
        }
        Ok(())
    });
}

#[track_caller]
fn assert_rejected<R: std::fmt::Debug>(done: Result<R, Error>, hook: &str, message: &str) {
    let error = done.unwrap_err();
    let item = &error.items()[0];
    assert_eq!((&item.id, item.details["hook"].as_str()), (&ErrorId::SAVE_REJECTED, Some(hook)), "{error}");
    assert!(item.message().contains(message), "{error}");
}

/// Runs `call` in a hook of a create. Returns the value that it returns.
fn in_hook<R: Send + 'static>(
    db: &Arc<Local>,
    call: impl Fn(&Local, &PendingSave<'_>) -> R + Send + Sync + 'static,
) -> R {
    let (returned, weak) = (Arc::new(Mutex::new(None)), Arc::downgrade(db));
    let result = Arc::clone(&returned);
    db.before_save("caller", "test.org/call", move |save| {
        let db = Weak::upgrade(&weak).unwrap();
        *result.lock().unwrap() = Some(call(&db, save));
        Ok(())
    });
    db.create("test.org/call", &json!({})).unwrap();
    returned.lock().unwrap().take().unwrap()
}

#[test]
fn an_amended_bucket_is_normalized_and_validated() {
    let db = starfleet();
    add_slugs(&db);
    db.before_save("cadets", OFFICER, |save| {
        if text(save, "name").starts_with("Cadet") {
            save.bucket_mut()?.shift_remove("rank");
        }
        if text(save, "name") == "Q" {
            save.set("name", "a name  that is by far too long")?;
        }
        Ok(())
    });
    let pk = db.create(OFFICER, &json!({"name": "James  T Kirk"})).unwrap();
    // The hook has seen the collapsed name, and filled in a required field.
    let kirk = json!({"name": "James T Kirk", "slug": "james-t-kirk", "rank": "Ensign"});
    let bucket = |pk: &str| Value::from(db.record_by_pk(pk).unwrap().unwrap().bucket.to_map().unwrap());
    assert_eq!(bucket(&pk), kirk);
    // A default is filled in again.
    let cadet = db.create(OFFICER, &json!({"name": "Cadet Saavik"})).unwrap();
    assert_eq!(bucket(&cadet)["rank"], "Ensign");

    let before = export(&db);
    let too_long = db.create(OFFICER, &json!({"name": "Q"})).unwrap_err();
    assert_eq!(ids(&too_long), [ErrorId::VALIDATION_FAILED]);
    let same_slug = db.patch(&cadet, &json!({"name": "James T  Kirk"})).unwrap_err();
    assert_eq!(ids(&same_slug), [ErrorId::UNIQUE_VIOLATION]);
    assert_eq!(export(&db), before);
    // An index entry of an amended value is found.
    assert_eq!(db.count(json!({"class": OFFICER, "path": ["slug", "james-t-kirk"]})).unwrap(), 1);
}

#[test]
fn a_bucket_that_nests_too_deep_is_refused() {
    fn nested(levels: u64) -> Value {
        (1..levels).fold(json!([]), |inner, _| json!([inner]))
    }
    let db = engine();
    db.before_save("deep", "a.b/deep", |save| {
        let levels = save.get("levels").and_then(Value::as_u64).unwrap();
        save.set("deep", nested(levels))?;
        Ok(())
    });
    // As deep as a caller may nest it: the request and the bucket are two levels.
    let most = u64::try_from(miko_core::json::MAX_DEPTH).unwrap() - 2;
    let create = |deep: u64| db.create("a.b/x", &json!({"deep": nested(deep)}));
    create(most).unwrap();
    create(most + 1).unwrap_err();
    db.create("a.b/deep", &json!({"levels": most})).unwrap();
    assert_rejected(db.create("a.b/deep", &json!({"levels": most + 1})), "deep", "nest");
}

#[test]
fn hooks_run_in_order_and_each_sees_what_those_before_it_amended() {
    let db = engine();
    for name in ["first", "second"] {
        db.before_save(name, "a.b/x", move |save| {
            let trail = format!("{} {name}", text(save, "trail"));
            save.set("trail", trail)?;
            Ok(())
        });
    }
    // Its target is tested on the amended state.
    let amended = Condition::class("a.b/x").and_path(["trail"], miko_core::q0::ends_with("second"));
    db.before_save("third", amended, |save| Ok(save.set("third", true)?));
    let pk = db.create("a.b/x", &json!({})).unwrap();
    let record = db.record_by_pk(&pk).unwrap().unwrap();
    assert_eq!(record.bucket.as_str(), r#"{"trail":" first second","third":true}"#);

    db.before_save("fourth", "a.b/x", |_| Err("the first veto counts".into()));
    db.before_save("fifth", "a.b/x", |_| panic!("no hook runs after a veto"));
    assert_rejected(db.create("a.b/x", &json!({})), "fourth", "the first veto counts");
}

#[test]
fn a_hook_sees_the_record_before_and_after() {
    let db = starfleet();
    db.before_save("checks", Target::all(), |save| {
        let before = save.before().map(|record| record.bucket.as_str().to_owned());
        let line = json!([save.kind(), save.pk(), save.class(), before, save.bucket()]);
        let expected = match save.kind() {
            miko_core::SaveKind::Create => json!(["create", "k", OFFICER, null, {
                "name": "Kirk", "slug": "kirk", "rank": "Ensign",
            }]),
            miko_core::SaveKind::Update => json!(["update", "k", "starfleet.com/captain",
                r#"{"name":"Kirk","slug":"kirk","rank":"Ensign"}"#,
                {"name": "Kirk", "slug": "kirk", "rank": "Captain"},
            ]),
            miko_core::SaveKind::Delete => json!([
                "delete",
                "k",
                "starfleet.com/captain",
                r#"{"name":"Kirk","slug":"kirk","rank":"Captain"}"#,
                null,
            ]),
        };
        assert_eq!(line, expected);
        let typed = save.bucket_as::<std::collections::BTreeMap<String, String>>();
        assert_eq!(typed.is_ok(), save.bucket().is_some());
        assert_eq!(save.stack().len(), 2);
        Ok(())
    });
    let kirk = json!({"name": "Kirk", "slug": "kirk"});
    db.q0(json!({"action": "create", "pk": "k", "class": OFFICER, "bucket": kirk})).unwrap();
    let captain = json!({"name": "Kirk", "slug": "kirk", "rank": "Captain"});
    db.q0(json!({"action": "update", "pk": "k", "class": "starfleet.com/captain", "bucket": captain}))
        .unwrap();
    db.delete("k").unwrap();
}

#[test]
fn a_target_is_tested_on_the_state_after_the_change_and_of_a_delete_on_that_before() {
    let db = starfleet();
    add_slugs(&db);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let targets: [(&str, Target); 4] = [
        ("class", OFFICER.into()),
        ("pk", "kirk".into()),
        ("condition", Condition::path(["age"], gte(60)).into()),
        ("json", json!({"class": "starfleet.com/captain", "any": [{"pk": "kirk"}]}).into()),
    ];
    for (name, target) in targets {
        let seen = Arc::clone(&seen);
        db.before_save(name, target, move |save| {
            seen.lock().unwrap().push(format!("{name} {}", save.kind()));
            Ok(())
        });
    }
    let create =
        |class: &str, pk: &str| json!({"action": "create", "pk": pk, "class": class, "bucket": {"name": pk}});
    let cases: [(Value, &[&str]); 7] = [
        (create("a.b/other", "x"), &[]),
        (create(OFFICER, "spock"), &["class create"]),
        (create("starfleet.com/captain", "kirk"), &["class create", "pk create", "json create"]),
        (
            json!({"action": "patch", "pk": "spock", "bucket": {"age": 60}}),
            &["class update", "condition update"],
        ),
        (json!({"action": "patch", "pk": "spock", "bucket": {"age": 59}}), &["class update"]),
        (
            json!({"action": "patch", "pk": "spock", "bucket": {"age": 61}}),
            &["class update", "condition update"],
        ),
        (json!({"action": "delete", "pk": "spock"}), &["class delete", "condition delete"]),
    ];
    for (request, expected) in cases {
        db.q0(request.clone()).unwrap();
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected, "{request}");
    }
}

#[test]
fn a_panic_is_a_veto_and_the_engine_goes_on() {
    let db = engine();
    db.before_save("broken", "a.b/x", |save| {
        let n = save.get("n").and_then(Value::as_i64).expect("n is a number");
        assert!(n != 13, "n is 13");
        Ok(())
    });
    db.create("a.b/x", &json!({"n": 1})).unwrap();
    let before = export(&db);
    assert_rejected(db.create("a.b/x", &json!({"n": 13})), "broken", "the hook panicked: n is 13");
    assert_rejected(
        db.create_all("a.b/x", &[json!({"n": 2}), json!({})]),
        "broken",
        "the hook panicked: n is a number",
    );
    assert_eq!(export(&db), before);
    db.create("a.b/x", &json!({"n": 3})).unwrap();
    assert_eq!(db.by_class("a.b/x").unwrap().count(), 2);
}

#[test]
fn a_veto_undoes_its_own_write_and_no_earlier_one() {
    let db = engine();
    db.before_save("guard", json!({"path": ["n", {"gte": 10}]}), |_| Err("too large".into()));
    let pk = db.create("a.b/x", &json!({"n": 0})).unwrap();
    // Creates whose commit is deferred, and calls of a group.
    for n in 1..5 {
        db.create("a.b/x", &json!({"n": n})).unwrap();
        assert_rejected(db.create("a.b/x", &json!({"n": 10 * n})), "guard", "too large");
    }
    let mut answers = Vec::new();
    db.run_group(&mut |index| {
        let n = [5, 50, 6][index];
        answers.push(db.create("a.b/x", &json!({ "n": n })).is_ok());
        answers.len() < 3
    })
    .unwrap();
    assert_eq!(answers, [true, false, true]);
    // The record cache does not have the refused content.
    db.record_by_pk(&pk).unwrap();
    assert_rejected(db.patch(&pk, &json!({"n": 10})), "guard", "too large");
    assert_eq!(db.hot(&pk).get(["n"]).unwrap(), Some(json!(0)));
    let numbers = db.select(json!({"class": "a.b/x", "sort": ["n"]})).unwrap();
    let numbers: Vec<Value> = numbers.iter().map(|record| record.bucket.get("n").unwrap().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_hook_reads_what_its_write_has_written_so_far() {
    let db = engine();
    let stock = json!({"action": "create", "pk": "stock", "class": "a.b/stock", "bucket": {"left": 3}});
    db.q0(stock).unwrap();
    db.before_save("stock", "a.b/order", |save| {
        let left = save.db().hot("stock").get(["left"])?.and_then(|left| left.as_i64()).unwrap_or(0);
        let ordered = save.db().by_class("a.b/order")?.count();
        assert_eq!(save.db().record_by_pk(save.pk())?, None, "the order is not stored yet");
        if left < 0 { Err(format!("{} missing, {ordered} ordered", -left).into()) } else { Ok(()) }
    });
    let take = |count: i64| {
        vec![
            json!({"action": "create", "class": "a.b/order", "bucket": {}}),
            json!({"action": "edit", "pk": "stock", "edits": [{"path": ["left"], "increment": -count}]}),
            json!({"action": "create", "class": "a.b/order", "bucket": {}}),
        ]
    };
    db.batch(take(2), true).unwrap();
    assert_rejected(db.batch(take(2), true), "stock", "1 missing, 3 ordered");
    let in_transaction = db.transaction(|tx| {
        tx.increment("stock", ["left"], -5)?;
        tx.create("a.b/order", &json!({}))
    });
    assert_rejected(in_transaction, "stock", "4 missing, 2 ordered");
    assert_eq!(db.hot("stock").get(["left"]).unwrap(), Some(json!(1)));
    assert_eq!(db.by_class("a.b/order").unwrap().count(), 2);
}

#[test]
fn reads_in_a_hook_return_the_answers_of_the_database() {
    let db = Arc::new(starfleet());
    db.create(OFFICER, &json!({"name": "Spock", "slug": "spock"})).unwrap();
    let select = json!({"action": "select", "class": OFFICER, "path": ["rank", "Ensign"]});
    // Columns are built at the second scan.
    db.q0(select.clone()).unwrap();
    let expected = db.q0(select.clone()).unwrap();
    let pk = db.by_class(OFFICER).unwrap()[0].pk.clone();
    let schema = db.export_schema().unwrap();
    let asked = (select, pk.clone());
    let read = in_hook(&db, move |_, save| {
        let (db, (select, pk)) = (save.db(), asked.clone());
        let answers = db.batch(vec![select.clone(), json!({"action": "create"})], false).unwrap();
        assert!(answers[1].as_ref().unwrap_err().is(ErrorId::SELF_CALL));
        assert!(answers[0].is_ok());
        let atomic = db.batch(vec![select.clone(), json!({"action": "delete", "pk": pk})], true);
        assert_eq!(atomic.unwrap_err().items()[0].details["request"], 1);
        let records = db.records_by_pks(vec![pk.clone(), "nobody".to_owned()]).unwrap();
        (
            db.q0(select).unwrap(),
            records,
            db.export_schema().unwrap(),
            db.properties().unwrap(),
            db.history(&pk),
        )
    });
    let records = db.records_by_pks(vec![pk.clone(), "nobody".to_owned()]).unwrap();
    assert_eq!(read, (expected, records, schema, db.properties().unwrap(), db.history(&pk)));
}

#[test]
fn calls_that_would_wait_for_the_hook_are_refused() {
    type Call = fn(&dyn Mikobase) -> Result<(), Error>;
    const WRITES: &[Call] = &[
        |db| db.create("a.b/x", &json!({})).map(drop),
        |db| db.create_all("a.b/x", &[json!({})]).map(drop),
        |db| db.hot("x").set(["n"], 1).map(drop),
        |db| db.batch(vec![json!({"action": "delete", "pk": "x"})], true).map(drop),
        |db| db.import_schema(json!({"classes": {}})).map(drop),
        |db| db.write_file("image/png").map(drop),
        |db| db.delete_file("x"),
        |db| db.collect_files().map(drop),
        |db| db.import(false).map(drop),
        |db| db.begin().map(drop),
        |db| db.transaction(|tx| tx.commit()),
        |db| db.q0(json!({"action": "transaction"})).map(drop),
        |db| db.select_stream(json!({"action": "select"})).map(drop),
        |db| db.export().map(drop),
    ];
    const READS: &[Call] = &[
        |db| db.record_by_pk("x").map(drop),
        |db| db.by_class("a.b/x").map(drop),
        |db| db.count(json!({})).map(drop),
        |db| db.batch(vec![json!({"action": "select"})], true).map(drop),
        |db| db.export_schema().map(drop),
        |db| db.properties().map(drop),
    ];
    let db = Arc::new(engine());
    let before = db.by_class("a.b/x").unwrap().count();
    in_hook(&db, |handle, save| {
        for call in WRITES {
            assert!(call(save.db()).unwrap_err().is(ErrorId::SELF_CALL));
        }
        for call in WRITES.iter().chain(READS) {
            assert!(call(&**handle).unwrap_err().is(ErrorId::SELF_CALL));
        }
        READS.iter().for_each(|call| call(save.db()).unwrap());
    });
    assert_eq!(db.by_class("a.b/x").unwrap().count(), before);
}

#[test]
fn a_refused_call_without_a_result_panics_and_so_is_a_veto() {
    let db = Arc::new(sqlite_in_memory());
    let (weak, group) = (Arc::downgrade(&db), Arc::downgrade(&db));
    db.before_save("a.b/x", move |_| {
        drop(Weak::upgrade(&weak).unwrap().take_commits());
        Ok(())
    })
    .unwrap();
    db.before_save("a.b/y", move |_| {
        let failure = Weak::upgrade(&group).unwrap().run_group(&mut |_| panic!("it has begun")).unwrap_err();
        Err(failure.error.into())
    })
    .unwrap();
    for class in ["a.b/x", "a.b/y"] {
        let error = db.create(class, &json!({})).unwrap_err();
        assert!(error.is(ErrorId::SAVE_REJECTED) && error.to_string().contains("self-call"), "{error}");
        // A hook that is a closure has the name of the function around it.
        let hook = error.items()[0].details["hook"].as_str().unwrap().to_owned();
        assert_eq!(hook, "engine::hooks::a_refused_call_without_a_result_panics_and_so_is_a_veto");
    }
}

#[test]
fn another_engine_may_be_used_in_a_hook() {
    let (db, log) = (engine(), Arc::new(engine()));
    let written = Arc::clone(&log);
    db.before_save("log", Target::all(), move |save| {
        written.create("a.b/entry", &json!({"of": save.pk()}))?;
        Ok(())
    });
    log.before_save("of the log", Target::all(), |save| Ok(save.set("seen", true)?));
    let pk = db.create("a.b/x", &json!({})).unwrap();
    let entry = &log.by_class("a.b/entry").unwrap()[0];
    assert_eq!(entry.bucket.to_map().unwrap(), *json!({"of": pk, "seen": true}).as_object().unwrap());
}

#[test]
fn handles_that_are_dropped_in_a_hook_are_closed_after_it() {
    let db = engine();
    for n in 0..3 {
        db.create("a.b/x", &json!({ "n": n })).unwrap();
    }
    let stream: Stream<Record> = db.iter(json!({"class": "a.b/x"})).unwrap();
    let upload = db.write_file("text/plain").unwrap();
    upload.put(b"make it so".to_vec().into()).unwrap();
    let transaction: Remote<dyn Transaction> = db.begin().unwrap();
    let open = Mutex::new(Some((stream, upload, transaction)));
    db.before_save("drops", Target::all(), move |_| {
        if let Some((mut stream, upload, transaction)) = open.lock().unwrap().take() {
            assert!(stream.next().unwrap().unwrap_err().is(ErrorId::SELF_CALL));
            assert!(transaction.roll_back().unwrap_err().is(ErrorId::SELF_CALL));
            assert!(upload.finish().unwrap_err().is(ErrorId::SELF_CALL));
        }
        Ok(())
    });
    db.create("a.b/x", &json!({})).unwrap();
    db.create("a.b/x", &json!({})).unwrap();
    assert_eq!(db.collect_files().unwrap(), [] as [&str; 0]);
    assert_eq!(db.by_class("a.b/x").unwrap().count(), 5);
}

#[test]
fn a_veto_rolls_the_whole_transaction_back() {
    let db = engine();
    db.before_save("guard", json!({"path": ["n", {"gte": 10}]}), |_| Err("too large".into()));
    let before = export(&db);
    let tx = db.begin().unwrap();
    tx.create("a.b/x", &json!({"n": 1})).unwrap();
    let inner = tx.begin().unwrap();
    inner.create("a.b/x", &json!({"n": 2})).unwrap();
    assert_rejected(inner.create("a.b/x", &json!({"n": 10})), "guard", "too large");
    for refused in [inner.create("a.b/x", &json!({"n": 3})).map(drop), inner.commit(), tx.commit()] {
        let error = refused.unwrap_err();
        assert!(error.is(ErrorId::TRANSACTION_INVALIDATED), "{error}");
        assert_eq!(error.items()[0].details["hook"], "guard");
        assert!(error.to_string().contains("too large"), "{error}");
    }
    assert_eq!(export(&db), before);
    // A batch ends with its transaction, whether it is atomic or not.
    let other = db.begin().unwrap();
    let requests = [10, 1].map(|n| json!({"action": "create", "bucket": {"n": n}})).to_vec();
    let ended = other.batch(requests, false).unwrap_err();
    assert!(ended.is(ErrorId::TRANSACTION_INVALIDATED) && ended.to_string().contains("too large"), "{ended}");
    drop(other);
    assert_eq!(export(&db), before);
    // Others may write again. After a rollback the object can begin another transaction.
    db.create("a.b/x", &json!({"n": 4})).unwrap();
    tx.roll_back().unwrap();
    tx.create("a.b/x", &json!({"n": 5})).unwrap();
    tx.commit().unwrap();
    assert_eq!(db.by_class("a.b/x").unwrap().count(), 2);
}

#[test]
fn hooks_run_once_although_the_writes_of_a_transaction_are_hidden_and_replayed() {
    let db = engine();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    db.before_save("counts", "a.b/x", move |save| {
        save.set("run", count.fetch_add(1, Ordering::Relaxed))?;
        Ok(())
    });
    let tx = db.begin().unwrap();
    let pk = tx.create("a.b/x", &json!({})).unwrap();
    for n in 1..4 {
        // To hide the writes of the transaction from this read, storage is rolled back. The next call of the
        // transaction applies them again.
        assert_eq!(db.count(json!({"class": "a.b/x"})).unwrap(), 0);
        tx.patch(&pk, &json!({ "n": n })).unwrap();
        assert_eq!(tx.hot(&pk).get(["run"]).unwrap(), Some(json!(n)));
    }
    let nested = tx.begin().unwrap();
    nested.patch(&pk, &json!({"n": 4})).unwrap();
    nested.roll_back().unwrap();
    drop(nested);
    tx.commit().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 5);
    assert_eq!(db.record_by_pk(&pk).unwrap().unwrap().bucket.as_str(), r#"{"run":3,"n":3}"#);
}

#[test]
fn requests_of_a_hook_that_nest_to_any_depth_are_refused() {
    let db = engine();
    db.before_save("reader", Target::all(), |save| {
        let deep = || (0..100_000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
        let with_deep = |action: &str, key: &str| {
            let mut request = json!({ "action": action });
            request[key] = deep();
            request
        };
        let (select, create) = (|| with_deep("select", "path"), || with_deep("create", "bucket"));
        let db = save.db();
        for refused in [
            db.q0(select()).map(drop),
            db.q0(create()).map(drop),
            db.batch(vec![select(), create()], true).map(drop),
            db.batch(vec![create(), select()], true).map(drop),
            db.select_stream(select()).map(drop),
            db.watch_select(select()).map(drop),
            db.import_schema(deep()).map(drop),
            db.merge(deep()).map(drop),
            db.edit("nobody", vec![deep()]).map(drop),
        ] {
            assert!(refused.is_err());
        }
        Ok(())
    });
    db.create("a.b/c", &json!({})).unwrap();
}

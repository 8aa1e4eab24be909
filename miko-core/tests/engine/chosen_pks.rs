//! Records whose pk their creator has chosen.

use miko_core::{ErrorId, Mikobase, MikobaseExt, backend};
use serde_json::{Value, json};

use crate::support::{db, export, failure, ids, non_temporal, read, run, sqlite_in_memory};

fn create(pk: &str, bucket: Value) -> Value {
    json!({"action": "create", "pk": pk, "bucket": bucket})
}

#[test]
fn a_record_has_the_pk_that_its_creator_chose() {
    let db = db();
    // A pk has 1 to 255 bytes; the last one has 254.
    for pk in ["kirk", "", "a/b ~c", "0198c5f2-6b1a-7c7e-9f55-2f8b7d1c3a4e", &"ü".repeat(127)] {
        let request = create(pk, json!({"n": 1}));
        if pk.is_empty() {
            assert_eq!(ids(&failure(&db, request)), [ErrorId::INVALID_REQUEST]);
        } else {
            assert_eq!(run(&db, request), pk);
            assert_eq!(read(&db, pk).bucket.as_str(), r#"{"n":1}"#);
        }
    }
}

#[test]
fn a_pk_in_use_is_refused_also_after_its_record_was_deleted() {
    let db = db();
    run(&db, create("kirk", json!({})));
    let generated = run(&db, json!({"action": "create", "bucket": {}}));
    for pk in ["kirk", &generated] {
        let error = failure(&db, create(pk, json!({})));
        assert_eq!(ids(&error), [ErrorId::PK_IN_USE]);
        assert_eq!(error.items()[0].details["pk"], pk);
        run(&db, json!({"action": "delete", "pk": pk}));
        assert_eq!(ids(&failure(&db, create(pk, json!({})))), [ErrorId::PK_IN_USE]);
    }
    // A failed create leaves the pk free.
    let batch = vec![create("spock", json!({})), create("kirk", json!({}))];
    let error = db.batch(batch, true).unwrap_err();
    assert_eq!((ids(&error), &error.items()[0].details["request"]), (vec![ErrorId::PK_IN_USE], &json!(1)));
    run(&db, create("spock", json!({})));
}

#[test]
fn a_batch_refers_to_its_own_records() {
    let db = db();
    let to = json!({"to": {"class": "puck.uno/reference", "on_delete": "restrict"}});
    db.import_schema(json!({"classes": {"a.b/node": {"fields": to}}})).unwrap();
    let node =
        |pk: &str, to: &str| json!({"action": "create", "pk": pk, "class": "a.b/node", "bucket": {"to": to}});
    db.batch(vec![node("a", "b"), node("b", "c"), node("c", "a")], true).unwrap();
    assert_eq!(ids(&failure(&db, json!({"action": "delete", "pk": "b"}))), [ErrorId::REFERENCE_RESTRICTED]);
    assert_eq!(ids(&failure(&db, node("d", "e"))), [ErrorId::REFERENCE_NOT_FOUND]);
}

/// The pks that a database gives out in one millisecond count upwards, so the next one could be guessed.
#[test]
fn a_caller_that_takes_the_next_pks_does_not_make_creates_fail() {
    let db = db();
    for _ in 0..50 {
        let last = run(&db, json!({"action": "create", "bucket": {}}));
        // The last group of a UUID has 12 hex digits.
        let (head, digits) = last.split_at(24);
        let digits = u64::from_str_radix(digits, 16).unwrap();
        for n in 1..4 {
            run(&db, create(&format!("{head}{:012x}", digits + n), json!({})));
        }
    }
    assert_eq!(db.by_class("puck.uno/record").unwrap().count(), 200);
}

#[test]
fn records_with_chosen_pks_are_exported_and_imported() {
    let db = non_temporal();
    run(&db, create("kirk", json!({"n": 1})));
    run(&db, create("0", json!({"to": "kirk"})));
    let text = export(&db);
    let other = non_temporal();
    other.read_worldlet(&mut text.as_bytes(), false).unwrap();
    assert_eq!(export(&other), text);
    assert_eq!(ids(&failure(&other, create("kirk", json!({})))), [ErrorId::PK_IN_USE]);
}

#[test]
fn a_database_may_refuse_pks_that_callers_choose() {
    let databases: [Box<dyn Mikobase>; 2] = [
        Box::new(sqlite_in_memory().client_pks(false)),
        backend::open("mikobase.uno/worldlet?client_pks=false").unwrap(),
    ];
    for db in databases {
        let error = db.q0(create("kirk", json!({}))).unwrap_err();
        assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
        assert_eq!(error.items()[0].details["pointer"], "/pk");
        db.q0(json!({"action": "create", "bucket": {}})).unwrap();
    }
}

/// A pk that is given out may be one that a caller has chosen: pks are counted up within a millisecond, and a
/// transaction has one time. The chosen ones are too far apart for the first to be skipped.
#[test]
fn a_pk_that_is_given_out_is_none_that_was_chosen() {
    let db = db();
    let choices: [&[u128]; 2] = [&[1 << 33, 1 << 32, (1 << 33) - 1], &[(1 << 32) + 1, 1 << 32]];
    for chosen in choices {
        db.transaction(|tx| {
            let first = tx.q0(json!({"action": "create", "bucket": {}}))?.into_pk().unwrap();
            let number = u128::from_str_radix(&first.replace('-', ""), 16).unwrap();
            let mut pks = vec![first];
            for distance in chosen {
                let hex = format!("{:032x}", number + distance);
                let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
                pks.push(groups.join("-"));
                tx.q0(create(&pks[pks.len() - 1], json!({})))?;
            }
            let last = tx.q0(json!({"action": "create", "bucket": {}}))?.into_pk().unwrap();
            assert!(!pks.contains(&last), "{last} of {pks:?}");
            tx.commit()
        })
        .unwrap();
    }
}

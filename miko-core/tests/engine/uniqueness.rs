//! `unique`, `uniques` and `join`.

use miko_core::{ErrorId, MikobaseExt};
use serde_json::{Value, json};

use crate::class_support::{Db, create, db, define, rules_broken};

fn officers() -> Db {
    let db = db();
    define(&db, json!({"name": "a.b/person", "fields": {"serial": {"unique": true}}})).unwrap();
    define(
        &db,
        json!({"name": "a.b/officer", "inherits": "a.b/person", "uniques": [["rank", ["name", "last"]]],
               "fields": {"rank": {}, "name": {"class": "hash"}}}),
    )
    .unwrap();
    db
}

#[test]
fn equal_values_collide_as_q0_compares_them() {
    let colliding = [
        (json!(1), json!(1.0)),
        (json!("x"), json!("x")),
        (json!([1, {"a": 1, "b": 2}]), json!([1.0, {"b": 2, "a": 1}])),
        (json!(false), json!(false)),
    ];
    for (first, second) in colliding {
        let db = officers();
        let other = create(&db, "a.b/person", json!({"serial": first})).unwrap();
        // Records of a subclass count too.
        let error = create(&db, "a.b/officer", json!({"serial": second})).unwrap_err();
        assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{error}");
        let details = &error.items()[0].details;
        assert_eq!((&details["other"], &details["fields"]), (&json!(other), &json!(["serial"])));
        // A value is free when its record gets another one or is deleted.
        db.update(&other, json!({"serial": "another"})).unwrap();
        let pk = create(&db, "a.b/officer", json!({"serial": second})).unwrap();
        db.delete(&pk).unwrap();
        db.update(&other, json!({"serial": first})).unwrap();
    }
    let db = officers();
    for different in [json!(1), json!("1"), json!(true), json!([1]), json!(null), json!(null)] {
        create(&db, "a.b/person", json!({"serial": different})).unwrap();
    }
    create(&db, "a.b/person", json!({})).unwrap();
    create(&db, "a.b/person", json!({})).unwrap();
    create(&db, "x.y/other", json!({"serial": 1})).unwrap();
}

#[test]
fn tuples_are_unique_as_a_whole_and_one_with_a_null_is_exempt() {
    let db = officers();
    let officer =
        |rank: Value, last: Value| create(&db, "a.b/officer", json!({"rank": rank, "name": {"last": last}}));
    officer(json!("Captain"), json!("Kirk")).unwrap();
    officer(json!("Captain"), json!("Picard")).unwrap();
    officer(json!("Captain"), json!(null)).unwrap();
    officer(json!("Captain"), json!(null)).unwrap();
    let error = officer(json!("Captain"), json!("Kirk")).unwrap_err();
    assert_eq!(error.items()[0].details["fields"], json!(["rank", "name.last"]));
}

#[test]
fn a_unique_key_may_need_escapes_in_json() {
    for name in ["a\"b", "a\\", "a\n", "é", "\u{7f}"] {
        let db = db();
        // A path needs no declared field.
        let uniques = json!([[name], ["with", [name, "inner"]]]);
        define(&db, json!({"name": "a.b/c", "fields": {}, "uniques": uniques})).unwrap();
        for (n, bucket) in [json!({name: 5}), json!({"with": 1, name: {"inner": 6}})].iter().enumerate() {
            let by_q0 = || create(&db, "a.b/c", bucket.clone());
            let by_text = || db.0.create("a.b/c", bucket);
            let pk = if n == 0 { by_text() } else { by_q0() }.unwrap();
            for again in [by_q0(), by_text(), db.0.create_all("a.b/c", &[bucket]).map(|_| pk.clone())] {
                let error = again.expect_err(name);
                assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{name}: {error}");
                assert_eq!(error.items()[0].details["other"], pk, "{name}");
            }
        }
        let imported = crate::support::db();
        imported.read_worldlet(&mut crate::support::export(&db.0).as_bytes(), false).unwrap();
        assert!(imported.create("a.b/c", &json!({name: 5})).is_err(), "{name}");
    }
}

#[test]
fn all_violations_of_a_record_are_reported() {
    let db = officers();
    let bucket = json!({"serial": 1, "rank": "Captain", "name": {"last": "Kirk"}});
    create(&db, "a.b/officer", bucket.clone()).unwrap();
    let error = create(&db, "a.b/officer", bucket).unwrap_err();
    assert_eq!(error.items().len(), 2, "{error}");
}

#[test]
fn a_join_is_required_unique_and_never_changes() {
    let db = db();
    define(
        &db,
        json!({"name": "a.b/posting", "join": ["officer", "ship"],
                       "fields": {"officer": {"class": "puck.uno/reference"}, "ship": {}, "since": {}}}),
    )
    .unwrap();
    let officer = create(&db, "a.b/officer", json!({})).unwrap();
    let error = create(&db, "a.b/posting", json!({"officer": officer})).unwrap_err();
    assert_eq!(rules_broken(&error), ["join"]);
    let pk = create(&db, "a.b/posting", json!({"officer": officer, "ship": "s"})).unwrap();
    let error = create(&db, "a.b/posting", json!({"officer": {"pk": officer}, "ship": "s"})).unwrap_err();
    assert!(error.is(ErrorId::UNIQUE_VIOLATION), "both spellings of a reference are one value: {error}");
    db.update(&pk, json!({"officer": {"pk": officer}, "ship": "s", "since": 2364})).unwrap();
    let error = db.update(&pk, json!({"officer": officer, "ship": "other"})).unwrap_err();
    assert!(error.is(ErrorId::IMMUTABLE_FIELD), "{error}");
    // The rules of the class do not apply to a record that gets another class.
    db.run(json!({"action": "update", "pk": pk, "class": "x.y/z", "bucket": {"ship": "other"}})).unwrap();
}

#[test]
fn a_join_does_not_change_with_the_class_among_those_that_inherit_it() {
    let db = db();
    define(&db, json!({"name": "a.b/seat", "join": ["s"], "misc_fields": true})).unwrap();
    for name in ["a.b/left", "a.b/right"] {
        define(&db, json!({"name": name, "inherits": ["a.b/seat"], "misc_fields": true})).unwrap();
    }
    for (serial, [from, to]) in
        [["a.b/left", "a.b/seat"], ["a.b/seat", "a.b/left"], ["a.b/left", "a.b/right"]]
            .into_iter()
            .enumerate()
    {
        let pk = create(&db, from, json!({"s": serial})).unwrap();
        let change = |s: usize| json!({"action": "update", "pk": pk, "class": to, "bucket": {"s": s}});
        let error = db.run(change(100)).unwrap_err();
        assert!(error.is(ErrorId::IMMUTABLE_FIELD), "{from} to {to}: {error}");
        assert_eq!(error.items()[0].details["class"], "a.b/seat");
        db.run(change(serial)).unwrap();
    }
}

#[test]
fn a_record_keeps_the_tuples_of_a_join_of_all_its_platters() {
    let db = db();
    define(&db, json!({"name": "a.b/seat", "join": ["s"], "misc_fields": true})).unwrap();
    // Platters by the values of `s` in their own buckets; null for one with the bucket of the record, in
    // which `s` is 0.
    let stack = |seats: &[Value]| -> Value {
        let platter = |(index, seat): (usize, &Value)| {
            let own = if seat.is_null() { json!({}) } else { json!({"bucket": {"s": seat}}) };
            let mut platter = json!({"class": "a.b/seat"});
            platter.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            (format!("p{index}"), platter)
        };
        seats.iter().enumerate().map(platter).collect::<serde_json::Map<_, _>>().into()
    };
    let none = Value::Null;
    let cases = [
        (vec![json!(1), json!(2)], vec![json!(1), json!(2)], true),
        (vec![json!(1), json!(2)], vec![json!(2), json!(1)], true),
        (vec![json!(1), json!(2)], vec![json!(1), json!(2), json!(3)], true),
        (vec![json!(1), json!(2)], vec![json!(1), json!(3)], false),
        (vec![json!(1), json!(2)], vec![json!(1)], false),
        (vec![none.clone(), none.clone(), json!(1)], vec![none.clone(), json!(1)], true),
        (vec![none.clone(), json!(1)], vec![json!(1)], false),
    ];
    for (number, (before, after, is_allowed)) in cases.into_iter().enumerate() {
        let pk = format!("record {number}");
        let create = json!({"action": "create", "pk": pk, "stack": stack(&before), "bucket": {"s": 0}});
        db.run(create).unwrap();
        db.run(json!({"action": "patch", "pk": pk, "bucket": {"note": "unrelated"}})).unwrap();
        let update = json!({"action": "update", "pk": pk, "stack": stack(&after), "bucket": {"s": 0}});
        match db.run(update) {
            Ok(_) => assert!(is_allowed, "{before:?} to {after:?}"),
            Err(error) => assert!(!is_allowed && error.is(ErrorId::IMMUTABLE_FIELD), "{before:?}: {error}"),
        }
        db.delete(&pk).unwrap();
    }
}

#[test]
fn a_field_can_become_unique_only_if_its_values_are() {
    let db = db();
    let definition = define(&db, json!({"name": "a.b/c"})).unwrap();
    let first = create(&db, "a.b/c", json!({"n": 1})).unwrap();
    let second = create(&db, "a.b/c", json!({"n": 1.0})).unwrap();
    let unique = json!({"name": "a.b/c", "fields": {"n": {"unique": true}}});
    let error = db.update(&definition, unique.clone()).unwrap_err();
    let details = &error.items()[0].details;
    assert_eq!((&details["other"], &details["pk"]), (&json!(first), &json!(second)));
    db.delete(&second).unwrap();
    db.update(&definition, unique).unwrap();
    assert!(create(&db, "a.b/c", json!({"n": 1})).is_err());
    // Values of a field that is no longer unique may be equal.
    db.update(&definition, json!({"name": "a.b/c"})).unwrap();
    create(&db, "a.b/c", json!({"n": 1})).unwrap();
    assert!(db.update(&definition, json!({"name": "a.b/c", "join": ["n"]})).is_err());
}

#[test]
fn a_class_is_indexed_when_it_begins_to_inherit_a_unique_field() {
    let db = officers();
    let definition = define(&db, json!({"name": "a.b/cadet"})).unwrap();
    create(&db, "a.b/cadet", json!({"serial": 7})).unwrap();
    create(&db, "a.b/officer", json!({"serial": 7})).unwrap();
    let inherits = json!({"name": "a.b/cadet", "inherits": "a.b/person"});
    assert!(db.update(&definition, inherits.clone()).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
    let cadet = db.by_class("a.b/cadet")[0].pk.clone();
    db.update(&cadet, json!({"serial": 8})).unwrap();
    db.update(&definition, inherits).unwrap();
    assert!(create(&db, "a.b/officer", json!({"serial": 8})).is_err());
}

#[test]
fn a_violated_unique_value_is_reported_with_the_other_faults() {
    for db in [db(), crate::class_support::non_temporal()] {
        let fields = json!({"n": {"class": "number"}, "serial": {"unique": true}});
        define(&db, json!({"name": "a.b/c", "fields": fields})).unwrap();
        create(&db, "a.b/c", json!({"serial": 1})).unwrap();
        let pk = create(&db, "a.b/c", json!({"serial": 2})).unwrap();
        let error_ids = |error: miko_core::Error| -> Vec<String> {
            error.items().iter().map(|item| item.id.to_string()).collect()
        };
        let expected = ["validation-failed", "unique-violation"];
        assert_eq!(error_ids(create(&db, "a.b/c", json!({"n": "x", "serial": 1})).unwrap_err()), expected);
        assert_eq!(error_ids(db.update(&pk, json!({"n": "x", "serial": 1})).unwrap_err()), expected);
        assert_eq!(error_ids(db.update(&pk, json!({"n": "x", "serial": 2})).unwrap_err()), expected[..1]);
    }
}

/// A class with a unique number, and records that have the numbers from 0.
fn numbered(count: usize) -> (Db, Vec<String>) {
    let db = db();
    define(&db, json!({"name": "a.b/place", "fields": {"n": {"unique": true}, "note": {}}})).unwrap();
    let pks = (0..count).map(|n| create(&db, "a.b/place", json!({"n": n})).unwrap()).collect();
    (db, pks)
}

fn set(pk: &str, n: Value) -> Value {
    json!({"action": "update", "pk": pk, "bucket": {"n": n}})
}

/// The numbers of these records. Checks that the index finds each record by its number.
fn numbers(db: &Db, pks: &[String]) -> Vec<Value> {
    let number = |pk: &String| serde_json::from_str::<Value>(&db.bucket(pk)).unwrap()["n"].clone();
    let numbers: Vec<Value> = pks.iter().map(number).collect();
    for (pk, n) in pks.iter().zip(&numbers) {
        let found = db.0.q0(json!({"action": "select", "class": "a.b/place", "path": ["n", n]})).unwrap();
        let found: Vec<String> =
            found.into_records().unwrap().iter().map(|record| record.pk.clone()).collect();
        assert_eq!(found, std::slice::from_ref(pk));
        let duplicate = create(db, "a.b/place", json!({"n": n})).unwrap_err();
        assert!(duplicate.is(ErrorId::UNIQUE_VIOLATION), "{duplicate}");
    }
    numbers
}

#[test]
fn records_swap_their_values_in_an_atomic_batch() {
    let (db, pks) = numbered(3);
    db.batch(vec![set(&pks[0], json!(1)), set(&pks[1], json!(0))]).unwrap();
    assert_eq!(numbers(&db, &pks), [1, 0, 2]);
    // Three records exchange their values in a ring, and one of them changes twice.
    let ring =
        [set(&pks[0], json!(0)), set(&pks[1], json!(2)), set(&pks[2], json!(0)), set(&pks[0], json!(1))];
    db.batch(ring.to_vec()).unwrap();
    assert_eq!(numbers(&db, &pks), [1, 2, 0]);
    // A new record takes the value of one that is deleted later.
    let create = json!({"action": "create", "class": "a.b/place", "pk": "new", "bucket": {"n": 0}});
    db.batch(vec![create, json!({"action": "delete", "pk": pks[2]})]).unwrap();
    assert_eq!(numbers(&db, &["new".to_owned()]), [0]);
}

#[test]
fn a_write_with_where_shifts_unique_values() {
    let (db, pks) = numbered(5);
    let all = json!({"class": "a.b/place"});
    let shift = |by: i64| json!([{"path": ["n"], "increment": by}]);
    db.0.q0(json!({"action": "edit", "where": all, "edits": shift(1)})).unwrap();
    assert_eq!(numbers(&db, &pks), [1, 2, 3, 4, 5]);
    db.0.q0(json!({"action": "edit", "where": all, "edits": shift(-1)})).unwrap();
    assert_eq!(numbers(&db, &pks), [0, 1, 2, 3, 4]);
    let before = numbers(&db, &pks);
    let set_equal = json!({"action": "patch", "where": all, "bucket": {"n": 7}});
    let error = db.0.q0(set_equal).unwrap_err();
    assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{error}");
    assert_eq!(numbers(&db, &pks), before);
}

#[test]
fn a_value_that_two_records_have_at_the_end_is_refused() {
    let (db, pks) = numbered(3);
    let batch = vec![
        set(&pks[0], json!(1)),
        json!({"action": "select", "class": "a.b/place", "path": ["n", 1]}),
        set(&pks[2], json!(5)),
    ];
    let error = db.batch(batch).unwrap_err();
    let details = &error.items()[0].details;
    assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{error}");
    assert_eq!(
        (&details["request"], &details["pk"], &details["other"]),
        (&json!(0), &json!(pks[0]), &json!(pks[1]))
    );
    assert_eq!(numbers(&db, &pks), [0, 1, 2]);

    // Before the second update a select finds both records, and an upsert by that value is refused as
    // ambiguous.
    let select = json!({"action": "select", "class": "a.b/place", "path": ["n", 1]});
    let answers = db.batch(vec![set(&pks[0], json!(1)), select, set(&pks[1], json!(9))]).unwrap();
    assert_eq!(answers[1].clone().unwrap().into_records().unwrap().count(), 2);
    let upsert = json!({"action": "upsert", "class": "a.b/place", "key": {"n": 9}, "bucket": {"note": "x"}});
    let error = db.batch(vec![set(&pks[0], json!(9)), upsert.clone(), set(&pks[1], json!(1))]).unwrap_err();
    assert!(error.is(ErrorId::CONFLICT), "{error}");
    db.batch(vec![set(&pks[0], json!(9)), set(&pks[1], json!(1)), upsert]).unwrap();
    assert_eq!(numbers(&db, &pks), [9, 1, 2]);
}

#[test]
fn a_batch_in_a_transaction_may_swap_and_single_calls_may_not() {
    use miko_core::{Mikobase, MikobaseExt, Transaction};

    let (db, pks) = numbered(2);
    db.0.transaction(|tx| {
        assert!(tx.q0(set(&pks[0], json!(1))).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
        tx.batch(vec![set(&pks[0], json!(1)), set(&pks[1], json!(0))], true)?;
        assert_eq!([&pks[0], &pks[1]].map(|pk| db.bucket(pk)), [r#"{"n":0}"#, r#"{"n":1}"#]);
        // To hide the writes of the transaction from this read of another caller, storage is rolled back. The
        // next call of the transaction applies them again.
        assert_eq!(db.0.count(json!({"class": "a.b/place", "path": ["n", 1]}))?, 1);
        assert_eq!(tx.count(json!({"class": "a.b/place", "path": ["n", 1]}))?, 1);
        tx.commit()
    })
    .unwrap();
    assert_eq!(numbers(&db, &pks), [1, 0]);
}

proptest::proptest! {
    #![proptest_config(crate::support::cases(48))]

    /// The model accepts a batch if all numbers are different at its end.
    #[test]
    fn a_batch_is_refused_if_two_records_have_a_value_at_its_end(
        steps in proptest::collection::vec((0..5_usize, 0..7_i64, proptest::prelude::any::<bool>()), 1..12),
        in_group in proptest::prelude::any::<bool>(),
    ) {
        let (db, pks) = numbered(5);
        let mut model: Vec<Option<i64>> = (0..5).map(Some).collect();
        let mut batch = Vec::new();
        for (record, n, deletes) in steps {
            if model[record].is_none() {
                continue;
            }
            // Few steps delete, so that most records are left.
            model[record] = (!deletes || n > 1).then_some(n);
            batch.push(match model[record] {
                Some(n) => set(&pks[record], json!(n)),
                None => json!({"action": "delete", "pk": pks[record]}),
            });
        }
        let mut numbers_at_end: Vec<i64> = model.iter().copied().flatten().collect();
        numbers_at_end.sort_unstable();
        let is_unique = numbers_at_end.windows(2).all(|pair| pair[0] != pair[1]);
        let before = crate::support::export(&db.0);
        let mut result = Ok(());
        if in_group && !db.0.is_share() {
            let mut batch = Some(batch);
            db.0.run_group(&mut |_| match batch.take() {
                Some(batch) => {
                    result = db.batch(batch).map(drop);
                    true
                }
                None => false,
            })
            .unwrap();
        } else {
            result = db.batch(batch).map(drop);
        }
        match result {
            Ok(()) => {
                proptest::prop_assert!(is_unique);
                let remaining = (0..5).filter(|record| model[*record].is_some());
                let remaining: Vec<String> = remaining.map(|record| pks[record].clone()).collect();
                let expected: Vec<Value> = model.iter().flatten().map(|n| json!(n)).collect();
                proptest::prop_assert_eq!(numbers(&db, &remaining), expected);
            }
            Err(error) => {
                proptest::prop_assert!(!is_unique && error.is(ErrorId::UNIQUE_VIOLATION), "{}", error);
                proptest::prop_assert_eq!(crate::support::export(&db.0), before);
            }
        }
    }
}

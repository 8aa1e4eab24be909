//! Sorting: the order of types and values, qualifiers, and ties.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::support::{Local, agreed, create, db, failure, ids, read, run};

/// The values of `v` in the order of the select.
fn sorted(db: &Local, select: Value) -> Vec<Value> {
    let mut select = select;
    select["action"] = "select".into();
    let records = agreed(db, &select).unwrap();
    records.iter().map(|record| record.bucket.get("v").unwrap().unwrap_or(json!("absent"))).collect()
}

fn with_values(values: &[Value]) -> Local {
    let db = db();
    values.iter().for_each(|value| drop(create(&db, json!({ "v": value }))));
    db
}

#[test]
fn values_sort_by_type_and_then_by_value_and_absent_ones_last() {
    let ascending = [
        json!(i64::MIN),
        json!(-1.5),
        json!(0),
        json!(9007199254740992_i64),
        json!(9007199254740993_i64),
        json!(u64::MAX),
        json!(18446744073709551616.0),
        json!(""),
        json!("10"),
        json!("9"),
        json!("B"),
        json!("a"),
        json!("é"),
        json!("🖖"),
        json!(false),
        json!(true),
        json!([2]),
        json!([1]),
        json!({"z": 1}),
        json!({}),
    ];
    // Arrays are equal to each other in the order, and so are objects: they keep the order of creation.
    let (scalars, composites) = ascending.split_at(16);
    let mut shuffled: Vec<Value> = vec![json!(null)];
    shuffled.extend(scalars.iter().rev().cloned());
    shuffled.extend(composites.iter().cloned());
    let db = with_values(&shuffled);
    create(&db, json!({}));
    let nothing = [json!(null), json!("absent")];
    let expected = [&ascending[..], &nothing].concat();
    assert_eq!(sorted(&db, json!({"sort": ["v"]})), expected);
    assert_eq!(sorted(&db, json!({"sort": ["v"], "offset": 2, "limit": 3})), expected[2..5]);
    let scalars: Vec<Value> = scalars.iter().rev().cloned().collect();
    let composites = [json!({"z": 1}), json!({}), json!([2]), json!([1])];
    let descending = [&composites[..], &scalars, &nothing].concat();
    assert_eq!(sorted(&db, json!({"sort": ["v", {"reverse": true}]})), descending);
}

#[test]
fn qualifiers_change_how_texts_compare() {
    let db = with_values(&[json!("b"), json!(" a  b"), json!("A"), json!("a"), json!("a\tb"), json!("B")]);
    assert_eq!(sorted(&db, json!({"sort": ["v"]})), [" a  b", "A", "B", "a", "a\tb", "b"]);
    assert_eq!(
        sorted(&db, json!({"sort": ["v", {"case-sensitive": false}]})),
        [" a  b", "A", "a", "a\tb", "b", "B"]
    );
    assert_eq!(
        sorted(&db, json!({"sort": ["v", {"case_sensitive": false}]})),
        sorted(&db, json!({"sort": ["v", {"case-sensitive": false}]})),
    );
    assert_eq!(
        sorted(&db, json!({"sort": ["v", {"collapse": true}]})),
        ["A", "B", "a", " a  b", "a\tb", "b"]
    );
    assert_eq!(
        sorted(&db, json!({"sort": ["v", {"collapse": true, "case-sensitive": false, "reverse": true}]})),
        ["b", "B", " a  b", "a\tb", "A", "a"]
    );
}

#[test]
fn later_sorts_break_ties_and_the_order_of_creation_breaks_the_rest() {
    let db = db();
    for (a, b) in [(2, 1), (1, 2), (2, 0), (1, 1), (1, 2)] {
        create(&db, json!({"v": [a, b], "a": a, "k": {"b": [b]}}));
    }
    let pairs = |select: Value| -> Vec<Value> { sorted(&db, select) };
    let expected = [json!([1, 2]), json!([1, 2]), json!([1, 1]), json!([2, 1]), json!([2, 0])];
    assert_eq!(pairs(json!({"sorts": [["a"], ["k", "b", 0, {"reverse": true}]]})), expected);
    assert_eq!(pairs(json!({"sort": ["a"], "sorts": [["k", "b", 0, {"reverse": true}]]})), expected);
    assert_eq!(pairs(json!({"sorts": []})), pairs(json!({})));
    assert_eq!(
        pairs(json!({"sort": ["a"]})),
        [json!([1, 2]), json!([1, 1]), json!([1, 2]), json!([2, 1]), json!([2, 0])]
    );
    let warned = db.q0(json!({"action": "select", "sort": ["a"], "sorts": []})).unwrap().warnings;
    assert_eq!(warned[0].details["fields"], json!(["sort", "sorts"]));
}

#[test]
fn a_sort_may_use_the_pk_and_the_times_of_a_record() {
    let db = db();
    let pks: Vec<String> = (0..4).map(|n| create(&db, json!({ "v": n }))).collect();
    run(&db, json!({"action": "update", "pk": pks[1], "bucket": {"v": 1}}));
    let by = |key: &str, reverse: bool| sorted(&db, json!({"sort": [{"record": key}, {"reverse": reverse}]}));
    assert_eq!(by("pk", false), [0, 1, 2, 3]);
    assert_eq!(by("pk", true), [3, 2, 1, 0]);
    // Records of one millisecond are in order of creation in both directions.
    let updated_at = |n: &usize| read(&db, &pks[*n]).updated_at;
    let mut updated: Vec<usize> = (0..4).collect();
    updated.sort_by_key(updated_at);
    assert_eq!(by("updated_at", false), updated);
    updated.sort_unstable();
    updated.sort_by_key(|n| std::cmp::Reverse(updated_at(n)));
    assert_eq!(by("updated_at", true), updated);
    assert_eq!(sorted(&db, json!({"sorts": [[{"record": "created_at"}], [{"record": "pk"}]]})), [0, 1, 2, 3]);
}

#[test]
fn a_select_has_a_maximal_number_of_sort_paths() {
    let db = with_values(&[json!(2), json!(1)]);
    let sorts = |count: usize| Value::from(vec![json!(["v"]); count]);
    assert_eq!(sorted(&db, json!({"sorts": sorts(32)})), [1, 2]);
    assert_eq!(sorted(&db, json!({"sort": ["v"], "sorts": sorts(31)})), [1, 2]);
    for (select, pointer, found) in [
        (json!({"action": "select", "sorts": sorts(33)}), "/sorts", 33),
        (json!({"action": "select", "sort": ["v"], "sorts": sorts(32)}), "", 33),
        (json!({"action": "delete", "where": {"class": "a.b/c"}, "sorts": sorts(40)}), "/sorts", 40),
    ] {
        let error = failure(&db, select);
        assert_eq!(ids(&error), [ErrorId::REQUEST_TOO_LARGE]);
        let details = &error.items()[0].details;
        assert_eq!((&details["pointer"], &details["found"]), (&json!(pointer), &json!(found)));
    }
}

#[test]
fn a_limit_of_zero_selects_nothing() {
    let db = with_values(&[json!(2), json!(1)]);
    for offset in [0, 1] {
        assert_eq!(sorted(&db, json!({"sort": ["v"], "limit": 0, "offset": offset})), [] as [Value; 0]);
    }
}

//! Sorting: the order of types and values, qualifiers, and ties.

use serde_json::{Value, json};

use crate::support::{Local, agreed, create, db, read, run};

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
fn types_have_an_order_and_absent_values_come_last() {
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
    let mut shuffled: Vec<Value> = vec![json!(null)];
    // The last arrays and objects tie, so that they keep the order of creation.
    shuffled.extend(ascending[..16].iter().rev().cloned());
    shuffled.extend(ascending[16..].iter().cloned());
    let db = with_values(&shuffled);
    create(&db, json!({}));
    let nothing = [json!(null), json!("absent")];
    let expected = [&ascending[..], &nothing].concat();
    assert_eq!(sorted(&db, json!({"sort": ["v"]})), expected);
    assert_eq!(sorted(&db, json!({"sort": ["v"], "offset": 2, "limit": 3})), expected[2..5]);
    let mut descending: Vec<Value> = ascending[..16].iter().rev().cloned().collect();
    let composites = [json!({"z": 1}), json!({}), json!([2]), json!([1])];
    descending = [&composites[..], &descending, &nothing].concat();
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
        sorted(&db, json!({"sort": ["v", {"collapse": true}]})),
        ["A", "B", "a", " a  b", "a\tb", "b"]
    );
    assert_eq!(
        sorted(&db, json!({"sort": ["v", {"collapse": true, "case-sensitive": false, "reverse": true}]})),
        ["b", "B", " a  b", "a\tb", "A", "a"]
    );
}

#[test]
fn sorts_follow_each_other_and_creation_comes_last() {
    let db = db();
    for (a, b) in [(2, 1), (1, 2), (2, 0), (1, 1), (1, 2)] {
        create(&db, json!({"v": [a, b], "a": a, "k": {"b": [b]}}));
    }
    let pairs = |select: Value| -> Vec<Value> { sorted(&db, select) };
    let both = [json!([1, 2]), json!([1, 2]), json!([1, 1]), json!([2, 1]), json!([2, 0])];
    assert_eq!(pairs(json!({"sorts": [["a"], ["k", "b", 0, {"reverse": true}]]})), both);
    assert_eq!(pairs(json!({"sort": ["a"], "sorts": [["k", "b", 0, {"reverse": true}]]})), both);
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
    let by = |own: &str, reverse: bool| sorted(&db, json!({"sort": [{"record": own}, {"reverse": reverse}]}));
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

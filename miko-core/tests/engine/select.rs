//! Selects: each request with its SQL, bound values and answer.

use std::time::Duration;

use miko_core::{ErrorId, MikobaseExt};
use serde_json::{Value, json};

use crate::support::{Local, buckets, create, db, ids, run, sqlite};

/// The ids of the classes of the crew, assigned in the order of their first use.
const OFFICER: i64 = 1;
const SHIP: i64 = 3;
const DOCTOR: i64 = 4;

/// Five records, numbered in order of creation, with tombstones between them.
fn crew() -> Local {
    crew_in(db())
}

fn crew_in(db: Local) -> Local {
    let (officer, doctor) = ("starfleet.com/officer", "starfleet.com/doctor");
    let crew = [
        json!({"class": officer, "bucket": {"n": 1, "name": {"family": "Kirk"}, "tags": ["a", "b"]}}),
        json!({"class": officer, "bucket": {"n": 2, "name": {"family": "Spock"}, "tags": []}}),
        json!({"class": "starfleet.com/ship", "bucket": {"n": 3, "name": "Enterprise"}}),
        json!({"classes": [doctor, officer], "bucket": {"n": 4, "name": null}}),
        json!({"bucket": {"n": 5.0}}),
    ];
    for mut record in crew {
        record["action"] = "create".into();
        run(&db, record);
        let pk = create(&db, json!({"n": "deleted"}));
        run(&db, json!({"action": "delete", "pk": pk}));
    }
    db
}

/// Checks that the request selects the records with these numbers, by this SQL (after the columns) and these
/// values.
fn check(request: Value, sql: &str, values: Value, numbers: &[u64]) {
    let db = crew();
    let explanation = db.explain(request.clone()).unwrap();
    if let Some(found) = explanation.sql {
        assert_eq!(found, format!("SELECT seq, pk, bucket, stack, extras, created_at, updated_at {sql}"));
        assert_eq!(Value::from(explanation.values), values, "{request}");
    }
    let expected: Vec<_> = numbers.iter().map(|n| *n as f64).collect();
    let found: Vec<_> =
        buckets(&db, request.clone()).iter().map(|bucket| bucket["n"].as_f64().unwrap()).collect();
    assert_eq!(found, expected, "{request}");
}

#[test]
fn a_select_without_conditions_returns_all_records_in_order_of_creation() {
    check(
        json!({"action": "select"}),
        "FROM record WHERE bucket IS NOT NULL ORDER BY seq",
        json!([]),
        &[1, 2, 3, 4, 5],
    );
}

#[test]
fn a_select_by_one_class_uses_the_membership_index() {
    check(
        json!({"action": "select", "class": "https://starfleet.com/officer"}),
        "FROM membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL \
         AND class_id = ?1 ORDER BY seq",
        json!([OFFICER]),
        &[1, 2, 4],
    );
    assert_eq!(
        buckets(&crew(), json!({"action": "select", "classes": ["foo.com/unknown"]})),
        [] as [Value; 0]
    );
    let select = json!({"action": "select", "class": "starfleet.com/ship", "limit": 1});
    let plan = crew_in(sqlite()).explain(select).unwrap().plan;
    assert_eq!(plan[0], "SCAN membership VIRTUAL TABLE INDEX 0:class_id=?", "{plan:?}");
    assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "no step sorts: {plan:?}");
}

/// SQLite drops all other conditions where one is constantly false.
#[test]
fn a_condition_that_never_holds_selects_nothing_by_any_access_path() {
    let db = crew();
    db.import_schema(json!({"classes": {"a.b/c": {"fields": {
        "code": {"class": "string", "unique": true}, "type": {"class": "string", "index": true},
    }}}}))
    .unwrap();
    run(&db, json!({"action": "create", "class": "a.b/c", "bucket": {"code": "x", "type": "y"}}));
    let access_paths = [
        json!({"class": "starfleet.com/officer"}),
        json!({"class": ["starfleet.com/officer", "foo.com/ship"]}),
        json!({"class": "a.b/c", "path": ["code", "x"]}),
        json!({"class": "a.b/c", "path": ["type", "y"]}),
        json!({"class": "a.b/c", "path": ["type", {"in": ["x", "y"]}]}),
    ];
    for access_path in access_paths {
        for order in [json!([]), json!([["n"], ["name"]])] {
            let mut select = access_path.clone();
            (select["action"], select["sorts"]) = (json!("select"), order);
            select["all"] = json!([{"class": "starfleet.com/officer"}, {"any": []}]);
            select["limit"] = json!(2);
            assert_eq!(buckets(&db, select.clone()), [] as [Value; 0], "{select}");
        }
    }
}

#[test]
fn a_select_by_several_classes_returns_each_record_of_their_union_once() {
    const SQL: &str = "FROM record WHERE bucket IS NOT NULL AND seq IN (SELECT seq FROM membership \
                       WHERE class_id IN rarray(?1)) ORDER BY seq";
    let classes = ["starfleet.com/doctor", "starfleet.com/ship", "starfleet.com/officer"];
    let values = json!([[OFFICER, SHIP, DOCTOR]]);
    check(json!({"action": "select", "class": classes}), SQL, values.clone(), &[1, 2, 3, 4]);
    check(
        json!({"action": "select", "class": classes[0], "classes": classes[1..]}),
        SQL,
        values,
        &[1, 2, 3, 4],
    );
    check(json!({"action": "select", "classes": []}), SQL, json!([[]]), &[]);
}

#[test]
fn a_path_compiles_to_one_function_call_with_the_path_as_a_bound_value() {
    const SQL: &str = "FROM record WHERE bucket IS NOT NULL AND q0_path(bucket, ?1) ORDER BY seq";
    let cases = [
        (json!(["name", "family", "Kirk"]), &[1][..]),
        (json!(["name", "Enterprise"]), &[3]),
        (json!(["name", null]), &[4, 5]),
        (json!(["name", "family", null]), &[3, 4, 5]),
        (json!(["tags", 1, "b"]), &[1]),
        (json!(["tags", []]), &[2]),
        (json!(["tags", ["a", "b"]]), &[1]),
        (json!(["n", 5]), &[5]),
        (json!(["n", 4.0]), &[4]),
        (json!(["n", "4"]), &[]),
        (json!(["n", true]), &[]),
    ];
    for (path, numbers) in cases {
        check(json!({"action": "select", "path": path}), SQL, json!([path.to_string()]), numbers);
    }
}

#[test]
fn limit_and_offset_cut_the_result() {
    const SQL: &str = "FROM record WHERE bucket IS NOT NULL ORDER BY seq";
    let sql_with = |sql: &str| format!("{SQL} {sql}");
    check(json!({"action": "select", "limit": 2}), &sql_with("LIMIT ?1"), json!([2]), &[1, 2]);
    check(json!({"action": "select", "limit": 0}), &sql_with("LIMIT ?1"), json!([0]), &[]);
    check(json!({"action": "select", "offset": 3}), &sql_with("LIMIT -1 OFFSET ?1"), json!([3]), &[4, 5]);
    check(
        json!({"action": "select", "limit": 2, "offset": 1}),
        &sql_with("LIMIT ?1 OFFSET ?2"),
        json!([2, 1]),
        &[2, 3],
    );
    check(
        json!({"action": "select", "limit": u64::MAX, "offset": u64::MAX}),
        &sql_with("LIMIT ?1 OFFSET ?2"),
        json!([i64::MAX, i64::MAX]),
        &[],
    );
}

#[test]
fn a_record_must_satisfy_all_parts_of_a_select() {
    check(
        json!({"action": "select", "class": "starfleet.com/officer", "path": ["name", "family", null],
               "limit": 5, "misc": "ignored", "comment": "ignored"}),
        "FROM membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL \
         AND class_id = ?1 AND q0_path(bucket, ?2) ORDER BY seq LIMIT ?3",
        json!([OFFICER, r#"["name","family",null]"#, 5]),
        &[4],
    );
}

#[test]
fn conditions_compile_to_sql_with_a_function_call_per_path() {
    check(
        json!({"action": "select", "class": "starfleet.com/officer", "any": [
            {"path": ["n", {"lt": 2}]},
            {"not": true, "class": ["starfleet.com/doctor", "starfleet.com/ship"], "pk": "x"},
            {"all": []},
        ], "then": {"any": []}}),
        "FROM membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND class_id = ?1 \
         AND (q0_path(bucket, ?2) OR NOT (EXISTS (SELECT 1 FROM membership WHERE membership.seq = record.seq \
         AND class_id IN rarray(?3)) AND pk = ?4) OR 1) AND 0 ORDER BY seq",
        json!([OFFICER, r#"["n",{"lt":2}]"#, [SHIP, DOCTOR], "x"]),
        &[],
    );
    check(
        json!({"action": "select", "all": [{"not": true, "pk": []}, {"not": true, "path": ["n", 1]}]}),
        "FROM record WHERE bucket IS NOT NULL AND NOT pk IN rarray(?1) AND NOT q0_path(bucket, ?2) \
         ORDER BY seq",
        json!([[], r#"["n",1]"#]),
        &[2, 3, 4, 5],
    );
}

#[test]
fn a_select_by_pks_in_memory_reads_the_rows_that_a_map_has_for_them() {
    let db = sqlite();
    let [a, b] = [1, 2].map(|n| create(&db, json!({ "n": n })));
    let explanation = db.explain(json!({"action": "select", "pk": [b, "unknown", a], "limit": 1})).unwrap();
    let columns = "seq, pk, bucket, stack, extras, created_at, updated_at";
    let sql = format!(
        "SELECT {columns} FROM record WHERE bucket IS NOT NULL AND seq IN rarray(?1) AND pk IN rarray(?2) \
         ORDER BY seq LIMIT ?3"
    );
    assert_eq!(explanation.sql, Some(sql));
    assert_eq!(Value::from(explanation.values), json!([[2, 1], [b, "unknown", a], 1]));
    assert_eq!(explanation.plan[0], "SEARCH record USING INTEGER PRIMARY KEY (rowid=?)");
    let either = json!({"action": "select", "any": [{"pk": b}, {"pk": ["unknown", a]}]});
    assert_eq!(db.explain(either.clone()).unwrap().plan, explanation.plan);
    assert_eq!(buckets(&db, either), [json!({"n": 1}), json!({"n": 2})]);
}

#[test]
fn a_sort_compiles_to_one_function_call_per_record() {
    const BY: &str = r#"["name","family",{"case-sensitive":false}]"#;
    let sorted = json!({
        "action": "select", "sort": ["name", "family", {"case-sensitive": false, "reverse": true}],
        "sorts": [[{"record": "updated_at"}]],
    });
    check(
        sorted.clone(),
        "FROM record WHERE bucket IS NOT NULL \
         ORDER BY q0_key(bucket, ?1) DESC NULLS LAST, updated_at NULLS LAST, seq",
        json!([BY]),
        &[2, 1, 3, 4, 5],
    );
    let mut limited = sorted;
    limited["limit"] = 2.into();
    check(
        limited,
        "FROM (SELECT seq, q0_key(bucket, ?1) AS key_0, updated_at AS key_1 \
         FROM record WHERE bucket IS NOT NULL \
         ORDER BY key_0 DESC NULLS LAST, key_1 NULLS LAST, seq LIMIT ?2) CROSS JOIN record USING (seq) \
         ORDER BY key_0 DESC NULLS LAST, key_1 NULLS LAST, seq",
        json!([BY, 2]),
        &[2, 1],
    );
}

#[test]
fn conditions_that_can_fail_are_left_to_the_evaluator() {
    let request = json!({
        "action": "select", "class": "starfleet.com/officer", "path": ["n", {"gte": 2}], "limit": 1,
        "any": [{}, {"path": ["n", {"placeholder": "undefined"}]}], "sort": ["n"],
    });
    check(
        request,
        "FROM membership CROSS JOIN record USING (seq) WHERE bucket IS NOT NULL AND class_id = ?1 \
         AND q0_path(bucket, ?2) ORDER BY seq",
        json!([OFFICER, r#"["n",{"gte":2}]"#]),
        &[2],
    );
}

#[test]
fn a_select_by_pks_returns_records_in_order_of_creation() {
    let db = db();
    let [a, b, c] = [1, 2, 3].map(|n| create(&db, json!({ "n": n })));
    run(&db, json!({"action": "delete", "pk": b}));
    let numbers =
        |request| buckets(&db, request).iter().map(|bucket| bucket["n"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(json!({"action": "select", "pk": [c, a, c, b, "unknown"]})), [1, 3]);
    assert_eq!(numbers(json!({"action": "select", "pk": c})), [3]);
    assert_eq!(numbers(json!({"action": "select", "pk": []})), Vec::<Value>::new());
    let request = json!({"action": "select", "pk": [a, c], "class": "puck.uno/record", "path": ["n", 3]});
    assert_eq!(numbers(request), [3]);
}

#[test]
fn a_pk_list_may_be_longer_than_sqlite_has_parameters() {
    let db = db();
    let pk = create(&db, json!({}));
    let mut pks: Vec<_> = (0..100_000).map(|n| n.to_string()).collect();
    pks.push(pk);
    assert_eq!(buckets(&db, json!({"action": "select", "pk": pks})).len(), 1);
}

#[test]
fn by_class_returns_the_records_of_a_select_by_class() {
    let db = crew();
    let request = json!({"action": "select", "class": "starfleet.com/officer"});
    let selected = db.q0(request).unwrap().into_records().unwrap();
    assert_eq!(db.by_class("https://starfleet.com/officer").unwrap(), selected);
    assert!(db.by_class("starfleet.com/nobody").unwrap().is_empty());
    assert!(db.by_class("nobody").is_err());
}

/// The methods that run a select, with a request of another action.
#[test]
fn a_method_that_runs_a_select_takes_no_other_action() {
    let db = db();
    create(&db, json!({}));
    for action in [json!("delete"), json!("commit"), json!(["select"])] {
        let query = || json!({"action": action, "where": {}, "limit": 10});
        let errors = [
            db.select(query()).unwrap_err(),
            db.count(query()).unwrap_err(),
            db.iter(query()).err().unwrap(),
            db.watch(query()).err().unwrap(),
            db.claim(query(), Duration::from_secs(1)).err().unwrap(),
        ];
        for error in errors {
            assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
            assert_eq!(error.items()[0].details["pointer"], "/action");
        }
    }
    assert_eq!(db.count(json!({})).unwrap(), 1);
}

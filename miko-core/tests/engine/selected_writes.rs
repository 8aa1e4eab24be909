//! Writes with `where`: they change the records that conditions select, all or none.

use miko_core::q0::{Condition, Delete, Edit, Edits, Patch, Select, Sort, eq, gt};
use miko_core::{ErrorId, MAX_CHANGED_PKS, Results};
use serde_json::{Value, json};

use crate::support::{Local, buckets, db, failure, ids, read, run};

/// Records with the numbers from 0 on. The even ones are of a subclass.
fn numbers(count: u64) -> (Local, Vec<String>) {
    let db = db();
    let n = json!({"n": {"class": "number", "unique": true}, "tag": {"class": "string"}, "seen": {}});
    let even = json!({"inherits": "a.b/number", "fields": {"next": {"class": "puck.uno/reference",
                      "on_delete": "restrict"}}});
    db.import_schema(json!({"classes": {"a.b/number": {"fields": n}, "a.b/even": even}})).unwrap();
    let class = |n: u64| if n.is_multiple_of(2) { "a.b/even" } else { "a.b/number" };
    let create = |n: u64| run(&db, json!({"action": "create", "class": class(n), "bucket": {"n": n}}));
    let pks = (0..count).map(create).collect();
    (db, pks)
}

/// The numbers of the records for which the condition holds.
fn found(db: &Local, path: Value) -> Vec<u64> {
    let found = buckets(db, json!({"action": "select", "class": "a.b/number", "path": path}));
    found.iter().map(|bucket| bucket["n"].as_u64().unwrap()).collect()
}

/// Runs a write, and returns the positions of the changed records in `pks`, in the order of the answer.
fn changed(db: &Local, pks: &[String], request: Value) -> Vec<usize> {
    let Results::Changed { count, pks: found } = db.q0(request).unwrap().results else {
        panic!("the results of a write with conditions")
    };
    assert_eq!(count, found.len() as u64);
    found.iter().map(|pk| pks.iter().position(|known| known == pk).unwrap()).collect()
}

#[test]
fn a_write_changes_the_records_that_its_conditions_select() {
    let cases = [
        (json!({"class": "a.b/number"}), json!({}), vec![0, 1, 2, 3, 4]),
        (json!({"class": "a.b/even"}), json!({}), vec![0, 2, 4]),
        (json!({"class": "a.b/number", "path": ["n", {"gte": 3}]}), json!({}), vec![3, 4]),
        (json!({"path": ["n", 1]}), json!({}), vec![1]),
        (json!({"pk": ["nobody"]}), json!({}), vec![]),
        (json!({"class": "a.b/number"}), json!({"sort": ["n", {"reverse": true}], "limit": 2}), vec![4, 3]),
        (json!({"class": "a.b/number"}), json!({"limit": 0}), vec![]),
        (
            json!({"any": [{"path": ["n", 1]}, {"path": ["n", 2]}], "then": {"class": "a.b/even"}}),
            json!({}),
            vec![2],
        ),
        (
            json!({"placeholders": {"p": 3, "most": 1}, "class": "a.b/number",
                   "path": ["n", {"lt": {"placeholder": "p"}}]}),
            json!({"sorts": [["n", {"reverse": true}]], "limit": {"placeholder": "most"}}),
            vec![2],
        ),
    ];
    for (conditions, order, expected) in cases {
        let (db, pks) = numbers(5);
        let request = |action: &str, rest: Value| {
            let mut request = json!({"action": action, "where": conditions});
            let map = request.as_object_mut().unwrap();
            map.extend(order.as_object().unwrap().clone());
            map.extend(rest.as_object().unwrap().clone());
            request
        };
        let mut sorted: Vec<u64> = expected.iter().map(|n| *n as u64).collect();
        sorted.sort_unstable();
        let edits = json!({"edits": [{"path": ["seen"], "increment": 1}]});
        assert_eq!(changed(&db, &pks, request("edit", edits)), expected, "{conditions}");
        assert_eq!(found(&db, json!(["seen", 1])), sorted);
        let patch = json!({"bucket": {"tag": "patched"}});
        assert_eq!(changed(&db, &pks, request("patch", patch)), expected, "{conditions}");
        assert_eq!(found(&db, json!(["tag", "patched"])), sorted);
        assert_eq!(changed(&db, &pks, request("delete", json!({}))), expected, "{conditions}");
        let remaining: Vec<u64> = (0..5).filter(|n| !sorted.contains(n)).collect();
        assert_eq!(found(&db, json!(["n", {"exists": true}])), remaining);
    }
}

#[test]
fn a_refused_record_refuses_the_whole_write() {
    let (db, pks) = numbers(4);
    // Unique values are checked after all records were changed, so all of their faults are reported; of other
    // faults only the first.
    let taken_values = vec![ErrorId::UNIQUE_VIOLATION; 3];
    let refused = [
        (json!({"edits": [{"path": ["n"], "test": 0}]}), vec![ErrorId::CONFLICT], 1),
        (json!({"edits": [{"path": ["n"], "set": "x"}]}), vec![ErrorId::VALIDATION_FAILED], 0),
        (json!({"edits": [{"path": ["n"], "set": 7}]}), taken_values, 1),
    ];
    for (rest, expected, index) in refused {
        let mut request = json!({"action": "edit", "where": {"class": "a.b/number"}});
        request.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let error = failure(&db, request);
        assert_eq!(ids(&error), expected);
        assert_eq!(error.items()[0].details["pk"], pks[index]);
    }
    // A condition that fails only when it is evaluated for a record fails the write, too.
    let broken = json!({"class": "a.b/number", "path": ["n", {"placeholder": "nowhere"}]});
    let error = failure(&db, json!({"action": "delete", "where": broken}));
    assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
}

#[test]
fn records_that_refer_to_each_other_are_deleted_together() {
    let (db, pks) = numbers(4);
    run(&db, json!({"action": "patch", "pk": pks[0], "bucket": {"next": pks[2]}}));
    run(&db, json!({"action": "patch", "pk": pks[2], "bucket": {"next": pks[0]}}));
    let delete = |below: u64| {
        let conditions = json!({"class": "a.b/number", "path": ["n", {"lt": below}]});
        json!({"action": "delete", "where": conditions})
    };
    assert_eq!(ids(&failure(&db, delete(2))), [ErrorId::REFERENCE_RESTRICTED]);
    assert_eq!(changed(&db, &pks, delete(3)), [0, 1, 2]);
}

#[test]
fn each_changed_record_has_one_new_version() {
    let (db, pks) = numbers(3);
    let before = read(&db, &pks[0]).updated_at;
    let edits = json!([{"path": ["seen"], "set": 1}, {"path": ["seen"], "increment": 1}]);
    db.q0(json!({"action": "edit", "where": {"class": "a.b/even"}, "edits": edits})).unwrap();
    assert!(read(&db, &pks[0]).updated_at > before);
    if db.properties().unwrap().temporal {
        let versions: Vec<usize> = pks.iter().map(|pk| db.history(pk).unwrap().len()).collect();
        assert_eq!(versions, [2, 1, 2]);
    }
}

#[test]
fn the_answer_has_the_first_pks_and_the_number_of_all() {
    let (db, _) = numbers(0);
    let buckets = (0..MAX_CHANGED_PKS + 10).map(|n| json!({"n": n}).into()).collect();
    let pks = db.create_many("a.b/number", buckets).unwrap();
    let patch = json!({"action": "patch", "where": {"class": "a.b/number"}, "bucket": {"tag": "x"}});
    let expected = Results::Changed { count: pks.len() as u64, pks: pks[..MAX_CHANGED_PKS].to_vec() };
    assert_eq!(db.q0(patch).unwrap().results, expected);
}

#[test]
fn a_batch_writes_what_it_has_just_created() {
    let (db, _) = numbers(1);
    let edits = json!([{"path": ["n"], "increment": 1}]);
    let answers = db
        .batch(
            vec![
                json!({"action": "create", "pk": "mine", "class": "a.b/number", "bucket": {"n": 9}}),
                json!({"action": "edit", "where": {"path": ["n", 9]}, "edits": edits}),
                json!({"action": "delete", "where": {"path": ["n", 9]}}),
            ],
            true,
        )
        .unwrap();
    let results: Vec<Results> = answers.into_iter().map(|answer| answer.unwrap().results).collect();
    assert_eq!(results[1], Results::Changed { count: 1, pks: vec!["mine".to_owned()] });
    assert_eq!(results[2], Results::Changed { count: 0, pks: vec![] });
    assert_eq!(read(&db, "mine").bucket.as_str(), r#"{"n":10}"#);
}

#[test]
fn a_write_takes_a_select_that_was_built_as_its_conditions() {
    let (db, pks) = numbers(4);
    let select = || Select::class("a.b/number").sort(Sort::by(["n"]).reverse()).limit(2);
    let edits = Edits::new().increment(["seen"], 1);
    assert_eq!(changed(&db, &pks, Edit::selected(select()).edits(edits).into()), [3, 2]);
    let patch = Patch::selected(select().path(["n"], gt(2))).bucket(json!({"tag": "x"}));
    assert_eq!(changed(&db, &pks, patch.into()), [3]);
    let any = [Condition::path(["n"], eq(0)), Condition::path(["n"], eq(1))];
    assert_eq!(changed(&db, &pks, Delete::selected(Select::all().any_of(any)).into()), [0, 1]);
}

#[test]
fn the_faults_of_an_order_are_found_beside_a_where_that_is_refused() {
    let (db, _) = numbers(0);
    let cases = [
        (json!({"where": 1, "limit": -1}), vec!["/where", "/limit"]),
        (json!({"where": [], "sort": 5, "limit": true}), vec!["/where", "/sort", "/limit"]),
        (json!({"where": {}, "sort": 5}), vec!["/where", "/sort"]),
        (json!({"where": 1, "sort": ["n"], "limit": 1}), vec!["/where"]),
    ];
    for (order, expected) in cases {
        let mut request = json!({"action": "delete"});
        request.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
        let error = db.q0(request.clone()).unwrap_err();
        let mut places: Vec<&str> =
            error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
        places.sort_by_key(|place| expected.iter().position(|known| known == place));
        assert_eq!(places, expected, "{request}: {error}");
    }
}

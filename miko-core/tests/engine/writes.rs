//! Creating, updating and deleting.

use miko_core::{ErrorId, Results};
use serde_json::{Value, json};

use crate::support::{Local, create, db, failure, ids, read, run};

fn stack(db: &Local, pk: &str) -> String {
    read(db, pk).stack.to_string()
}

fn members(db: &Local, class: &str) -> usize {
    db.by_class(class).unwrap().count()
}

#[test]
fn a_created_record_is_read_back_unchanged() {
    let db = db();
    let bucket = json!({"z": 1, "a": [1.0, {"é": null}], "": "", "class": "no key is reserved", "pk": true});
    let pk = create(&db, bucket.clone());
    let record = read(&db, &pk);
    assert_eq!(record.bucket.to_string(), bucket.to_string());
    assert_eq!(record.stack.to_string(), r#"{"shadow":{},"record":{"class":"puck.uno/record"}}"#);
    assert_eq!(record.extras, None);
    assert_eq!(record.created_at, record.updated_at);
    assert_eq!(pk.len(), 36);
    assert_eq!(&pk[14..15], "7", "a UUID v7: {pk}");
}

#[test]
fn a_stack_comes_from_class_classes_or_stack() {
    let cases = [
        (json!({"class": "https://foo.com/a"}), r#"{"shadow":{},"a":{"class":"foo.com/a"}}"#),
        (json!({"class": null}), r#"{"shadow":{},"record":{"class":"puck.uno/record"}}"#),
        (
            json!({"classes": ["foo.com/a", "bar.com/a"]}),
            r#"{"shadow":{},"a":{"class":"foo.com/a"},"a_2":{"class":"bar.com/a"}}"#,
        ),
        (
            json!({"classes": {"mine": {"sticky": true, "class": "http://foo.com/a", "bucket": {"x": 1}}}}),
            r#"{"shadow":{},"mine":{"sticky":true,"class":"foo.com/a","bucket":{"x":1}}}"#,
        ),
        (
            json!({"stack": {"shadow": {"note": 1}, "b": {"class": "foo.com/b", "extra": []}}}),
            r#"{"shadow":{"note":1},"b":{"class":"foo.com/b","extra":[]}}"#,
        ),
        (json!({"stack": {"b": {"class": "foo.com/b"}}}), r#"{"shadow":{},"b":{"class":"foo.com/b"}}"#),
    ];
    for (mut request, expected) in cases {
        let db = db();
        request["action"] = "create".into();
        request["bucket"] = json!({});
        assert_eq!(stack(&db, &run(&db, request)), expected);
    }
}

#[test]
fn pass_through_keys_are_kept_and_an_update_replaces_those_it_names() {
    let db = db();
    let pk = run(
        &db,
        json!({
            "action": "create", "bucket": {}, "comment": null, "misc": {"b": 1, "a": 2},
            "custom_classes": {"$money": "https://foo.com/money"}, "corporate": "x",
        }),
    );
    let extras = |db| read(db, &pk).extras.unwrap().to_string();
    assert_eq!(
        extras(&db),
        r#"{"custom_classes":{"$money":"foo.com/money"},"comment":null,"misc":{"b":1,"a":2},"corporate":"x"}"#
    );
    run(&db, json!({"action": "update", "pk": pk, "bucket": {}, "vibecode": 1, "misc": 2}));
    assert_eq!(
        extras(&db),
        concat!(
            r#"{"custom_classes":{"$money":"foo.com/money"},"vibecode":1,"comment":null,"#,
            r#""misc":2,"corporate":"x"}"#
        )
    );
}

#[test]
fn an_update_replaces_the_whole_bucket_and_leaves_the_rest() {
    let db = db();
    let pk = run(&db, json!({"action": "create", "class": "foo.com/a", "bucket": {"a": 1, "b": 2}}));
    let before = read(&db, &pk);
    let response = db.q0(json!({"action": "update", "pk": pk, "bucket": {"b": 3}})).unwrap();
    let after = read(&db, &pk);
    assert_eq!(response.results, Results::Written { pk, updated_at: after.updated_at });
    assert_eq!(after.bucket.as_str(), r#"{"b":3}"#);
    assert_eq!((after.stack, after.created_at), (before.stack, before.created_at));
}

#[test]
fn updated_at_strictly_increases() {
    let db = db();
    let pk = create(&db, json!({}));
    let mut last = read(&db, &pk).updated_at;
    for n in 0..50 {
        run(&db, json!({"action": "update", "pk": pk, "bucket": {"n": n}}));
        let updated_at = read(&db, &pk).updated_at;
        assert!(updated_at > last);
        last = updated_at;
    }
}

#[test]
fn classes_change_with_the_stack() {
    let db = db();
    let pk = run(
        &db,
        json!({"action": "create", "bucket": {}, "stack": {
        "shadow": {"kept": true}, "a": {"class": "foo.com/a", "sticky": 1}, "b": {"class": "foo.com/b"}}}),
    );
    let after = |change: Value| {
        let mut request = json!({"action": "update", "pk": pk});
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        run(&db, request);
        let stack = stack(&db, &pk);
        let member_counts = ["a", "b", "c"].map(|name| members(&db, &format!("foo.com/{name}")));
        (stack, member_counts)
    };
    assert_eq!(
        after(json!({"class": "foo.com/c"})),
        (
            r#"{"shadow":{"kept":true},"c":{"class":"foo.com/c","sticky":1},"b":{"class":"foo.com/b"}}"#
                .to_owned(),
            [0, 1, 1]
        )
    );
    assert_eq!(
        after(json!({"classes": ["foo.com/a", "foo.com/b"]})),
        (
            r#"{"shadow":{"kept":true},"a":{"class":"foo.com/a"},"b":{"class":"foo.com/b"}}"#.to_owned(),
            [1, 1, 0]
        )
    );
    assert_eq!(
        after(json!({"stack": {"shadow": {}, "x": {"class": "foo.com/b"}, "y": {"class": "foo.com/b"}}})),
        (r#"{"shadow":{},"x":{"class":"foo.com/b"},"y":{"class":"foo.com/b"}}"#.to_owned(), [0, 1, 0])
    );
    after(json!({"class": null}));
    assert_eq!(members(&db, "puck.uno/record"), 1);
    assert_eq!(members(&db, "foo.com/b"), 1, "the second platter stays");
}

#[test]
fn a_conditional_update_fails_after_another_update() {
    let db = db();
    let pk = create(&db, json!({"n": 0}));
    let seen = read(&db, &pk).updated_at.to_string();
    let update = json!({"action": "update", "pk": pk, "bucket": {"n": 1}, "if_updated_at": seen});
    run(&db, update.clone());
    let error = failure(&db, update);
    assert_eq!(ids(&error), [ErrorId::CONFLICT]);
    let details = &error.items()[0].details;
    assert_eq!(details["retryable"], true);
    assert_eq!(details["expected"], seen);
    assert_eq!(details["found"], read(&db, &pk).updated_at.to_string());
}

#[test]
fn a_write_to_a_deleted_record_says_that_the_record_is_deleted() {
    let db = db();
    let pk = run(&db, json!({"action": "create", "class": "foo.com/a", "bucket": {}, "comment": "secret"}));
    let delete = json!({"action": "delete", "pk": pk});
    assert_eq!(db.q0(delete.clone()).unwrap().results, Results::Deleted { pk: pk.clone(), deleted: true });
    assert_eq!(db.record_by_pk(&pk).unwrap(), None);
    assert_eq!(members(&db, "foo.com/a"), 0);
    let update = json!({"action": "update", "pk": pk, "bucket": {}, "if_updated_at": "2000-01-01T00:00:00Z"});
    for request in [delete, update] {
        let error = failure(&db, request);
        assert_eq!(ids(&error), [ErrorId::RECORD_DELETED]);
        assert_eq!(error.items()[0].details["pk"], pk);
    }
}

#[test]
fn a_record_that_never_existed_is_not_found() {
    let db = db();
    for request in [
        json!({"action": "update", "pk": "nobody", "bucket": {}}),
        json!({"action": "delete", "pk": "nobody"}),
        json!({"action": "delete", "pk": "nobody", "if_exists": false}),
    ] {
        assert_eq!(ids(&failure(&db, request)), [ErrorId::RECORD_NOT_FOUND]);
    }
    assert_eq!(db.record_by_pk("nobody").unwrap(), None);
}

#[test]
fn deleting_if_it_exists_always_succeeds() {
    let db = db();
    let pk = create(&db, json!({}));
    let delete = |pk: &str| {
        let request = json!({"action": "delete", "pk": pk, "if_exists": true});
        let Results::Deleted { deleted, .. } = db.q0(request).unwrap().results else { panic!("no delete") };
        deleted
    };
    assert_eq!([delete(&pk), delete(&pk), delete("nobody")], [true, false, false]);
}

#[test]
fn threads_share_an_engine() {
    let db = db();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || (0..50).for_each(|n| drop(create(db, json!({"thread": thread, "n": n})))));
        }
    });
    assert_eq!(members(&db, "puck.uno/record"), 200);
}

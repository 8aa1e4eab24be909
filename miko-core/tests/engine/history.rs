//! Temporal databases: versions, past states, and imports from other databases.

use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt, Timestamp, Version, WorldletEngine};
use serde_json::{Value, json};

use crate::support::{ids, sqlite_in_memory, temporal_sqlite_in_memory};

/// One temporal database of each kind.
fn databases() -> [Box<dyn Engine>; 2] {
    [Box::new(temporal_sqlite_in_memory()), Box::new(WorldletEngine::temporal_in_memory().unwrap())]
}

fn exported(db: &dyn Engine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn select(db: &dyn Engine, query: Value) -> Vec<Value> {
    let records = db.select(query).unwrap();
    records.iter().map(|record| record.bucket.to_map().unwrap().into()).collect()
}

fn versions(db: &dyn Engine, query: Value) -> Vec<Version> {
    db.q0(query).unwrap().into_versions().unwrap()
}

/// The bucket of a version; null for a tombstone.
fn summary(version: &Version) -> Value {
    version.bucket.as_ref().map_or(Value::Null, |bucket| bucket.to_map().unwrap().into())
}

/// A worldlet of versions of records of `a.b/c`: pk, time and bucket of each, or a tombstone.
fn history(entries: &[(&str, &str, &str, Option<Value>)]) -> Value {
    let entries = entries.iter().map(|(instance, pk, time, bucket)| {
        let entry = match bucket {
            Some(bucket) => {
                json!({"identity": pk, "timestamp": time, "active": true, "bucket": bucket, "class": "a.b/c"})
            }
            None => json!({"identity": pk, "timestamp": time, "active": false}),
        };
        ((*instance).to_owned(), entry)
    });
    json!({"properties": {"temporal": true}, "history": entries.collect::<serde_json::Map<_, _>>()})
}

/// An object with its members in this order.
fn object<'k>(members: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let members = members.into_iter().map(|(key, value)| (key.to_owned(), value));
    members.collect::<serde_json::Map<_, _>>().into()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const T1: &str = "2364-01-01T00:00:00.000Z";
const T2: &str = "2365-01-01T00:00:00.000Z";
const T3: &str = "2366-01-01T00:00:00.000Z";
const T4: &str = "2367-01-01T00:00:00.000Z";

#[test]
fn every_write_is_a_version_and_a_deletion_is_a_tombstone() {
    for db in databases() {
        let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
        db.update(&pk, &json!({"n": 2})).unwrap();
        db.delete(&pk).unwrap();
        let history = db.history(&pk).unwrap();
        assert_eq!(
            history.iter().map(summary).collect::<Vec<_>>(),
            [json!({"n": 1}), json!({"n": 2}), Value::Null]
        );
        assert_eq!(history.iter().map(|version| version.active).collect::<Vec<_>>(), [true, true, false]);
        assert!(history.is_sorted_by(|a, b| a.updated_at < b.updated_at));
        assert!(
            history.iter().all(|version| version.pk == pk && version.created_at == history[0].updated_at)
        );
        let mut instances: Vec<_> = history.iter().map(|version| &version.instance_pk).collect();
        instances.sort();
        instances.dedup();
        assert_eq!(instances.len(), 3);
        assert_eq!(ids(&db.history("nobody").unwrap_err()), [ErrorId::RECORD_NOT_FOUND]);
        assert_eq!(ids(&db.update(&pk, &json!({})).unwrap_err()), [ErrorId::RECORD_DELETED]);
    }
}

#[test]
fn a_write_that_fails_or_is_rolled_back_leaves_no_version() {
    for db in databases() {
        db.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {"unique": true}}}}})).unwrap();
        let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
        db.create("a.b/c", &json!({"n": 2})).unwrap();
        let before = exported(&*db);
        assert_eq!(ids(&db.update(&pk, &json!({"n": 2})).unwrap_err()), [ErrorId::UNIQUE_VIOLATION]);
        let update = |n| json!({"action": "update", "pk": pk, "bucket": {"n": n}});
        assert!(db.batch(vec![update(3), update(2)], true).is_err());
        assert_eq!(exported(&*db), before);
        assert_eq!(db.history(&pk).unwrap().len(), 1);
    }
}

#[test]
fn a_database_without_history_refuses_requests_for_versions() {
    let databases: [Box<dyn Engine>; 2] =
        [Box::new(sqlite_in_memory()), Box::new(WorldletEngine::in_memory().unwrap())];
    for db in databases {
        let pk = db.create("a.b/c", &json!({})).unwrap();
        let cutoff = json!({"action": "select", "cutoff": T1});
        for error in [
            db.history(&pk).unwrap_err(),
            db.q0(json!({"action": "select", "history": true})).unwrap_err(),
            db.q0(cutoff).unwrap_err(),
            db.merge(history(&[])).unwrap_err(),
        ] {
            assert_eq!(ids(&error), [ErrorId::NOT_TEMPORAL]);
        }
        let worldlet = history(&[("v1", "a", T1, Some(json!({})))]).to_string();
        let error = db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap_err();
        assert!(error.to_string().contains("goes into a temporal database only"), "{error}");
    }
}

#[test]
fn a_stream_with_a_cutoff_shows_the_state_in_which_it_was_opened() {
    for db in databases() {
        let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
        // A cutoff in the future, and the present.
        for cutoff in ["9000-01-01T00:00:00Z", &Timestamp::now().to_string()] {
            let select = json!({"action": "select", "class": "a.b/c", "cutoff": cutoff});
            let before = select_one(&*db, &select);
            let stream = db.select_stream(select).unwrap();
            db.update(&pk, &json!({"n": 2})).unwrap();
            db.update(&pk, &json!({"n": 3})).unwrap();
            let found: Vec<Value> = stream.map(|one| one.unwrap().bucket.to_map().unwrap().into()).collect();
            assert_eq!(found, [before], "{cutoff}");
        }
    }
}

#[test]
fn streams_show_all_versions_as_they_were_whatever_is_written_meanwhile() {
    fn import(db: &dyn Engine, record: Value) {
        let worldlet = json!({"records": {"a": record}}).to_string();
        db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    }
    fn import_n(db: &dyn Engine, n: u64, updated_at: &str) {
        import(db, json!({"class": "a.b/c", "bucket": {"n": n}, "created_at": T2, "updated_at": updated_at}));
    }
    fn merge(db: &dyn Engine, time: &str) {
        assert_eq!(db.merge(history(&[(time, "a", time, Some(json!({})))])).unwrap().accepted.len(), 1);
    }
    const BETWEEN: &str = "2365-07-01T00:00:00.000Z";
    type Write = (&'static str, fn(&dyn Engine));
    let writes: [Write; 9] = [
        ("the same import", |db| import_n(db, 2, T3)),
        ("an import of other content", |db| import_n(db, 5, T3)),
        ("an import without times", |db| import(db, json!({"class": "a.b/c", "bucket": {"n": 2}}))),
        ("an earlier time of creation", |db| {
            let stub = json!({"a": {"created_at": T1}});
            db.merge(json!({"properties": {"temporal": true}, "records": stub, "history": {}}))
                .map(drop)
                .unwrap();
        }),
        ("an earlier version", |db| merge(db, T1)),
        ("a version between the others", |db| merge(db, BETWEEN)),
        ("a later version", |db| merge(db, T4)),
        ("an update", |db| db.update("a", &json!({"n": 3})).unwrap()),
        ("a deletion", |db| db.delete("a").unwrap()),
    ];
    for (name, write) in writes {
        for imports_again in [false, true] {
            for db in databases() {
                import_n(&*db, 1, T2);
                import_n(&*db, 2, T3);
                let export = (exported(&*db), db.export().unwrap());
                let selects = [T1, T2, BETWEEN, T3, "9000-01-01T00:00:00Z"].map(|cutoff| {
                    let select = json!({"action": "select", "cutoff": cutoff});
                    let found: Vec<_> = db.select(select.clone()).unwrap().iter().cloned().collect();
                    (cutoff, found, db.select_stream(select).unwrap())
                });
                if imports_again {
                    import_n(&*db, 2, T3);
                }
                write(&*db);
                let text: Vec<u8> = export.1.flat_map(|piece| piece.unwrap().to_vec()).collect();
                let after = if imports_again { "the same import, then " } else { "" };
                assert_eq!(String::from_utf8(text).unwrap(), export.0, "after {after}{name}");
                for (cutoff, found, stream) in selects {
                    let streamed: Vec<_> = stream.map(Result::unwrap).collect();
                    assert_eq!(streamed, found, "as of {cutoff}, after {after}{name}");
                }
            }
        }
    }
}

fn select_one(db: &dyn Engine, select: &Value) -> Value {
    let mut found = self::select(db, select.clone());
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_cutoff_shows_the_state_of_that_time() {
    for db in databases() {
        let entries = [
            ("v1", "a", T1, Some(json!({"n": 1}))),
            ("v2", "b", T2, Some(json!({"n": 10}))),
            ("v3", "a", T3, Some(json!({"n": 2}))),
            ("v4", "b", T4, None),
        ];
        assert_eq!(db.merge(history(&entries)).unwrap().accepted.len(), 4);
        let select_at = |cutoff: &str| select(&*db, json!({"class": "a.b/c", "cutoff": cutoff}));
        assert_eq!(select_at("2363-12-31T23:59:59.999Z"), [] as [Value; 0]);
        assert_eq!(select_at(T1), [json!({"n": 1})], "a version is current from its own time on");
        assert_eq!(select_at(T2), [json!({"n": 1}), json!({"n": 10})]);
        assert_eq!(select_at("2366-01-01T02:00:00.000+02:00"), [json!({"n": 2}), json!({"n": 10})]);
        assert_eq!(select_at(T4), [json!({"n": 2})]);
        assert_eq!(select(&*db, json!({"class": "a.b/c"})), [json!({"n": 2})], "without a cutoff");
        let sorted =
            json!({"cutoff": T2, "sort": ["n", {"reverse": true}], "limit": 1, "path": ["n", {"gt": 0}]});
        assert_eq!(select(&*db, sorted), [json!({"n": 10})]);
        assert_eq!(select(&*db, json!({"cutoff": T2, "pk": ["b", "nobody", "b"]})), [json!({"n": 10})]);
    }
}

#[test]
fn all_writes_of_a_transaction_have_one_time() {
    for db in databases() {
        // So many that they take longer than a millisecond, the resolution of times.
        let create = json!({"action": "create", "class": "a.b/c", "bucket": {}});
        let answers = db.batch(vec![create; 500], true).unwrap();
        assert_eq!(answers.len(), 500);
        let records = db.by_class("a.b/c").unwrap();
        assert!(records.iter().all(|record| record.updated_at == records[0].updated_at));
    }
}

#[test]
fn a_transaction_is_not_dated_into_the_future_by_a_definition_before_it() {
    const END: &str = "2999-01-01T00:00:00.000Z";
    for db in databases() {
        let define = |active: bool| {
            let version =
                json!({"identity": "d", "timestamp": if active { T1 } else { END }, "active": active});
            let content = json!({"class": "puck.uno/class", "bucket": {"name": "a.b/x"}});
            let mut version = version.as_object().unwrap().clone();
            version.extend(content.as_object().unwrap().clone().into_iter().filter(|_| active));
            version
        };
        let versions = json!({"v1": define(true), "v2": define(false)});
        let worldlet = json!({"properties": {"temporal": true}, "history": versions}).to_string();
        db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
        let schema = json!({"classes": {"a.b/x": {}}});
        db.transaction(|tx| tx.import_schema(schema.clone()).and_then(|_| tx.commit())).unwrap();
        let definitions = db.select(json!({"class": "puck.uno/class"})).unwrap();
        assert!(definitions[0].created_at >= time(END), "it begins after the former one");
        let before = Timestamp::now();
        for _ in 0..3 {
            let mut pk = String::new();
            db.transaction(|tx| {
                pk = tx.create("a.b/other", &json!({}))?;
                tx.commit()
            })
            .unwrap();
            let created = db.record_by_pk(&pk).unwrap().unwrap().created_at;
            assert!(before <= created && created < time(T1), "{created}");
        }
    }
}

#[test]
fn a_select_with_a_cutoff_uses_the_class_definitions_of_that_time() {
    for db in databases() {
        let define = |parents: Value| {
            let sub = json!({ "inherits": parents });
            json!({"classes": {"a.b/base": {}, "a.b/other": {}, "a.b/sub": sub}})
        };
        db.import_schema(define(json!(["a.b/base"]))).unwrap();
        let pk = db.create("a.b/sub", &json!({})).unwrap();
        let time_of_creation = db.history(&pk).unwrap()[0].updated_at;
        // The definition is changed in a later millisecond than the record.
        while Timestamp::now() <= time_of_creation {}
        db.import_schema(define(json!(["a.b/other"]))).unwrap();
        let count = |class: &str, cutoff: Option<Timestamp>| {
            let mut query = json!({"class": class});
            if let Some(cutoff) = cutoff {
                query["cutoff"] = cutoff.to_string().into();
            }
            db.count(query).unwrap()
        };
        assert_eq!((count("a.b/base", None), count("a.b/other", None)), (0, 1));
        assert_eq!(
            (count("a.b/base", Some(time_of_creation)), count("a.b/other", Some(time_of_creation))),
            (1, 0)
        );
    }
}

#[test]
fn at_a_cutoff_the_parents_are_left_out_that_were_not_defined_then() {
    // The versions of definitions: the number of the class, the time, and the numbers of the parents.
    type Definition = (u8, &'static str, &'static [u8]);
    let version = |(number, time, parents): &Definition| {
        let parents: Vec<String> = parents.iter().map(|parent| format!("a.b/c{parent}")).collect();
        let definition = json!({"name": format!("a.b/c{number}"), "inherits": parents});
        let entry = json!({
            "identity": format!("d{number}"), "timestamp": time, "class": "puck.uno/class",
            "bucket": definition,
        });
        (format!("v{number} {time}"), entry)
    };
    // The numbers of the classes whose records are found at T2 as those of class 1, and as those of class 2.
    let cases: [(&[Definition], [&[u8]; 2]); 5] = [
        (&[(1, T1, &[]), (2, T1, &[1])], [&[1, 2], &[2]]),
        // The parent is defined later, also in the middle of the lineage.
        (&[(1, T3, &[]), (2, T1, &[1])], [&[1], &[2]]),
        (&[(1, T1, &[]), (2, T3, &[1]), (3, T1, &[2, 1])], [&[1, 3], &[2]]),
        // A cycle in the past: the first class by name has no parents.
        (&[(1, T1, &[2]), (2, T1, &[1]), (1, T3, &[])], [&[1, 2], &[2]]),
        (&[(1, T1, &[1, 2]), (2, T1, &[]), (1, T3, &[])], [&[1], &[2]]),
    ];
    for (definitions, expected) in cases {
        let mut history: serde_json::Map<_, _> = definitions.iter().map(version).collect();
        for number in 1..=3_u8 {
            let class = format!("a.b/c{number}");
            let entry = json!({"identity": class, "timestamp": T1, "class": class, "bucket": {"n": number}});
            history.insert(class, entry);
        }
        let worldlet = json!({ "history": history }).to_string();
        for db in databases() {
            db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
            for (number, expected) in [1, 2].into_iter().zip(expected) {
                let expected: Vec<Value> = expected.iter().map(|number| json!({ "n": number })).collect();
                let query = json!({"class": format!("a.b/c{number}"), "cutoff": T2});
                assert_eq!(select(&*db, query.clone()), expected, "{worldlet}");
                let mut query = query;
                query["history"] = true.into();
                query["action"] = "select".into();
                let found: Vec<Value> = versions(&*db, query).iter().map(summary).collect();
                assert_eq!(found, expected, "{worldlet}");
                let of_class = db.as_of(time(T2)).by_class(&format!("a.b/c{number}")).unwrap();
                assert_eq!(of_class.count(), expected.len(), "{worldlet}");
            }
        }
    }
}

#[test]
fn a_connection_with_a_cutoff_shows_the_database_as_of_that_time() {
    for db in databases() {
        db.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {}}}}})).unwrap();
        let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
        let deleted = db.create("a.b/c", &json!({"n": 2})).unwrap();
        let time_of_creation = db.record_by_pk(&deleted).unwrap().unwrap().updated_at;
        while Timestamp::now() <= time_of_creation {}
        db.update(&pk, &json!({"n": 3})).unwrap();
        db.delete(&deleted).unwrap();
        db.import_schema(json!({"classes": {"a.b/c": {"fields": {"m": {}}}, "x.y/z": {}}})).unwrap();
        let created_later = db.create("a.b/c", &json!({"n": 4})).unwrap();

        let past = db.as_of(time_of_creation);
        let bucket = |pk: &str| past.record_by_pk(pk).unwrap().map(|record| record.bucket.to_string());
        assert_eq!(bucket(&pk).as_deref(), Some(r#"{"n":1}"#));
        assert_eq!(bucket(&deleted).as_deref(), Some(r#"{"n":2}"#));
        assert_eq!(bucket(&created_later), None);
        assert_eq!(past.by_class("a.b/c").unwrap().count(), 2);
        assert_eq!(
            past.count(json!({"cutoff": T1})).unwrap(),
            3,
            "two records and a definition: the earlier cutoff counts"
        );
        assert_eq!(past.count(json!({"cutoff": "1999-01-01T00:00:00Z"})).unwrap(), 0);
        assert_eq!(
            past.export_schema().unwrap()["classes"],
            json!({"a.b/c": {"name": "a.b/c", "fields": {"n": {}}}})
        );
        assert_eq!(past.history(&pk).unwrap().len(), 1);
        assert_eq!(ids(&past.history(&created_later).unwrap_err()), [ErrorId::RECORD_NOT_FOUND]);
        let select = || json!({"action": "select", "class": "a.b/c"});
        let create = || json!({"action": "create", "bucket": {}});
        assert_eq!(past.batch(vec![select(), select()], true).unwrap().len(), 2);
        let mixed = past.batch(vec![select(), create()], false).unwrap();
        assert!(mixed[0].is_ok() && mixed[1].as_ref().unwrap_err().is(ErrorId::READ_ONLY_CONNECTION));
        for error in [
            past.q0(create()).unwrap_err(),
            past.batch(vec![select(), create()], true).unwrap_err(),
            past.import_schema(json!({"classes": {}})).unwrap_err(),
            past.merge(json!({})).unwrap_err(),
        ] {
            assert_eq!(ids(&error), [ErrorId::READ_ONLY_CONNECTION]);
        }
        assert_eq!(ids(&past.select(json!({"cutoff": 5})).unwrap_err()), [ErrorId::INVALID_REQUEST]);
    }
}

#[test]
fn a_select_with_history_returns_matching_versions_and_the_tombstones_after_them() {
    for db in databases() {
        let entries = [
            ("v1", "a", T1, Some(json!({"n": 1}))),
            ("v2", "b", T2, Some(json!({"n": 10}))),
            ("v3", "a", T3, Some(json!({"n": 2}))),
            ("v4", "b", T4, None),
        ];
        assert_eq!(db.merge(history(&entries)).unwrap().accepted.len(), 4);
        let found = |mut query: Value| {
            query["action"] = "select".into();
            query["history"] = true.into();
            let found = versions(&*db, query);
            found.into_iter().map(|version| version.instance_pk).collect::<Vec<_>>()
        };
        assert_eq!(found(json!({"class": "a.b/c"})), ["v1", "v3", "v2", "v4"]);
        assert_eq!(found(json!({"path": ["n", {"gte": 2}]})), ["v3", "v2", "v4"]);
        assert_eq!(found(json!({"pk": "b"})), ["v2", "v4"]);
        assert_eq!(found(json!({"cutoff": T3, "sort": [{"record": "updated_at"}]})), ["v1", "v2", "v3"]);
        assert_eq!(found(json!({"offset": 1, "limit": 2})), ["v3", "v2"]);
        let json =
            serde_json::to_value(versions(&*db, json!({"action": "select", "history": true}))).unwrap();
        assert_eq!(
            json[3],
            json!({"pk": "b", "instance_pk": "v4", "active": false, "created_at": T2, "updated_at": T4})
        );
    }
}

#[test]
fn a_temporal_worldlet_is_exported_imported_and_exported_to_the_same_bytes() {
    for db in databases() {
        db.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {"unique": true}}}}})).unwrap();
        let [updated, deleted] = [1, 2].map(|n| db.create("a.b/c", &json!({"z": 0, "n": n})).unwrap());
        db.update(&updated, &json!({"n": 1, "f": 1.0, "more": u64::MAX})).unwrap();
        db.q0(json!({"action": "update", "pk": updated, "class": "x.y/z", "comment": [1]})).unwrap();
        db.delete(&deleted).unwrap();
        let worldlet = exported(&*db);
        for copy in databases() {
            copy.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
            assert_eq!(exported(&*copy), worldlet);
            assert_eq!(copy.history(&updated).unwrap(), db.history(&updated).unwrap());
            assert_eq!(ids(&copy.update(&deleted, &json!({})).unwrap_err()), [ErrorId::RECORD_DELETED]);
            copy.create("a.b/c", &json!({"n": 2})).unwrap();
            assert_eq!(
                ids(&copy.create("a.b/c", &json!({"n": 2})).unwrap_err()),
                [ErrorId::UNIQUE_VIOLATION]
            );
        }
        let error = sqlite_in_memory().read_worldlet(&mut worldlet.as_bytes(), true);
        assert!(error.unwrap_err().to_string().contains("goes into a temporal database only"));
    }
}

#[test]
fn records_without_history_are_imported_as_versions() {
    for db in databases() {
        let worldlet = |n| {
            json!({"records": {"a": {"bucket": {"n": n}, "class": "a.b/c", "updated_at": T1}}}).to_string()
        };
        db.read_worldlet(&mut worldlet(1).as_bytes(), false).unwrap();
        db.read_worldlet(&mut worldlet(1).as_bytes(), false).unwrap();
        assert_eq!(db.history("a").unwrap().len(), 1, "importing an unchanged record adds no version");
        db.read_worldlet(&mut worldlet(2).as_bytes(), false).unwrap();
        let history = db.history("a").unwrap();
        assert_eq!(history.iter().map(summary).collect::<Vec<_>>(), [json!({"n": 1}), json!({"n": 2})]);
        assert_eq!(history[0].updated_at, time(T1));
        assert!(history[1].updated_at > time(T1));
    }
}

#[test]
fn versions_are_merged_in_any_order_and_existing_ones_are_skipped() {
    let entries = [
        ("v1", "a", T1, Some(json!({"n": 1}))),
        ("v2", "a", T2, Some(json!({"n": 2}))),
        ("v3", "a", T3, None),
        ("v4", "a", T4, Some(json!({"n": 4}))),
    ];
    let orders: [[usize; 4]; 4] = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
    for order in orders {
        for db in databases() {
            for index in order {
                let merged = db.merge(history(&entries[index..=index])).unwrap();
                assert_eq!(merged.accepted, [entries[index].0]);
            }
            let found = db.history("a").unwrap();
            assert_eq!(
                found.iter().map(|version| version.instance_pk.as_str()).collect::<Vec<_>>(),
                ["v1", "v2", "v3", "v4"]
            );
            assert!(found.iter().all(|version| version.created_at == time(T1)), "{order:?}");
            assert_eq!(select(&*db, json!({"class": "a.b/c"})), [json!({"n": 4})]);
            let merged = db.merge(history(&entries)).unwrap();
            assert_eq!((merged.accepted.len(), merged.skipped.len()), (0, 4));
        }
    }
}

#[test]
fn a_record_is_created_when_its_stub_says_or_with_its_first_version_whatever_the_order_of_the_text() {
    let version = |time| json!({"identity": "a", "timestamp": time, "class": "a.b/c", "bucket": {}});
    let histories =
        || [json!({"v2": version(T2), "v3": version(T3)}), json!({"v3": version(T3), "v2": version(T2)})];
    for (stub, created_at) in [
        (json!({}), T2),
        (json!({"comment": "without a time"}), T2),
        (json!({"created_at": T1}), T1),
        (json!({"created_at": T4}), T4),
    ] {
        let mut exports = Vec::new();
        for history in histories() {
            let parts = [
                ("properties", json!({"temporal": true})),
                ("records", json!({"a": stub})),
                ("history", history),
            ];
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let parts = order.map(|index| parts[index].clone());
                let worldlet = object(parts).to_string();
                for db in databases() {
                    db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
                    assert!(
                        db.history("a").unwrap().iter().all(|version| version.created_at == time(created_at)),
                        "{worldlet}"
                    );
                    exports.push(exported(&*db));
                }
            }
        }
        exports.dedup();
        assert_eq!(exports.len(), 1, "{stub}");
    }
}

#[test]
fn a_version_that_contradicts_an_existing_one_rejects_the_whole_merge() {
    for db in databases() {
        let first = [("v1", "a", T1, Some(json!({"n": 1})))];
        assert_eq!(db.merge(history(&first)).unwrap().accepted, ["v1"]);
        let before = exported(&*db);
        let contradictions = [
            ("v1", "a", T1, Some(json!({"n": 2}))),
            ("v1", "a", T2, Some(json!({"n": 1}))),
            ("v1", "b", T1, Some(json!({"n": 1}))),
            ("v1", "a", T1, None),
        ];
        for wrong in contradictions {
            let id = wrong.0;
            let merged = db.merge(history(&[("v2", "c", T2, Some(json!({}))), wrong])).unwrap();
            let reason = "there is a version with this pk, and it says something else";
            assert_eq!(merged.reasons.get(id).map(String::as_str), Some(reason));
            assert_eq!((merged.accepted.len(), merged.rejected), (0, vec![id.to_owned()]));
            assert_eq!(exported(&*db), before);
        }
    }
}

#[test]
fn rules_that_no_value_satisfies_are_a_fault_of_the_current_version_that_is_imported() {
    let version = |time, min| {
        let fields = json!({"n": {"class": "number", "min": min, "max": 4}});
        json!({"identity": "d", "timestamp": time, "class": "puck.uno/class",
               "bucket": {"name": "a.b/c", "fields": fields}})
    };
    let (valid, invalid) = (1, 5);
    let v = |number, min| match number {
        1 => ("v1", version(T1, min)),
        _ => ("v2", version(T2, min)),
    };
    // The versions that are stored before, those that are imported, and the one with a fault.
    let cases = [
        (vec![], vec![v(1, valid), v(2, invalid)], Some("v2")),
        (vec![], vec![v(2, invalid), v(1, valid)], Some("v2")),
        (vec![], vec![v(1, invalid), v(2, valid)], None),
        (vec![], vec![v(2, valid), v(1, invalid)], None),
        (vec![v(2, invalid)], vec![v(1, valid)], None),
        (vec![v(2, valid)], vec![v(1, invalid)], None),
        (vec![v(1, valid)], vec![v(2, invalid)], Some("v2")),
        (vec![v(1, invalid)], vec![v(2, valid)], None),
    ];
    for (stored, imported, fault) in cases {
        for db in databases() {
            let import = |versions: &[(&str, Value)], trust| {
                let worldlet = json!({"history": object(versions.iter().cloned())}).to_string();
                db.read_worldlet(&mut worldlet.as_bytes(), trust)
            };
            import(&stored, true).unwrap();
            let result = import(&imported, false);
            let places: Vec<String> = match &result {
                Ok(_) => Vec::new(),
                Err(error) => error.items().iter().map(|item| item.details["pointer"].to_string()).collect(),
            };
            let expected = fault.map(|version| format!("\"/history/{version}/bucket/fields/n"));
            assert_eq!(places.len(), expected.iter().count(), "{places:?}");
            assert!(
                places.iter().zip(&expected).all(|(place, start)| place.starts_with(start)),
                "{places:?}"
            );
        }
    }
}

#[test]
fn all_faults_of_a_history_are_reported_with_their_places() {
    let cases = [
        (json!({"history": {"v": 5}}), vec![("/history/v", "`v`: expected an object")]),
        (
            json!({"history": {"v": {}}}),
            vec![("/history/v", "a version lacks `identity`"), ("/history/v", "a version lacks `timestamp`")],
        ),
        (
            json!({"history": {"v": {
                "identity": 5, "timestamp": "now", "active": 1, "bucket": [], "hue": 1,
            }}}),
            vec![
                ("/history/v/identity", "`identity`: expected the pk of a record"),
                (
                    "/history/v/timestamp",
                    "`timestamp`: expected a timestamp such as 2026-04-21T14:32:00.123Z",
                ),
                ("/history/v/active", "`active`: expected a boolean"),
                ("/history/v/bucket", "`bucket`: expected an object"),
                ("/history/v/hue", "a version has no key `hue`"),
            ],
        ),
        (
            json!({"history": {"v": {"record": "a", "updated_at": T1, "active": false, "bucket": {}}}}),
            vec![("/history/v/bucket", "a tombstone has no key `bucket`")],
        ),
        (
            json!({"properties": {"temporal": true}, "records": {"a": {"created_at": T1}}}),
            vec![("/records/a", "no version of this record is in the history")],
        ),
        (
            json!({"records": {"a": {}}, "properties": {"temporal": true}}),
            vec![("/records/a", "no version of this record is in the history")],
        ),
        (
            json!({
                "properties": {"temporal": false},
                "history": {"v": {"identity": "a", "timestamp": T1, "active": false}},
            }),
            vec![("/properties/temporal", "a worldlet with a history must be temporal")],
        ),
    ];
    for (worldlet, expected) in cases {
        for db in databases() {
            let before = exported(&*db);
            let error = db.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap_err();
            let place = |item: &miko_core::ErrorItem| item.details["pointer"].as_str().unwrap().to_owned();
            let found: Vec<_> = error.items().iter().map(|item| (place(item), item.message())).collect();
            let expected: Vec<_> =
                expected.iter().map(|(place, message)| (place.to_string(), *message)).collect();
            assert_eq!(found, expected, "{worldlet}");
            assert_eq!(exported(&*db), before);
        }
    }
    for db in databases() {
        for worldlet in [json!({"records": {"a": {"bucket": {}}}}), json!({"classes": {"a.b/c": {}}})] {
            let error = db.merge(worldlet).unwrap_err();
            assert!(
                error.is(ErrorId::INVALID_WORLDLET) && error.to_string().contains("a merge takes versions"),
                "{error}"
            );
        }
    }
}

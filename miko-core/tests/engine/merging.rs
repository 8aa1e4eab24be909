//! Merges in both directions: two diverged databases have equal exports afterwards.

use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt, WorldletEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{ids, temporal_sqlite_in_memory};

fn databases() -> [Box<dyn Engine>; 2] {
    [Box::new(temporal_sqlite_in_memory()), Box::new(WorldletEngine::temporal_in_memory().unwrap())]
}

fn exported(db: &dyn Engine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Merges each database into the other.
#[track_caller]
fn merge_both_ways(one: &dyn Engine, other: &dyn Engine) {
    let deltas = [one, other].map(|db| serde_json::from_str::<Value>(&exported(db)).unwrap());
    let [of_one, of_other] = deltas;
    for (db, delta) in [(one, of_other), (other, of_one)] {
        let merged = db.merge(delta).unwrap();
        assert_eq!(merged.rejected, [] as [&str; 0]);
    }
    assert_eq!(exported(one), exported(other));
}

/// Two databases with the same state, which may diverge from then on.
fn diverging(common: &str) -> [Box<dyn Engine>; 2] {
    let databases = databases();
    for db in &databases {
        db.read_worldlet(&mut common.as_bytes(), false).unwrap();
    }
    databases
}

/// A worldlet with one version of a record, or with a tombstone.
fn delta(instance: &str, pk: &str, time: &str, bucket: Option<Value>) -> Value {
    let mut entry = json!({"identity": pk, "timestamp": time, "active": bucket.is_some()});
    if let Some(bucket) = bucket {
        entry["bucket"] = bucket;
        entry["class"] = "a.b/c".into();
    }
    json!({"history": {instance: entry}})
}

#[test]
fn a_merge_accepts_records_that_break_a_rule_that_the_other_side_has_added() {
    let seed = WorldletEngine::temporal_in_memory().unwrap();
    seed.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {}}}}})).unwrap();
    let [strict, lax] = diverging(&exported(&seed));
    strict.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {"required": true}}}}})).unwrap();
    lax.create("a.b/c", &json!({})).unwrap();
    merge_both_ways(&*strict, &*lax);
    assert_eq!(strict.count(json!({"class": "a.b/c"})).unwrap(), 1);
    assert_eq!(ids(&lax.create("a.b/c", &json!({})).unwrap_err()), [ErrorId::VALIDATION_FAILED]);
}

#[test]
fn a_select_returns_records_in_order_of_arrival_and_an_export_in_order_of_creation() {
    for db in databases() {
        for (pk, time) in [("z", "2364"), ("a", "2363"), ("b", "2364")] {
            let time = format!("{time}-01-01T00:00:00.000Z");
            let merged = db.merge(delta(&format!("v-{pk}"), pk, &time, Some(json!({})))).unwrap();
            assert_eq!(merged.accepted.len(), 1);
        }
        let records = db.q0(json!({"action": "select"})).unwrap().into_records().unwrap();
        let arrived: Vec<String> = records.into_iter().map(|record| record.pk).collect();
        assert_eq!(arrived, ["z", "a", "b"]);
        let exported: Value = serde_json::from_str(&exported(&*db)).unwrap();
        let pks: Vec<&String> = exported["records"].as_object().unwrap().keys().collect();
        assert_eq!(pks, ["a", "b", "z"]);
    }
}

#[test]
fn versions_of_one_time_are_in_the_order_of_their_pks() {
    let time = "2364-01-01T00:00:00.000Z";
    for order in [["v1", "v2", "v3"], ["v3", "v1", "v2"], ["v2", "v3", "v1"]] {
        for db in databases() {
            for instance in order {
                let merged = db.merge(delta(instance, "a", time, Some(json!({"of": instance})))).unwrap();
                assert_eq!(merged.accepted, [instance]);
            }
            let history = db.history("a").unwrap();
            let found: Vec<&str> = history.iter().map(|version| version.instance_pk.as_str()).collect();
            assert_eq!(found, ["v1", "v2", "v3"], "{order:?}");
            assert_eq!(db.record_by_pk("a").unwrap().unwrap().bucket.to_string(), r#"{"of":"v3"}"#);
            let as_of = db.select(json!({"cutoff": time})).unwrap();
            assert_eq!(
                as_of[0].bucket.to_string(),
                r#"{"of":"v3"}"#,
                "a select with the cutoff finds the same version"
            );
            for copy in databases() {
                copy.read_worldlet(&mut exported(&*db).as_bytes(), false).unwrap();
                assert_eq!(exported(&*copy), exported(&*db));
            }
        }
    }
}

/// A write to one of the two databases.
#[derive(Debug, Clone)]
enum Write {
    Create,
    /// Updates the record at this position to this number.
    Update(usize, i32),
    Delete(usize),
    /// Merges a version: the numbers of its pk, of its time and of its instance pk.
    Version(u8, u8, u8),
    /// Stores a file of this byte.
    File(u8),
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        Just(Write::Create),
        (0..6_usize, any::<i32>()).prop_map(|(position, n)| Write::Update(position, n)),
        (0..6_usize).prop_map(Write::Delete),
        (0..3_u8, 0..3_u8, 0..12_u8).prop_map(|(pk, time, instance)| Write::Version(pk, time, instance)),
        (0..3_u8).prop_map(Write::File),
    ]
}

/// Runs writes. `side` makes the instance pks of each database different.
fn run(db: &dyn Engine, side: usize, writes: &[Write]) {
    for step in writes {
        let pks: Vec<String> = db.select(json!({})).unwrap().iter().map(|record| record.pk.clone()).collect();
        let pk_at = |position: &usize| pks.get(*position);
        match step {
            Write::Create => drop(db.create("a.b/c", &json!({})).unwrap()),
            Write::Update(position, n) => {
                if let Some(pk) = pk_at(position) {
                    db.update(pk, &json!({"n": n})).unwrap();
                }
            }
            Write::Delete(position) => drop(pk_at(position).map(|pk| db.delete(pk).unwrap())),
            Write::Version(pk, time, instance) => {
                let time = format!("2364-01-0{}T00:00:00.000Z", time + 1);
                // One in four is a tombstone.
                let bucket = (instance % 4 > 0).then(|| json!({"v": instance}));
                let delta = delta(&format!("{side}-{instance}"), &format!("p{pk}"), &time, bucket);
                let _ = db.merge(delta).unwrap();
            }
            Write::File(content) => drop(db.put_file(&mut &[*content; 3][..], "x/y").unwrap()),
        }
    }
}

proptest! {
    #[test]
    fn after_a_merge_in_both_directions_both_databases_are_equal(
        common in prop::collection::vec(any_write(), 0..8),
        one in prop::collection::vec(any_write(), 0..8),
        other in prop::collection::vec(any_write(), 0..8),
    ) {
        let seed = temporal_sqlite_in_memory();
        run(&seed, 0, &common);
        let databases = diverging(&exported(&seed));
        run(&*databases[0], 1, &one);
        run(&*databases[1], 2, &other);
        merge_both_ways(&*databases[0], &*databases[1]);
    }
}

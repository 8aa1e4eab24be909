//! Every way to write runs the hooks, and a veto undoes the write in each of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use miko_core::q0::Edits;
use miko_core::{Error, ErrorId, MikobaseExt, PendingSave, Target, Transaction};
use serde_json::{Value, json};

use crate::support::{Local, engine, export, temporal};

/// A way to write.
struct WritePath {
    name: &'static str,
    write: fn(&Local) -> Result<(), Error>,
    /// The saves that the hooks see, as [`describe`] writes them.
    seen: &'static [&'static str],
}

const PATHS: &[WritePath] = &[
    WritePath {
        name: "create",
        write: |db| db.create("a.b/sub", &json!({"name": "new"})).map(drop),
        seen: &["create new"],
    },
    WritePath {
        name: "create with a pk",
        write: |db| q0(db, json!({"action": "create", "pk": "new", "bucket": {"name": "new"}})),
        seen: &["create new"],
    },
    WritePath {
        name: "create_many",
        write: |db| db.create_all("a.b/thing", &[named("x"), named("y")]).map(drop),
        seen: &["create x", "create y"],
    },
    WritePath {
        name: "update",
        write: |db| db.update("one", &json!({"name": "ONE"})),
        seen: &["update one ONE"],
    },
    WritePath {
        name: "update of the class alone",
        write: |db| q0(db, json!({"action": "update", "pk": "one", "class": "a.b/sub"})),
        seen: &["update one one"],
    },
    WritePath {
        name: "update of a record without a defined class",
        write: |db| db.update("plain", &json!({"name": "PLAIN"})),
        seen: &["update plain PLAIN"],
    },
    WritePath {
        name: "patch",
        write: |db| db.patch("one", &json!({"name": "ONE"})),
        seen: &["update one ONE"],
    },
    WritePath {
        name: "edit",
        write: |db| db.hot("one").set(["name"], "ONE").map(drop),
        seen: &["update one ONE"],
    },
    WritePath {
        name: "upsert of a new record",
        write: |db| db.upsert("a.b/thing", &named("new"), &json!({})).map(drop),
        seen: &["create new"],
    },
    WritePath {
        name: "upsert of a new record with edits",
        write: |db| upsert_with_edits(db, "new"),
        seen: &["create new!"],
    },
    WritePath {
        name: "upsert of a record",
        write: |db| db.upsert("a.b/thing", &named("one"), &json!({"n": 1})).map(drop),
        seen: &["update one one"],
    },
    WritePath {
        name: "upsert of a record with edits",
        write: |db| upsert_with_edits(db, "one"),
        seen: &["update one one!"],
    },
    WritePath {
        name: "patch of selected records",
        write: |db| q0(db, json!({"action": "patch", "where": {"class": "a.b/thing"}, "bucket": {"n": 1}})),
        seen: &["update one one", "update two two"],
    },
    WritePath {
        name: "edit of selected records",
        write: |db| {
            let edit = json!({"path": ["n"], "increment": 1});
            q0(db, json!({"action": "edit", "where": {"class": "a.b/thing"}, "edits": [edit]}))
        },
        seen: &["update one one", "update two two"],
    },
    WritePath {
        name: "delete of selected records",
        write: |db| q0(db, json!({"action": "delete", "where": {"class": "a.b/thing"}})),
        seen: &["delete one", "delete two"],
    },
    WritePath { name: "delete", write: |db| db.delete("two"), seen: &["delete two"] },
    WritePath {
        name: "the end of a claim, with edits",
        write: |db| {
            let lease = Duration::from_secs(3600);
            let claim = db.claim(json!({"class": "a.b/thing"}), lease)?.expect("none is claimed");
            claim.finish_with(Edits::new().set(["name"], "ONE")).map(drop)
        },
        seen: &["update one ONE"],
    },
    WritePath {
        name: "the end of a claim, by deleting",
        write: |db| {
            let lease = Duration::from_secs(3600);
            db.claim(json!({"pk": "two"}), lease)?.expect("none is claimed").finish_by_deleting()
        },
        seen: &["delete two"],
    },
    WritePath {
        name: "atomic batch",
        write: |db| db.batch(requests(), true).map(drop),
        seen: &["update one ONE", "delete two", "create new"],
    },
    WritePath {
        name: "batch",
        write: |db| {
            let answers = db.batch(requests(), false)?;
            answers.iter().try_for_each(|answer| answer.clone().map(drop))
        },
        seen: &["update one ONE", "delete two", "create new"],
    },
    WritePath {
        name: "transaction",
        write: |db| {
            db.transaction(|tx| {
                tx.patch("one", &named("ONE"))?;
                tx.delete("two")?;
                tx.commit()
            })
        },
        seen: &["update one ONE", "delete two"],
    },
    WritePath {
        name: "nested transaction",
        write: |db| {
            db.transaction(|tx| {
                tx.transaction(|inner| {
                    inner.patch("one", &named("ONE"))?;
                    inner.commit()
                })?;
                tx.commit()
            })
        },
        seen: &["update one ONE"],
    },
    WritePath {
        name: "import",
        write: |db| {
            let records = json!({
                "one": {"bucket": {"name": "ONE"}, "class": "a.b/thing"},
                "new": {"bucket": {"name": "new"}, "class": "a.b/thing"},
            });
            import(db, &json!({ "records": records }))
        },
        seen: &["update one ONE", "create new"],
    },
    WritePath {
        name: "import of a worldlet with classes",
        write: |db| import(db, &json!({"classes": {"a.b/other": {"inherits": "a.b/thing"}}, "records": {}})),
        seen: &["create a.b/other"],
    },
    WritePath {
        name: "import by pieces",
        write: |db| {
            let text = json!({"records": {"new": {"bucket": {"name": "new"}}}}).to_string();
            db.import_worldlet(&mut text.as_bytes(), false).map(drop)
        },
        seen: &["create new"],
    },
    WritePath {
        name: "import_schema",
        write: |db| {
            let thing = json!({"fields": {"name": {"class": "string"}}, "misc_fields": true});
            db.import_schema(json!({"classes": {"a.b/other": {}, "a.b/thing": thing}})).map(drop)
        },
        seen: &["update a.b/thing a.b/thing", "create a.b/other"],
    },
    WritePath {
        name: "definition of a class",
        write: |db| db.create("puck.uno/class", &json!({"name": "a.b/other"})).map(drop),
        seen: &["create a.b/other"],
    },
];

fn q0(db: &Local, request: Value) -> Result<(), Error> {
    db.q0(request).map(drop)
}

fn named(name: &str) -> Value {
    json!({ "name": name })
}

fn upsert_with_edits(db: &Local, name: &str) -> Result<(), Error> {
    let edit = json!({"path": ["name"], "set": format!("{name}!")});
    q0(db, json!({"action": "upsert", "class": "a.b/thing", "key": named(name), "edits": [edit]}))
}

fn requests() -> Vec<Value> {
    vec![
        json!({"action": "patch", "pk": "one", "bucket": named("ONE")}),
        json!({"action": "select"}),
        json!({"action": "delete", "pk": "two"}),
        json!({"action": "create", "bucket": named("new")}),
    ]
}

fn import(db: &Local, worldlet: &Value) -> Result<(), Error> {
    db.read_worldlet(&mut worldlet.to_string().as_bytes(), false).map(drop)
}

/// A database with records `one` and `two` of a class, and `plain` of none.
fn things() -> Local {
    let db = engine();
    let name = json!({"class": "string", "unique": true});
    let thing = json!({"fields": {"name": name}, "misc_fields": true});
    let sub = json!({"inherits": "a.b/thing"});
    db.import_schema(json!({"classes": {"a.b/thing": thing, "a.b/sub": sub}})).unwrap();
    for name in ["one", "two", "plain"] {
        let class = if name == "plain" { "a.b/undefined" } else { "a.b/thing" };
        q0(&db, json!({"action": "create", "pk": name, "class": class, "bucket": named(name)})).unwrap();
    }
    db
}

/// Describes a save: its kind, and the name of the record before and after it.
fn describe(save: &PendingSave<'_>) -> String {
    let before = save.before().map(|before| before.bucket.get("name").unwrap().unwrap());
    let names = before.into_iter().chain(save.get("name").cloned());
    names.fold(save.kind().to_string(), |line, name| line + " " + name.as_str().unwrap())
}

/// Adds a hook that records the saves that it sees.
fn record_saves(db: &Local) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    db.before_save("watcher", Target::all(), move |save| {
        list.lock().unwrap().push(describe(save));
        Ok(())
    });
    seen
}

#[test]
fn every_path_runs_the_hooks_once_for_each_record() {
    for WritePath { name, write, seen: expected } in PATHS {
        let db = things();
        let seen = record_saves(&db);
        write(&db).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(*seen.lock().unwrap(), *expected, "{name}");
    }
}

#[test]
fn a_veto_on_any_path_changes_nothing() {
    for WritePath { name, write, seen } in PATHS {
        let db = things();
        let (last, refuses) = (seen[seen.len() - 1], Arc::new(AtomicBool::new(true)));
        let is_on = Arc::clone(&refuses);
        db.before_save("guard", Target::all(), move |save| {
            if is_on.load(Ordering::Relaxed) && describe(save) == last {
                return Err(format!("no {}", save.kind()).into());
            }
            Ok(())
        });
        let before = export(&db);
        let error = write(&db).unwrap_err();
        let item = &error.items()[0];
        assert_eq!((&item.id, &item.details["hook"]), (&ErrorId::SAVE_REJECTED, &"guard".into()), "{name}");
        assert_eq!(item.message(), format!("no {}", last.split(' ').next().unwrap()), "{name}");
        // Each request of a batch that is not atomic is a write of its own: those before the veto remain.
        if *name != "batch" {
            assert_eq!(export(&db), before, "{name}");
        }
        refuses.store(false, Ordering::Relaxed);
        if *name != "batch" {
            write(&db).unwrap_or_else(|error| panic!("{name}, after the veto: {error}"));
        }
    }
}

#[test]
fn a_merge_is_refused_as_a_whole() {
    let source = temporal();
    for name in ["one", "two"] {
        q0(&source, json!({"action": "create", "pk": name, "class": "a.b/thing", "bucket": named(name)}))
            .unwrap();
    }
    source.update("one", &named("ONE")).unwrap();
    source.delete("two").unwrap();
    let delta: Value = serde_json::from_str(&export(&source)).unwrap();

    let db = temporal();
    if db.is_share() {
        return;
    }
    let seen = record_saves(&db);
    let merged = db.merge(delta.clone()).unwrap();
    assert_eq!(merged.accepted.len(), 4);
    // A save is a change of the current state. A record that the merge both creates and deletes is never
    // saved.
    assert_eq!(*seen.lock().unwrap(), ["create ONE"]);
    assert_eq!(db.merge(delta.clone()).unwrap().skipped.len(), 4);
    assert_eq!(seen.lock().unwrap().len(), 1, "a merge that changes nothing saves nothing");

    let guarded = temporal();
    guarded.before_save("guard", "a.b/thing", |_| Err("nothing from elsewhere".into()));
    let before = export(&guarded);
    let error = guarded.merge(delta).unwrap_err();
    assert!(error.is(ErrorId::SAVE_REJECTED), "{error}");
    assert_eq!(export(&guarded), before);
}

#[test]
fn an_import_is_tested_by_the_classes_that_it_brings() {
    let db = things();
    db.before_save("guard", "a.b/thing", |_| Err("no".into()));
    let other = json!({"inherits": "a.b/thing"});
    let records = json!({"new": {"bucket": {"name": "new"}, "class": "a.b/other"}});
    let error = import(&db, &json!({"records": records, "classes": {"a.b/other": other}})).unwrap_err();
    assert!(error.is(ErrorId::SAVE_REJECTED), "{error}");
}

#[test]
fn an_import_is_refused_and_not_amended() {
    let db = things();
    db.before_save("amends", Target::all(), |save| {
        assert_eq!(save.is_amendable(), save.pk() != "new");
        save.set("checked", true)?;
        Ok(())
    });
    db.patch("one", &json!({})).unwrap();
    assert_eq!(db.hot("one").get(["checked"]).unwrap(), Some(true.into()));
    let error = import(&db, &json!({"records": {"new": {"bucket": {}}}})).unwrap_err();
    assert!(error.is(ErrorId::SAVE_REJECTED), "{error}");
    // An import of unchanged records saves nothing.
    import(&db, &serde_json::from_str(&export(&db)).unwrap()).unwrap();
}

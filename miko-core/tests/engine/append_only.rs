//! Append-only databases: each way to write, and whether it is allowed.

use miko_core::{Access, Bytes, ErrorId, Mikobase, MikobaseExt, Result};
use serde_json::{Value, json};

use crate::support::{Local, create, engine, export, run, temporal};

const CLASS: &str = "a.b/entry";

/// An append-only database with a class, its record `kirk`, a property and a file; and the pk of the file.
fn append_only(db: Local) -> (Local, String) {
    let class = json!({"fields": {"name": {"class": "string", "unique": true}}});
    db.import_schema(json!({"classes": {CLASS: class}})).unwrap();
    run(&db, json!({"action": "create", "class": CLASS, "pk": "kirk", "bucket": {"name": "Kirk"}}));
    let file = db.put_file(&mut &b"a file"[..], "text/plain").unwrap();
    import(&*db, &json!({"corporate": "Starfleet"})).unwrap();
    db.restrict(Access::AppendOnly);
    (db, file)
}

type Write = fn(&dyn Mikobase, &str) -> Result<()>;

fn q0(db: &dyn Mikobase, request: Value) -> Result<()> {
    db.q0(request).map(drop)
}

fn import(db: &dyn Mikobase, worldlet: &Value) -> Result<()> {
    let import = db.import(false)?;
    import.put(Bytes::from(worldlet.to_string().into_bytes()))?;
    import.finish().map(drop)
}

/// Calls that are refused, as their kind could change or delete existing data.
const REFUSED: &[(&str, Write)] = &[
    ("update", |db, _| q0(db, json!({"action": "update", "pk": "kirk", "bucket": {}}))),
    ("update of an unknown pk", |db, _| q0(db, json!({"action": "update", "pk": "no", "bucket": {}}))),
    ("patch", |db, _| q0(db, json!({"action": "patch", "pk": "kirk", "bucket": {"rank": 1}}))),
    ("patch of a select", |db, _| {
        q0(db, json!({"action": "patch", "where": {"class": CLASS}, "bucket": {"rank": 1}}))
    }),
    ("edit", |db, _| {
        q0(db, json!({"action": "edit", "pk": "kirk", "edits": [{"path": ["n"], "increment": 1}]}))
    }),
    ("the method edit", |db, _| db.edit("kirk", vec![json!({"path": ["n"], "increment": 1})]).map(drop)),
    ("a hot record", |db, _| db.hot("kirk").increment(["n"], 1).map(drop)),
    ("delete", |db, _| q0(db, json!({"action": "delete", "pk": "kirk"}))),
    ("delete if it exists", |db, _| q0(db, json!({"action": "delete", "pk": "no", "if_exists": true}))),
    ("upsert", |db, _| {
        q0(db, json!({"action": "upsert", "class": CLASS, "key": {"name": "Kirk"}, "bucket": {"rank": 1}}))
    }),
    ("upsert of a new key", |db, _| {
        q0(db, json!({"action": "upsert", "class": CLASS, "key": {"name": "Uhura"}, "bucket": {}}))
    }),
    ("claim", |db, _| q0(db, json!({"action": "claim", "select": {"class": CLASS}, "lease": 9}))),
    ("claim that waits", |db, _| {
        q0(db, json!({"action": "claim", "select": {"class": CLASS}, "wait": 9, "lease": 9}))
    }),
    ("finish", |db, _| q0(db, json!({"action": "finish", "claim": "none", "delete": true}))),
    ("release", |db, _| q0(db, json!({"action": "release", "claim": "none"}))),
    ("an atomic batch", |db, _| {
        let requests =
            vec![json!({"action": "create", "bucket": {}}), json!({"action": "delete", "pk": "kirk"})];
        db.batch(requests, true).map(drop)
    }),
    ("a batch", |db, _| {
        let answers = db.batch(vec![json!({"action": "delete", "pk": "kirk"})], false)?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }),
    ("a transaction", |db, _| db.transaction(|tx| q0(tx, json!({"action": "delete", "pk": "kirk"})))),
    ("an edit of a record that the same transaction has created", |db, _| {
        db.transaction(|tx| {
            let pk = tx.q0(json!({"action": "create", "bucket": {}}))?.into_pk()?;
            tx.edit(&pk, vec![json!({"path": ["n"], "increment": 1})]).map(drop)
        })
    }),
    ("a changed class", |db, _| db.import_schema(json!({"classes": {CLASS: {}}})).map(drop)),
    ("an import of an existing record", |db, _| {
        import(
            db,
            &json!({"records": {"kirk": {"bucket": {"name": "James"}, "stack": {"a": {"class": CLASS}}}}}),
        )
    }),
    ("an import of a changed class", |db, _| import(db, &json!({"classes": {CLASS: {}}}))),
    ("an import after new records", |db, _| {
        let record = json!({"bucket": {"name": "Sulu"}, "stack": {"a": {"class": CLASS}}});
        import(db, &json!({"records": {"sulu": record, "kirk": record}}))
    }),
    ("an import that lets programs execute code", |db, _| {
        import(db, &json!({"properties": {"executable": true}}))
    }),
    ("an import of a changed property", |db, _| import(db, &json!({"corporate": true}))),
    ("delete_file", |db, file| db.delete_file(file)),
    ("collect_files", |db, _| db.collect_files().map(drop)),
];

/// Calls that are accepted, as they only add data.
const ACCEPTED: &[(&str, Write)] = &[
    ("create", |db, _| q0(db, json!({"action": "create", "class": CLASS, "bucket": {"name": "Uhura"}}))),
    ("create with a pk", |db, _| q0(db, json!({"action": "create", "pk": "new", "bucket": {}}))),
    ("create_many", |db, _| {
        db.create_many(CLASS, vec![json!({"name": "A"}).into(), json!({"name": "B"}).into()]).map(drop)
    }),
    ("an atomic batch", |db, _| {
        db.batch(vec![json!({"action": "create", "bucket": {}}), json!({"action": "select"})], true).map(drop)
    }),
    ("a transaction", |db, _| {
        db.transaction(|tx| {
            q0(tx, json!({"action": "create", "bucket": {}}))?;
            tx.commit()
        })
    }),
    ("a new class", |db, _| db.import_schema(json!({"classes": {"a.b/new": {}}})).map(drop)),
    ("an equal class", |db, _| db.import_schema(db.export_schema()?).map(drop)),
    ("a class as a record", |db, _| {
        q0(db, json!({"action": "create", "class": "puck.uno/class", "bucket": {"name": "a.b/newer"}}))
    }),
    ("an import of new pks", |db, _| {
        let record = json!({"bucket": {"name": "Sulu"}, "stack": {"a": {"class": CLASS}}});
        import(db, &json!({"classes": {"a.b/newest": {}}, "records": {"sulu": record}}))
    }),
    ("an import of new properties", |db, _| {
        let properties = json!({"executable": false});
        import(db, &json!({"properties": properties, "misc": true, "comment": "new", "vibecode": false}))
    }),
    ("an import of equal properties", |db, _| import(db, &json!({"misc": true, "comment": "new"}))),
    ("a new file", |db, _| db.put_file(&mut &b"another file"[..], "text/plain").map(drop)),
    ("an equal file", |db, _| db.put_file(&mut &b"a file"[..], "text/plain").map(drop)),
];

#[test]
fn each_call_that_writes_only_adds_or_is_refused() {
    let (db, file) = append_only(engine());
    let mut wrong = Vec::new();
    for (way, write) in REFUSED {
        let before = export(&db);
        match write(&*db, &file) {
            Err(error) if error.is(ErrorId::ACTION_NOT_SUPPORTED) && export(&db) == before => {}
            done => wrong.push(format!("{way}: {done:?}")),
        }
    }
    for (way, write) in ACCEPTED {
        if let Err(error) = write(&*db, &file) {
            wrong.push(format!("{way}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(db.record_by_pk("kirk").unwrap().unwrap().bucket.as_str(), r#"{"name":"Kirk"}"#);
}

#[test]
fn a_batch_that_is_not_atomic_goes_on_after_a_refusal() {
    let (db, _) = append_only(engine());
    let create = json!({"action": "create", "bucket": {}});
    let answers = db.batch(vec![create.clone(), json!({"action": "delete", "pk": "kirk"}), create], false);
    let succeeded: Vec<bool> = answers.unwrap().into_iter().map(|answer| answer.is_ok()).collect();
    assert_eq!(succeeded, [true, false, true]);
}

#[test]
fn a_merge_adds_versions_to_existing_records_and_an_import_does_not() {
    let source = temporal();
    let pk = create(&source, json!({"n": 1}));
    let one_version: Value = serde_json::from_str(&export(&source)).unwrap();
    source.q0(json!({"action": "update", "pk": pk, "bucket": {"n": 2}})).unwrap();
    let two_versions: Value = serde_json::from_str(&export(&source)).unwrap();
    let db = temporal();
    // A share is restricted by its builder, and this test has none.
    if db.is_share() {
        return;
    }
    db.restrict(Access::AppendOnly);
    import(&*db, &one_version).unwrap();
    // Equal versions are skipped.
    import(&*db, &one_version).unwrap();
    let error = import(&*db, &two_versions).unwrap_err();
    assert!(error.is(ErrorId::ACTION_NOT_SUPPORTED), "{error}");
    assert_eq!(db.history(&pk).unwrap().len(), 1);
    let merged = db.merge(json!({"history": two_versions["history"]})).unwrap();
    assert_eq!((merged.accepted.len(), merged.skipped.len()), (1, 1));
    assert_eq!(db.record_by_pk(&pk).unwrap().unwrap().bucket.as_str(), r#"{"n":2}"#);
    // A merge may add a version to an existing record; other writes to it are still refused.
    let error = db.q0(json!({"action": "delete", "pk": pk})).unwrap_err();
    assert!(error.is(ErrorId::ACTION_NOT_SUPPORTED), "{error}");
}

#[test]
fn a_restriction_is_never_lifted() {
    let db = engine();
    db.restrict(Access::ReadOnly);
    db.restrict(Access::Full);
    let error = db.q0(json!({"action": "create", "bucket": {}})).unwrap_err();
    assert!(error.is(ErrorId::READ_ONLY_CONNECTION), "{error}");
    assert!(db.begin().unwrap_err().is(ErrorId::READ_ONLY_CONNECTION));
    db.q0(json!({"action": "select"})).unwrap();
}

#[test]
fn an_import_says_whether_a_record_has_the_pk_or_has_had_it() {
    for db in [engine(), temporal()] {
        if db.is_share() {
            continue;
        }
        for pk in ["there", "deleted"] {
            run(&db, json!({"action": "create", "pk": pk, "bucket": {}}));
        }
        run(&db, json!({"action": "delete", "pk": "deleted"}));
        db.restrict(Access::AppendOnly);
        for (pk, reason) in
            [("there", "a record with this pk is there"), ("deleted", "a deleted record has had this pk")]
        {
            let error = import(&*db, &json!({"records": {pk: {"bucket": {"n": 1}}}})).unwrap_err();
            assert!(error.is(ErrorId::ACTION_NOT_SUPPORTED), "{error}");
            assert!(error.to_string().contains(reason), "{pk}: {error}");
        }
    }
}

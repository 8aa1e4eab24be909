//! Schemas and worldlets in a share: loaded before the workers start, or imported by all workers at once.

use std::fs;

use mikobase::prelude::*;
use mikobase::{SqliteEngine, Worldlet};
use serde_json::Value;

use crate::harness::Case;

pub const CASES: &[Case] = &[
    ("twenty_workers_import_the_same_schema_at_once_and_then_write", all_at_once),
    ("schemas_worldlets_and_setup_are_loaded_in_order", in_order),
    ("a_worldlet_of_one_share_is_the_beginning_of_the_next", next_share),
    ("a_fault_of_a_schema_or_worldlet_is_an_error_of_the_share", wrong),
];

fn schema() -> Value {
    json!({"classes": {
        "a.b/person": {"fields": {
            "name": {"class": "string", "required": true, "collapse": true}, "serial": {"unique": true},
        }},
        "a.b/officer": {"inherits": "a.b/person", "fields": {
            "rank": {"class": "string", "index": true, "default": "Ensign"},
        }},
    }})
}

fn records(worldlet: &Worldlet) -> Vec<Value> {
    worldlet.to_value().unwrap()["records"].as_object().unwrap().values().cloned().collect()
}

fn all_at_once() {
    let report = Uds::new().unwrap().mikobase(20, |db, worker| {
        db.import_schema(schema())?;
        for n in 0..5 {
            db.create("a.b/officer", &json!({"name": "  Red   Shirt", "serial": worker.index() * 5 + n}))?;
        }
        let taken = db.create("a.b/person", &json!({"name": "x", "serial": worker.index() * 5})).unwrap_err();
        assert!(taken.is(ErrorId::UNIQUE_VIOLATION), "{taken}");
        db.import_schema(schema())?;
        Ok(())
    });
    let report = report.unwrap();
    report.all_succeeded().unwrap();
    let records = records(report.worldlet());
    let of_class =
        |class: &str| records.iter().filter(|record| record["stack"].to_string().contains(class)).count();
    assert_eq!((of_class("puck.uno/class"), of_class("a.b/officer"), records.len()), (2, 100, 102));
    assert!(
        records
            .iter()
            .any(|record| record["bucket"] == json!({"name": "Red Shirt", "serial": 99, "rank": "Ensign"}))
    );
}

fn in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (schema_file, worldlet_file) = (folder.path().join("schema.json"), folder.path().join("crew.json"));
    fs::write(&schema_file, schema().to_string()).unwrap();
    let crew =
        json!({"records": {"kirk": {"bucket": {"name": "Kirk"}, "stack": {"o": {"class": "a.b/officer"}}}}});
    fs::write(&worldlet_file, crew.to_string()).unwrap();
    let captain = json!({"class": "puck.uno/reference", "target": "a.b/person"});
    let later = json!({"classes": {"a.b/ship": {"fields": {"captain": captain}}}});
    let enterprise = json!({"bucket": {"captain": "kirk"}, "stack": {"s": {"class": "a.b/ship"}}});
    let ship = json!({"records": {"enterprise": enterprise}});
    let uds = Uds::new().unwrap().schema_file(&schema_file).unwrap().worldlet_file(&worldlet_file).unwrap();
    let uds = uds.schema(later).worldlet(ship.to_string()).setup(|server| {
        assert_eq!(server.db().by_class("a.b/person")?.count(), 1);
        server.db().create("a.b/officer", &json!({"name": "Spock"}))?;
        Ok(())
    });
    let report = uds.mikobase(2, |db, _| {
        let error = db.create("a.b/ship", &json!({"captain": "nobody"})).unwrap_err();
        assert!(error.is(ErrorId::REFERENCE_NOT_FOUND), "{error}");
        Ok((db.count(json!({"class": "a.b/person"}))?, db.record_by_pk("enterprise")?.is_some()))
    });
    assert_eq!(report.unwrap().into_returned().unwrap(), [(2, true), (2, true)]);
}

fn next_share() {
    let first = Uds::new().unwrap().schema(schema()).mikobase(3, |db, worker| {
        Ok(db.create("a.b/officer", &json!({"name": "Scotty", "serial": worker.index()}))?)
    });
    let first = first.unwrap();
    let second = Uds::new().unwrap().worldlet(first.worldlet()).mikobase(1, |db, _| {
        assert!(db.create("a.b/officer", &json!({"name": "Scotty", "serial": 1})).is_err());
        Ok(db.by_class("a.b/person")?.count())
    });
    let second = second.unwrap();
    assert_eq!(second.worldlet().as_str(), first.worldlet().as_str());
    // An engine reads it too.
    let engine = SqliteEngine::in_memory().unwrap();
    let imported = mikobase::Engine::read_worldlet(&engine, &mut first.worldlet().as_str().as_bytes(), false);
    assert_eq!(imported.unwrap().records, 5);
    assert_eq!(second.into_returned().unwrap(), [3]);
}

fn wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    fs::write(&file, r#"{"classes": {"a.b/c": {"fields": 5}}}"#).unwrap();
    let failed = |uds: Uds| {
        let error =
            uds.mikobase(1, |_, _| -> Result<(), BoxError> { panic!("no worker starts") }).unwrap_err();
        error.error().clone()
    };
    let error = failed(Uds::new().unwrap().schema_file(&file).unwrap());
    assert!(error.is(ErrorId::VALIDATION_FAILED), "{error}");
    assert_eq!(error.items()[0].details["path"], file.display().to_string());
    let error = failed(Uds::new().unwrap().worldlet_file(&file).unwrap());
    assert!(error.is(ErrorId::INVALID_WORLDLET), "{error}");
    let error = failed(Uds::new().unwrap().schema(json!({"classes": {"a.b/c": {"inherits": "a.b/d"}}})));
    assert!(error.is(ErrorId::CLASS_NOT_FOUND), "{error}");
    let error = Uds::new().unwrap().schema_file(folder.path().join("missing.json")).unwrap_err();
    assert!(error.to_string().contains("missing.json"), "{error}");
}

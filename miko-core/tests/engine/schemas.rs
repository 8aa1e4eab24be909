//! Every JSON file of the repository is valid by its JSON Schema and by the engine.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use miko_core::MikobaseExt;
use serde_json::{Value, json};

use crate::support::{Local, db, export, non_temporal, temporal};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The JSON Schema of a file, by the end of its path. The first match is used.
const RULES: &[(&str, &str)] = &[
    (".schema.json", "its meta-schema"),
    (".surface.json", "surface.schema.json"),
    (".worldlet.json", "worldlet.schema.json"),
    ("schema/starfleet.json", "classes.schema.json"),
    ("benches/instructions.json", "instructions.schema.json"),
    ("docs/measurements/peers.json", "measurements.schema.json"),
];

/// The folders that are searched for files.
const FOLDERS: &[&str] = &[
    "schema",
    "examples",
    "docs",
    "benches",
    "tests",
    "src",
    "miko-bench",
    "miko-core",
    "miko-macros",
    "miko-rpc",
    "miko-shared",
    "miko-surface",
];

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn schema(name: &str) -> Value {
    read(&Path::new(WORKSPACE).join("schema").join(name))
}

/// A compiled JSON Schema of the folder `schema`.
pub(crate) struct JsonSchema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl JsonSchema {
    /// Compiles the file. A file that is not valid by its meta-schema is an error of the compiler.
    pub(crate) fn of(name: &str) -> Self {
        const REFERRED_TO: [&str; 3] =
            ["class-definition.schema.json", "classes.schema.json", "q0-request.schema.json"];
        let mut compiler = Compiler::new();
        let mut add = |document: Value| {
            let id = document["$id"].as_str().unwrap().to_owned();
            compiler.add_resource(&id, document).unwrap();
            id
        };
        for name in REFERRED_TO {
            add(schema(name));
        }
        let id = add(schema(name));
        let mut schemas = Schemas::new();
        let index = compiler.compile(&id, &mut schemas).unwrap_or_else(|fault| panic!("{name}: {fault:#}"));
        Self { schemas, index }
    }

    pub(crate) fn accepts(&self, document: &Value) -> bool {
        self.schemas.validate(document, self.index).is_ok()
    }

    /// The faults of a document, over several lines; empty if it has none.
    pub(crate) fn faults(&self, document: &Value) -> String {
        self.schemas
            .validate(document, self.index)
            .err()
            .map(|fault| format!("{fault:#}"))
            .unwrap_or_default()
    }
}

fn json_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

#[test]
fn every_json_file_is_valid_by_its_schema() {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| json_files(&Path::new(WORKSPACE).join(folder), &mut files));
    assert!(files.len() >= 8, "{files:?}");
    for path in files {
        let shown = path.display().to_string();
        let (_, rule) = RULES
            .iter()
            .find(|(end, _)| shown.ends_with(end))
            .unwrap_or_else(|| panic!("{shown} has no rule"));
        let document = read(&path);
        if *rule == "its meta-schema" {
            JsonSchema::of(path.file_name().unwrap().to_str().unwrap());
            assert!(
                document["title"].is_string()
                    && document["$id"]
                        .as_str()
                        .unwrap()
                        .ends_with(path.file_name().unwrap().to_str().unwrap())
            );
        } else {
            let faults = JsonSchema::of(rule).faults(&document);
            assert!(faults.is_empty(), "{shown}: {faults}");
        }
    }
}

#[test]
fn every_export_is_valid_by_its_schema() {
    for db in [non_temporal(), temporal()] {
        db.import_schema(schema("starfleet.json")).unwrap();
        let pk = db.create("a.b/c", &json!({"n": [1.5, null]})).unwrap();
        db.update(&pk, &json!({})).unwrap();
        db.read_worldlet(&mut &br#"{"records": {"bare": [1], "null": null}}"#[..], false).unwrap();
        db.put_file(&mut &b"make it so"[..], "text/plain").unwrap();
        db.delete(&pk).unwrap();
        let exported: Value = serde_json::from_str(&export(&db)).unwrap();
        let faults = JsonSchema::of("worldlet.schema.json").faults(&exported);
        assert!(faults.is_empty(), "{faults}");
    }
}

#[test]
fn the_sample_domain_is_exported_byte_by_byte_as_it_was_imported() {
    let db = db();
    db.import_schema(schema("starfleet.json")).unwrap();
    assert_eq!(
        db.import_schema(schema("starfleet.json")).unwrap().unchanged.len(),
        8,
        "the classes of the domain"
    );
    let worldlet = fs::read_to_string(Path::new(WORKSPACE).join("schema/starfleet.worldlet.json")).unwrap();
    let copy = non_temporal();
    copy.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    assert_eq!(export(&copy), worldlet);
    // The worldlet has the classes of the schema.
    let classes = |db: &Local| db.export_schema().unwrap();
    assert_eq!(classes(&copy), classes(&db));
}

/// Definitions that the schema refuses, with the faults that the engine reports.
#[test]
fn the_engine_refuses_definitions_that_the_schema_refuses() {
    let definitions = JsonSchema::of("class-definition.schema.json");
    let field = |field: Value| json!({"name": "a.b/c", "fields": {"f": field}});
    let broken = [
        json!({}),
        json!({"name": "officer"}),
        json!({"name": "a..b"}),
        json!({"name": "a.b/c", "inherits": [5]}),
        json!({"name": "a.b/c", "fields": []}),
        json!({"name": "a.b/c", "uniques": ["a"]}),
        json!({"name": "a.b/c", "uniques": [], "unqiues": []}),
        field(json!(5)),
        field(json!({"class": "strin"})),
        field(json!({"required": "yes"})),
        field(json!({"class": "string", "format": "zip"})),
        field(json!({"class": "string", "max_length": -1})),
        field(json!({"class": "number", "min": "1"})),
        field(json!({"class": "number", "min": 1, "gte": 1})),
        field(json!({"class": "number", "multiple_of": 0})),
        field(json!({"class": "number", "max_length": 3})),
        field(json!({"class": "array", "of": 5})),
        field(json!({"class": "hash", "fields": {"g": {"class": "nope"}}})),
        field(json!({"class": "puck.uno/reference", "on_delete": "cascade"})),
    ];
    for definition in broken {
        assert!(!definitions.accepts(&definition), "the schema refuses {definition}");
        let create = json!({"action": "create", "class": "puck.uno/class", "bucket": definition});
        assert!(db().q0(create).is_err(), "the engine refuses {definition}");
    }

    let worldlets = JsonSchema::of("worldlet.schema.json");
    let record = |record: Value| {
        json!({
            "format": "worldlet/1.0", "properties": {"temporal": false, "executable": false},
            "records": {"a": record},
        })
    };
    let stack = json!({"x": {"class": "a.b/c"}});
    assert!(worldlets.accepts(&record(json!({"bucket": {}, "stack": stack}))));
    assert!(worldlets.accepts(&record(json!(5))) && worldlets.accepts(&record(json!(["a"]))));
    for broken in [
        record(json!({"bucket": [], "stack": stack})),
        record(json!({"bucket": {}, "stack": {"x": {}}})),
        record(json!({"bucket": {}, "stack": {"shadow": {"class": "a.b/c"}, "x": {"class": "a.b/c"}}})),
        record(json!({"bucket": {}, "stack": stack, "created_at": "now"})),
        record(json!({"bucket": {}, "stack": stack, "hue": 1})),
        record(json!({"bucket": {"name": 5}, "stack": {"class": {"class": "puck.uno/class"}}})),
    ] {
        assert!(!worldlets.accepts(&broken), "the schema refuses {broken}");
        let imported = db().read_worldlet(&mut broken.to_string().as_bytes(), false);
        assert!(imported.is_err(), "the engine refuses {broken}");
    }
}

/// Requests that the schema refuses are refused by the engine too.
#[test]
fn the_engine_refuses_requests_that_the_schema_refuses() {
    let requests = JsonSchema::of("q0-request.schema.json");
    let path = |path: Value| json!({"action": "select", "path": path});
    let sort = |sort: Value| json!({"action": "select", "sort": sort});
    for valid in [
        json!({
            "action": "select", "placeholders": {"x": 1}, "then": {"not": true, "any": [{}]},
            "limit": 0, "misc": 1,
        }),
        json!({
            "action": "select", "all": [{"class": ["a.b/c"], "pk": "x", "path": ["a", 0, null]}],
            "sorts": [["a", 1]],
        }),
        path(json!(["a", {"in": [], "case-sensitive": false}])),
        path(json!(["a", {"starts_with": "a", "case_sensitive": false}])),
        path(json!(["a", {"ends_with": "a"}])),
        sort(json!(["a", {"case_sensitive": false}])),
        path(json!(["a", {"value": {"placeholder": 1}}])),
        sort(json!([{"record": "pk"}, {"reverse": true}])),
        json!({"action": "create", "bucket": {}, "class": null, "comment": "x"}),
        json!({"action": "create", "bucket": {}, "classes": ["a.b/c"]}),
        json!({"action": "create", "bucket": {}, "pk": "x"}),
        json!({
            "action": "patch", "where": {"class": "a.b/c"}, "sort": ["a"], "limit": 1, "bucket": {"a": null},
        }),
        json!({"action": "edit", "where": {}, "limit": 0, "edits": [{"path": ["a"], "set": 1}]}),
        json!({
            "action": "delete", "pk": "x", "if_exists": true, "if_updated_at": "2026-04-21T14:32:00.123Z",
        }),
    ] {
        assert!(requests.accepts(&valid), "the schema accepts {valid}");
        db().q0(valid.clone()).unwrap_or_else(|error| panic!("{valid}: {error}"));
    }
    for broken in [
        json!([]),
        json!({}),
        json!({"action": "engage"}),
        json!({"action": "select", "where": 1}),
        json!({"action": "select", "not": true}),
        json!({"action": "select", "limit": -1}),
        json!({"action": "select", "limit": 1.5}),
        json!({"action": "select", "class": 1}),
        json!({"action": "select", "class": "a b"}),
        json!({"action": "select", "pk": [1]}),
        json!({"action": "select", "all": {}}),
        json!({"action": "select", "any": [1]}),
        json!({"action": "select", "then": {"limit": 1}}),
        json!({"action": "select", "then": {"not": 1}}),
        json!({"action": "select", "placeholders": []}),
        json!({"action": "select", "sorts": ["a"]}),
        path(json!("a")),
        path(json!(["a"])),
        path(json!([null, 1])),
        path(json!(["a", {}])),
        path(json!(["a", {"like": "a"}])),
        path(json!(["a", {"collapse": true}])),
        path(json!(["a", {"contains": 1}])),
        path(json!(["a", {"gt": true}])),
        path(json!(["a", {"in": 1}])),
        path(json!(["a", {"exists": "yes"}])),
        path(json!(["a", {"any": false}])),
        sort(json!([])),
        sort(json!(["a", {"desc": true}])),
        sort(json!(["a", {"reverse": 1}])),
        sort(json!([{"record": "seq"}])),
        json!({"action": "create"}),
        json!({"action": "create", "bucket": []}),
        json!({"action": "create", "bucket": {}, "pk": ["x"]}),
        json!({"action": "update", "where": {"pk": "x"}, "bucket": {}}),
        json!({"action": "patch", "where": {}, "bucket": {}}),
        json!({"action": "edit", "pk": "x", "edits": [{"path": ["a"], "append": 1}]}),
        json!({"action": "upsert", "class": "a.b/c"}),
        json!({"action": "claim", "select": {"class": "a.b/c"}}),
        json!({"action": "claim", "select": {"limit": 1}, "lease": 1}),
        json!({"action": "finish"}),
        json!({"action": "update", "pk": "x"}),
        json!({"action": "update", "bucket": {}}),
        json!({"action": "delete", "pk": 1}),
        json!({"action": "delete", "pk": "x", "if_exists": 1}),
    ] {
        assert!(!requests.accepts(&broken), "the schema refuses {broken}");
        let validation = db().validate(broken.clone()).unwrap();
        assert!(!validation.errors.is_empty(), "the engine refuses {broken}");
    }
}

/// The recorded schema of an answer accepts one of each kind, in the form that its request has.
#[test]
fn the_schema_of_an_answer_accepts_the_answers_to_all_actions() {
    let surface = read(&Path::new(WORKSPACE).join("miko-core/schema/mikobase.surface.json"));
    let schema = json!({"$defs": surface["schemas"]["sent"]["$defs"], "$ref": "#/$defs/Response"});
    let mut compiler = Compiler::new();
    compiler.add_resource("mikobase:answer", schema).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile("mikobase:answer", &mut schemas).unwrap();

    let db = temporal();
    db.import_schema(json!({"classes": {"a.b/c": {"fields": {"key": {"unique": true}}}}})).unwrap();
    let answer = |request: Value| {
        let response = db.q0(request.clone()).unwrap();
        let json = serde_json::to_value(&response).unwrap();
        let faults = schemas.validate(&json, index).err();
        assert!(faults.is_none(), "{request}\n{json}\n{:#}", faults.unwrap());
        json["results"].clone()
    };
    let conditions = || json!({"class": "a.b/c", "path": ["n", 1]});
    answer(json!({"action": "create", "pk": "p", "class": "a.b/c", "bucket": {"n": 1}}));
    for request in [
        json!({"action": "select"}),
        json!({"action": "select", "history": true}),
        json!({"action": "select", "class": ["a.b/c"], "classes": []}),
        json!({"action": "update", "pk": "p", "bucket": {"n": 1}}),
        json!({"action": "patch", "where": conditions(), "bucket": {"m": 1}}),
        json!({"action": "edit", "pk": "p", "edits": [{"path": ["m"], "increment": 1}]}),
        json!({"action": "upsert", "class": "a.b/c", "key": {"key": 1}}),
        json!({"action": "delete", "pk": "none", "if_exists": true}),
    ] {
        answer(request);
    }
    let claim = || json!({"action": "claim", "select": conditions(), "lease": 60});
    let taken = answer(claim());
    assert_eq!((&taken["record"]["pk"], &answer(claim())["claim"]), (&json!("p"), &json!(null)));
    answer(json!({"action": "release", "claim": taken["claim"]}));
    let begun = answer(json!({"action": "transaction"}));
    answer(json!({"action": "commit", "transaction": begun["transaction"]}));
}

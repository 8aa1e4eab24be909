//! Arguments: class definitions, schemas and worldlets.

use mikobase::json;
use serde_json::{Map, Value};

use super::requests::Requests;

/// The types of fields.
const TYPES: [&str; 10] = [
    "string",
    "number",
    "boolean",
    "url",
    "timestamp",
    "hash",
    "array",
    "puck.uno/reference",
    "puck.uno/dbfile",
    "fuzz.test/a",
];

/// The settings of a field.
const SETTINGS: [&str; 18] = [
    "required",
    "unique",
    "default",
    "one_of",
    "pattern",
    "min",
    "max",
    "minimum",
    "maximum",
    "min_length",
    "max_length",
    "multiple_of",
    "of",
    "items",
    "fields",
    "target",
    "on_delete",
    "index",
];

impl Requests {
    pub fn schema(&mut self) -> Value {
        let classes: Map<String, Value> =
            (0..self.random.size(4)).map(|_| (self.class(), self.definition())).collect();
        if self.random.one_in(20) { self.value() } else { json!({ "classes": classes }) }
    }

    pub(super) fn definition(&mut self) -> Value {
        let fields: Map<String, Value> =
            (0..self.random.size(5)).map(|_| (self.key(), self.field(2))).collect();
        let mut definition = json!({"name": self.class(), "fields": fields});
        if self.random.one_in(3) {
            definition["inherits"] = self.class().into();
        }
        if self.random.one_in(6) {
            definition[*self.random.pick(&["unique", "index", "join", "abstract"])] = json!([[self.key()]]);
        }
        definition
    }

    fn field(&mut self, depth: usize) -> Value {
        let mut field = json!({"class": *self.random.pick(&TYPES)});
        for _ in 0..self.random.below(3) {
            let setting = *self.random.pick(&SETTINGS);
            field[setting] = match setting {
                "pattern" => self.pattern().into(),
                "required" | "unique" | "index" => true.into(),
                "of" | "items" if depth > 0 => self.field(depth - 1),
                "fields" if depth > 0 => json!({"x": self.field(depth - 1)}),
                "min" | "max" | "min_length" | "max_length" => self.integer(),
                _ => self.value(),
            };
        }
        field
    }

    /// A worldlet with records, classes, versions and files.
    pub fn worldlet(&mut self) -> Value {
        let mut worldlet = Map::new();
        worldlet.insert("format".to_owned(), "worldlet/1.0".into());
        for key in ["records", "classes", "history", "files", "file_chunks", "meta", "executable", "temporal"]
        {
            if self.random.one_in(3) {
                let count = if self.random.one_in(30) { self.large() / 200 } else { self.random.size(5) };
                let entries: Map<String, Value> =
                    (0..count).map(|n| (n.to_string(), self.entry(key))).collect();
                worldlet.insert(key.to_owned(), entries.into());
            }
        }
        if self.random.one_in(20) { self.value() } else { worldlet.into() }
    }

    fn entry(&mut self, key: &str) -> Value {
        if self.random.one_in(15) {
            return self.value();
        }
        let time = "2026-04-21T14:32:00.123Z";
        let stack = json!({"x": {"class": self.class()}});
        match key {
            "records" => json!({"bucket": self.object(2), "stack": stack, "created_at": time}),
            "history" => json!({"record": "0", "bucket": self.object(2), "stack": stack, "updated_at": time}),
            "classes" => self.definition(),
            "files" => json!({"sha256": "00".repeat(32), "mime": {"type": "text/plain"}, "created_at": time}),
            "file_chunks" => json!({"file": "0", "index": self.integer(), "data": self.text()}),
            _ => self.scalar(),
        }
    }
}

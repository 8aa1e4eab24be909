//! Class definitions: the buckets of records of class `puck.uno/class`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::constraint::{Constraint, FieldPath, declared_constraints};
use super::field::{Field, Fields};
use super::settings::{ReadContext, Settings, SettingsReader};
use crate::diagnostics::{FaultList, Place};

/// A class definition, without inherited fields and constraints.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// The names of the parents.
    pub(super) inherits: Vec<String>,
    pub(super) fields: Fields,
    /// The constraints that the class declares. They are shared with its subclasses.
    pub(super) constraints: Vec<Arc<Constraint>>,
    pub(super) is_abstract: bool,
}

impl Definition {
    /// Reads a definition; `None` if its name is missing or invalid. After any other fault, the definition
    /// lacks the faulty parts. Each fault has a JSON pointer under `place`.
    pub(crate) fn read(
        bucket: &Map<String, Value>,
        place: Place<'_>,
        faults: &mut FaultList,
    ) -> Option<Self> {
        Self::read_with(ReadContext::default(), bucket, place, faults)
    }

    /// As [`read`](Self::read), for a definition that is stored already. The size of the settings that its
    /// sub-fields inherit is not limited, so that every stored definition can be loaded.
    pub(crate) fn read_stored(bucket: &Map<String, Value>, faults: &mut FaultList) -> Option<Self> {
        Self::read_with(ReadContext::without_limit(), bucket, Place::Root, faults)
    }

    fn read_with(
        mut context: ReadContext,
        bucket: &Map<String, Value>,
        place: Place<'_>,
        faults: &mut FaultList,
    ) -> Option<Self> {
        let own = Settings::of_object(bucket, place);
        let mut settings = SettingsReader { own, inherited: &[], context: &mut context };
        let name = match bucket.get("name") {
            None => {
                settings.refuse("name", "a class definition has a `name`, which is a UNS");
                None
            }
            Some(name) => settings.class("name", name),
        };
        let inherits = settings.classes(&["inherits"]);
        let fields = read_fields(&mut settings);
        let uniques = read_uniques(&mut settings);
        let join = settings.array(&["join"]).map_or_else(Vec::new, |(key, paths)| {
            paths.iter().filter_map(|path| read_path(&mut settings, key, path)).collect()
        });
        let is_abstract = settings.boolean("abstract");
        faults.append(context.faults);
        let name = name?;
        let constraints = declared_constraints(&name, &fields, uniques, join);
        Some(Self { name, inherits, fields, constraints, is_abstract })
    }

    /// The `classes` of an exported schema: the definitions by name. `buckets` are the stored buckets of the
    /// records of class `puck.uno/class`. A bucket that was imported is stored unchanged, so its class names
    /// may have a protocol, which a schema omits.
    pub(crate) fn classes(buckets: impl IntoIterator<Item = Map<String, Value>>) -> Map<String, Value> {
        let normalized = buckets.into_iter().map(|mut bucket| {
            Self::normalize(&mut bucket);
            let name = bucket.get("name").and_then(Value::as_str).unwrap_or_default();
            (name.to_owned(), Value::Object(bucket))
        });
        normalized.collect()
    }

    /// Removes the protocol from the class names in the bucket of a definition.
    pub(crate) fn normalize(bucket: &mut Map<String, Value>) {
        for key in ["name", "inherits"] {
            strip_protocol(bucket.get_mut(key));
        }
        normalize_fields(bucket.get_mut("fields"));
    }
}

fn read_fields(settings: &mut SettingsReader<'_>) -> Fields {
    let Some(definitions) = settings.object("fields") else { return Fields::default() };
    let place = Place::Key(&settings.own.place, "fields");
    let read = |(name, definition): (&String, &Value)| {
        let field = Field::read(definition, &[], Place::Key(&place, name), settings.context);
        (name.clone(), field)
    };
    definitions.iter().map(read).collect()
}

/// Reads `uniques`, also in the spelling `unqiues`, which occurs in existing definitions.
fn read_uniques(settings: &mut SettingsReader<'_>) -> Vec<Vec<FieldPath>> {
    let Some((key, tuples)) = settings.array(&["uniques", "unqiues"]) else { return Vec::new() };
    let mut uniques = Vec::new();
    for tuple in tuples {
        match tuple {
            Value::Array(paths) if !paths.is_empty() => {
                uniques.push(paths.iter().filter_map(|path| read_path(settings, key, path)).collect());
            }
            _ => settings
                .refuse(key, format!("`{key}` must be an array of arrays of fields: each tuple is unique")),
        }
    }
    uniques
}

/// Reads the path of a field: its name, or an array of keys.
fn read_path(settings: &mut SettingsReader<'_>, key: &str, path: &Value) -> Option<FieldPath> {
    let keys: Option<FieldPath> = match path {
        Value::String(name) => Some(vec![name.clone()]),
        Value::Array(keys) if !keys.is_empty() => {
            keys.iter().map(|key| key.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    if keys.is_none() {
        settings.refuse(key, "a field must be named by a string, or by an array of keys that lead to it");
    }
    keys
}

/// Removes the protocol from a class name, or from each name in an array.
fn strip_protocol(names: Option<&mut Value>) {
    match names {
        Some(Value::String(name)) => {
            for protocol in ["https://", "http://"] {
                if let Some(bare) = name.strip_prefix(protocol) {
                    *name = bare.to_owned();
                    return;
                }
            }
        }
        Some(Value::Array(names)) => names.iter_mut().for_each(|name| strip_protocol(Some(name))),
        _ => {}
    }
}

fn normalize_fields(fields: Option<&mut Value>) {
    if let Some(Value::Object(fields)) = fields {
        fields.values_mut().for_each(normalize_field);
    }
}

fn normalize_field(field: &mut Value) {
    let Value::Object(settings) = field else { return };
    for key in ["class", "target", "allowed_class", "allowed_classes"] {
        strip_protocol(settings.get_mut(key));
    }
    for key in ["of", "items"] {
        match settings.get_mut(key) {
            Some(definition @ Value::Object(_)) => normalize_field(definition),
            name => strip_protocol(name),
        }
    }
    // On a hash with `fields`, `default` is not a value, but has settings for each sub-field.
    if settings.contains_key("fields")
        && let Some(definition) = settings.get_mut("default")
    {
        normalize_field(definition);
    }
    normalize_fields(settings.get_mut("fields"));
}

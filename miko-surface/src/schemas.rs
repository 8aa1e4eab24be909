//! The JSON Schemas of the types of an interface.
//!
//! A type may be sent in another shape than it is received in: a field that may be missing is always sent,
//! for example. So each type has two schemas, one of what serde writes and one of what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schemas of all types of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schemas {
    /// Those of the values as they are sent.
    pub sent: SchemaSet,
    /// Those of the values as they are received.
    pub received: SchemaSet,
    /// The hash of the schemas without annotations, once it was computed.
    #[serde(skip)]
    hash: CachedHash,
}

/// A hash that is computed once. It is no part of the value.
#[derive(Debug, Clone, Default)]
struct CachedHash(OnceLock<u64>);

impl PartialEq for CachedHash {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for CachedHash {}

/// The schemas of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaSet {
    /// The schemas of each method's types, by its wire name.
    pub methods: BTreeMap<String, MethodSchemas>,
    /// The schemas that others refer to as `#/$defs/Name`.
    #[serde(rename = "$defs", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, Value>,
}

/// The schemas of a method's types.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MethodSchemas {
    /// Those of its arguments, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// The names of those that may be missing: the options.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub optional: BTreeSet<String>,
    /// That of a successful result.
    pub returns: Value,
    /// That of its error.
    pub error: Value,
}

/// The keywords that annotate a schema, and constrain no value.
const ANNOTATIONS: &[&str] =
    &["title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly"];

impl Schemas {
    /// The schemas of both directions.
    pub fn new(sent: SchemaSet, received: SchemaSet) -> Self {
        Self { sent, received, hash: CachedHash::default() }
    }

    /// The hash of the schemas without annotations. It is computed once.
    pub(crate) fn hash_with(&self, hash: impl FnOnce(&Value) -> u64) -> u64 {
        *self.hash.0.get_or_init(|| {
            // Maps of schemas can always be serialized.
            hash(&serde_json::to_value(self.without_annotations()).unwrap_or_default())
        })
    }

    /// The schemas without titles, descriptions, defaults and examples, which clients do not depend on.
    #[must_use]
    pub fn without_annotations(&self) -> Self {
        let Self { sent, received, .. } = self.clone();
        Self::new(sent.without_annotations(), received.without_annotations())
    }

    /// Removes the schemas of all other methods, and the definitions that nothing refers to then.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.hash = CachedHash::default();
        for set in [&mut self.sent, &mut self.received] {
            set.methods.retain(|method, _| is_kept(method));
            let referred: BTreeSet<String> = set
                .methods
                .keys()
                .flat_map(|method| set.definitions_of(method).into_keys().map(ToOwned::to_owned))
                .collect();
            set.definitions.retain(|name, _| referred.contains(name));
        }
    }

    /// Adds the schemas of `other`, of a supertrait.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.hash = CachedHash::default();
        for (set, other) in [(&mut self.sent, &other.sent), (&mut self.received, &other.received)] {
            set.merge(other);
        }
    }
}

impl SchemaSet {
    /// The schemas of one method, with the definitions that they refer to.
    pub(crate) fn of_method(&self, method: &str) -> Self {
        let schemas = self.methods.get_key_value(method);
        let definitions = self.definitions_of(method).into_iter();
        Self {
            methods: schemas.map(|(name, schemas)| (name.clone(), schemas.clone())).into_iter().collect(),
            definitions: definitions.map(|(name, schema)| (name.to_owned(), schema.clone())).collect(),
        }
    }

    /// The schemas without annotations.
    pub(crate) fn without_annotations(mut self) -> Self {
        self.schemas_mut().for_each(remove_annotations);
        self
    }

    /// The definitions that the schemas of a method refer to, also by way of others.
    pub(crate) fn definitions_of(&self, method: &str) -> BTreeMap<&str, &Value> {
        let mut found = BTreeMap::new();
        let Some(schemas) = self.methods.get(method) else { return found };
        let mut pending: Vec<&Value> =
            schemas.params.values().chain([&schemas.returns, &schemas.error]).collect();
        while let Some(schema) = pending.pop() {
            match schema {
                Value::Object(keywords) => {
                    let name = keywords.get("$ref").and_then(Value::as_str);
                    let name = name.and_then(|reference| reference.strip_prefix(REFERENCE));
                    if let Some((name, definition)) =
                        name.and_then(|name| self.definitions.get_key_value(name))
                        && found.insert(&**name, definition).is_none()
                    {
                        pending.push(definition);
                    }
                    pending.extend(keywords.values());
                }
                Value::Array(schemas) => pending.extend(schemas),
                _ => {}
            }
        }
        found
    }

    fn schemas_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let of_methods = self
            .methods
            .values_mut()
            .flat_map(|method| method.params.values_mut().chain([&mut method.returns, &mut method.error]));
        of_methods.chain(self.definitions.values_mut())
    }

    /// Adds the schemas of `other`. A definition that means something else here gets another name.
    fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        // A definition that refers to a renamed one means something else as well, so this is repeated.
        while let Some(name) = self.conflicting_name(&other) {
            let is_taken =
                |name: &String| self.definitions.contains_key(name) || other.definitions.contains_key(name);
            let Some(free) = (2..).map(|n| format!("{name}{n}")).find(|name| !is_taken(name)) else { return };
            other.schemas_mut().for_each(|schema| rename_reference(schema, &name, &free));
            if let Some(schema) = other.definitions.remove(&name) {
                other.definitions.insert(free, schema);
            }
        }
        self.methods.extend(other.methods);
        self.definitions.extend(other.definitions);
    }

    /// The name of a definition that is another one in `other`.
    fn conflicting_name(&self, other: &Self) -> Option<String> {
        let is_another = |(name, schema): &(&String, &Value)| {
            self.definitions.get(*name).is_some_and(|own| own != *schema)
        };
        other.definitions.iter().find(is_another).map(|(name, _)| name.clone())
    }
}

/// Removes the annotations from a schema. Properties of the same names stay.
fn remove_annotations(schema: &mut Value) {
    let Value::Object(keywords) = schema else {
        if let Value::Array(schemas) = schema {
            schemas.iter_mut().for_each(remove_annotations);
        }
        return;
    };
    keywords.retain(|keyword, _| !ANNOTATIONS.contains(&&**keyword));
    for (keyword, value) in keywords {
        match (&**keyword, value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(schemas)) => {
                schemas.values_mut().for_each(remove_annotations);
            }
            ("const" | "enum", _) => {}
            (_, value) => remove_annotations(value),
        }
    }
}

fn rename_reference(schema: &mut Value, name: &str, new: &str) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match value {
                    Value::String(reference) if keyword == "$ref" => {
                        if reference.strip_prefix(REFERENCE) == Some(name) {
                            *reference = format!("{REFERENCE}{new}");
                        }
                    }
                    value => rename_reference(value, name, new),
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| rename_reference(schema, name, new)),
        _ => {}
    }
}

/// The beginning of a reference to a definition.
pub(crate) const REFERENCE: &str = "#/$defs/";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(method: &str, definition: Value) -> SchemaSet {
        let schemas = MethodSchemas { returns: json!({"$ref": "#/$defs/Item"}), ..MethodSchemas::default() };
        SchemaSet {
            methods: [(method.to_owned(), schemas)].into(),
            definitions: [("Item".to_owned(), definition)].into(),
        }
    }

    #[test]
    fn a_name_that_means_something_else_is_renamed() {
        let mut joined = set("a", json!({"type": "string"}));
        joined.merge(&set("b", json!({"type": "integer"})));
        joined.merge(&set("c", json!({"type": "string"})));
        let of = |method: &str| joined.methods[method].returns["$ref"].clone();
        assert_eq!((of("a"), of("b"), of("c")), (json!("#/$defs/Item"), json!("#/$defs/Item2"), of("a")));
        assert_eq!(joined.definitions["Item2"], json!({"type": "integer"}));
    }

    #[test]
    fn a_definition_that_refers_to_a_renamed_one_is_renamed_too() {
        let with = |part: &str| SchemaSet {
            definitions: [
                ("Item".to_owned(), json!({"properties": {"p": {"$ref": "#/$defs/Part"}}})),
                ("Part".to_owned(), json!({"type": part})),
            ]
            .into(),
            ..SchemaSet::default()
        };
        let mut joined = with("string");
        joined.merge(&with("integer"));
        let refers_to = |name: &str| joined.definitions[name]["properties"]["p"]["$ref"].clone();
        assert_eq!((refers_to("Item"), refers_to("Item2")), (json!("#/$defs/Part"), json!("#/$defs/Part2")));
    }

    #[test]
    fn annotations_are_no_part_of_a_shape() {
        let mut schema = json!({
            "title": "T", "type": "object", "default": {},
            "properties": {
                "title": {"type": "string", "description": "Its title."},
                "kind": {"const": "title"},
            },
        });
        remove_annotations(&mut schema);
        let properties = json!({"title": {"type": "string"}, "kind": {"const": "title"}});
        let bare = json!({"type": "object", "properties": properties});
        assert_eq!(schema, bare);
    }
}

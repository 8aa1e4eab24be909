//! The JSON Schemas of types with a hand-written `Serialize` or `Deserialize`. The schemas of other types are
//! derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::bucket::Bucket;
use crate::json::Object;
use crate::record::Record;
use crate::response::{Answers, Response};
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// Implements `JsonSchema` by an expression.
macro_rules! json_schemas {
    ($($ty:ident($generator:ident) => $schema:expr;)*) => {
        $(impl JsonSchema for $ty {
            fn schema_name() -> Cow<'static, str> {
                stringify!($ty).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

/// Any value, inlined, although a bucket is an object. In older versions of the surface, a parameter that
/// takes a bucket has the type `serde_json::Value`, and its schema must stay the same. The server checks that
/// the value is an object.
impl JsonSchema for Bucket {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bucket".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

json_schemas! {
    Object(_generator) => json_schema!({"type": "object", "additionalProperties": true});

    Timestamp(_generator) => json_schema!({
        "description": "A time in UTC with milliseconds: `2026-11-26T12:00:00.000Z`.",
        "type": "string",
    });

    Target(_generator) => json_schema!({
        "description": "A pk, a class name, or a condition of a select.",
        "type": ["string", "object"],
        "additionalProperties": true,
    });

    Record(generator) => with_shared_properties(generator, json_schema!({
        "description": "A record as it is now.",
        "required": ["pk", "bucket", "stack", "created_at", "updated_at"],
    }));

    Version(generator) => with_shared_properties(generator, json_schema!({
        "description": "A version of a record. A tombstone is not active, and has no bucket and no stack.",
        "required": ["pk", "instance_pk", "active", "created_at", "updated_at"],
        "properties": {"instance_pk": {"type": "string"}, "active": {"type": "boolean"}},
    }));

    Response(generator) => {
        let success = success_schemas(generator);
        json_schema!({
            "description": "The answer to a request that succeeded. A select returns records or versions.",
            "oneOf": success,
        })
    };

    Answers(generator) => {
        let mut envelopes = success_schemas(generator);
        let errors = generator.subschema_for::<crate::Error>();
        envelopes.push(json_schema!({
            "type": "object",
            "required": ["success", "errors"],
            "properties": {"success": {"const": false}, "errors": errors},
        }));
        json_schema!({
            "description": "The answers to the requests of a batch, in their order.",
            "type": "array",
            "items": {"oneOf": envelopes},
        })
    };
}

/// Adds the properties that records and versions share.
fn with_shared_properties(generator: &mut SchemaGenerator, mut schema: Schema) -> Schema {
    let (object, timestamp) = (generator.subschema_for::<Object>(), generator.subschema_for::<Timestamp>());
    let shared = json_schema!({
        "pk": {"type": "string"},
        "bucket": object,
        "stack": object,
        "created_at": timestamp,
        "updated_at": timestamp,
        "custom_classes": true,
        "vibecode": true,
        "comment": true,
        "misc": true,
        "corporate": true,
    });
    let properties = schema.ensure_object().entry("properties").or_insert_with(|| serde_json::json!({}));
    if let (Some(properties), Some(shared)) = (properties.as_object_mut(), shared.as_object()) {
        properties.extend(shared.clone());
    }
    schema.insert("type".to_owned(), "object".into());
    schema
}

/// The two schemas of an answer to a request that succeeded: first of a select, then of any other action.
fn success_schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
    let (record, version) = (generator.subschema_for::<Record>(), generator.subschema_for::<Version>());
    let claimed = json_schema!({
        "description": "A claim that was taken.",
        "type": "object",
        "required": ["claim", "record", "attempts"],
        "properties": {
            "claim": {"type": "string"},
            "record": record,
            "attempts": {"type": "integer", "minimum": 0},
        },
    });
    let (timestamp, warning) =
        (generator.subschema_for::<Timestamp>(), generator.subschema_for::<crate::Warning>());
    let found = json_schema!({
        "type": "object",
        "required": ["success", "results", "count"],
        "properties": {
            "success": {"const": true},
            "results": {"anyOf": [
                {"type": "array", "items": record},
                {"type": "array", "items": version},
            ]},
            "count": {"type": "integer", "minimum": 0},
            "warnings": {"type": "array", "items": warning},
        },
    });
    let written = json_schema!({
        "type": "object",
        "required": ["success", "results"],
        "properties": {
            "success": {"const": true},
            "results": {"anyOf": [
                {
                    "type": "object",
                    "required": ["pk", "updated_at"],
                    "properties": {
                        "pk": {"type": "string"},
                        "updated_at": timestamp,
                        "values": {"type": "array", "description": "Of edits: a value for each."},
                        "created": {"type": "boolean", "description": "Of an upsert: whether it is new."},
                    },
                },
                {
                    "type": "object",
                    "required": ["count", "pks"],
                    "properties": {
                        "count": {"type": "integer", "minimum": 0},
                        "pks": {"type": "array", "items": {"type": "string"}},
                    },
                },
                {
                    "type": "object",
                    "required": ["pk", "deleted"],
                    "properties": {"pk": {"type": "string"}, "deleted": {"type": "boolean"}},
                },
                claimed,
                {
                    "description": "A claim that has ended; null, if there was no record to claim.",
                    "type": "object",
                    "required": ["claim"],
                    "properties": {"claim": {"type": ["string", "null"]}},
                },
                {
                    "description": "The transaction that has begun or ended.",
                    "type": "object",
                    "required": ["transaction"],
                    "properties": {"transaction": {"type": "string"}},
                },
            ]},
            "warnings": {"type": "array", "items": warning},
        },
    });
    vec![found, written]
}

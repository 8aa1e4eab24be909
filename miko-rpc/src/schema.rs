//! The JSON Schemas of the types of an interface, made with `schemars`.

use std::borrow::Cow;

use miko_surface::{MethodSchemas, SchemaSet, Schemas};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::bounds::Wire;
use crate::bytes::Bytes;
use crate::error::{Error, ErrorId, ErrorItem};
use crate::fallible::Fallible;
use crate::interface::Interface;
use crate::remote::Remote;
use crate::stream::Stream;
use crate::travel::{Missing, Received};

/// Collects the schemas of an interface, method by method. Generated code uses it.
#[derive(Debug)]
pub struct SchemaBuilder {
    sent: Direction,
    received: Direction,
}

/// The schemas of one direction.
#[derive(Debug)]
struct Direction {
    generator: SchemaGenerator,
    set: SchemaSet,
}

impl Default for SchemaBuilder {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12();
        Self {
            sent: Direction::new(settings.clone().for_serialize()),
            received: Direction::new(settings.for_deserialize()),
        }
    }
}

impl Direction {
    fn new(settings: SchemaSettings) -> Self {
        Self { generator: settings.into_generator(), set: SchemaSet::default() }
    }

    fn schema<T: JsonSchema>(&mut self) -> serde_json::Value {
        self.generator.subschema_for::<T>().to_value()
    }

    fn finish(mut self) -> SchemaSet {
        self.set.definitions = self.generator.take_definitions(true).into_iter().collect();
        self.set
    }
}

impl SchemaBuilder {
    /// Adds a method that returns an `R`. Its arguments follow.
    #[must_use]
    pub fn method<R: Fallible<Value: JsonSchema, Error: JsonSchema>>(mut self, name: &str) -> Self {
        for direction in [&mut self.sent, &mut self.received] {
            let (returns, error) = (direction.schema::<R::Value>(), direction.schema::<R::Error>());
            let method = MethodSchemas { returns, error, ..MethodSchemas::default() };
            direction.set.methods.insert(name.to_owned(), method);
        }
        self
    }

    /// Adds an argument of the method `method`.
    #[must_use]
    pub fn argument<T: JsonSchema + Wire>(mut self, method: &str, name: &str) -> Self {
        let is_optional = Received::<T>::read(Missing::<serde_json::Error>::new(name)).is_ok();
        for direction in [&mut self.sent, &mut self.received] {
            let schema = direction.schema::<T>();
            let schemas = direction.set.methods.entry(method.to_owned()).or_default();
            schemas.params.insert(name.to_owned(), schema);
            schemas.optional.extend(is_optional.then(|| name.to_owned()));
        }
        self
    }

    /// All schemas.
    pub fn finish(self) -> Schemas {
        Schemas::new(self.sent.finish(), self.received.finish())
    }
}

impl JsonSchema for Error {
    fn schema_name() -> Cow<'static, str> {
        "Error".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<ErrorItem>();
        json_schema!({
            "description": "Why a request failed: one item or more.",
            "type": "array", "minItems": 1, "items": item,
        })
    }
}

impl JsonSchema for ErrorItem {
    fn schema_name() -> Cow<'static, str> {
        "ErrorItem".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let id = generator.subschema_for::<ErrorId>();
        json_schema!({
            "description": "One reason: an id that programs compare, and details for people and programs.",
            "type": "object",
            "required": ["id", "details"],
            "properties": {
                "id": id,
                "details": {
                    "type": "object",
                    "properties": {"message": {"type": "string"}},
                    "additionalProperties": true,
                },
            },
        })
    }
}

impl JsonSchema for ErrorId {
    fn schema_name() -> Cow<'static, str> {
        "ErrorId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "The id of an error; a client may meet one that it does not know.",
                      "type": "string"})
    }
}

/// A stream is described by its items: what may be added to an array, may be added to it.
impl<T: JsonSchema> JsonSchema for Stream<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Stream_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({"type": "array", "items": item, "x-stream": true})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// An object is described by the name of its interface, whose surface is among those of the objects. That
/// surface is not asked for here: it may have a method that returns the interface that is being described.
impl<I: Interface + ?Sized> JsonSchema for Remote<I> {
    fn schema_name() -> Cow<'static, str> {
        format!("Remote_{}", I::NAMES.name()).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let interface = I::NAMES.name();
        json_schema!({
            "type": "object", "required": ["object"],
            "properties": {"object": {"type": "integer", "minimum": 1}},
            "x-interface": interface,
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "contentEncoding": "base64"})
    }

    fn inline_schema() -> bool {
        true
    }
}

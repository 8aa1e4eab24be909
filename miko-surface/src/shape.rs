//! The forms that the values of a type may have, by its JSON Schema. Keywords that are not known here, such
//! as `pattern`, are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use crate::budget::{Budget, CONSTANTS_PER_STEP, steps_of};
use crate::schemas::{REFERENCE, SchemaSet};

/// How many alternatives of one value are told apart. With more it may be anything.
const MAX_SHAPES: usize = 1000;

/// How many characters of a name or a constant, and how many alternatives, a message has.
const MAX_PRINTED: usize = 40;
const MAX_LISTED: usize = 8;

/// The keywords of a stream and of an object, by which their schemas differ from those of values.
const IS_STREAM: &str = "x-stream";
const INTERFACE: &str = "x-interface";

/// One of the forms that a value may have.
#[derive(Clone)]
pub(crate) enum Shape<'s> {
    Any,
    Null,
    Boolean,
    Number(Range),
    Text(Text<'s>),
    /// One value only, such as the name of a variant.
    Constant(&'s Value),
    List(List<'s>),
    Fields(Fields<'s>),
    /// A stream of items, whose schema this is. It is sent as a handle.
    Stream(Option<&'s Value>),
    /// An object with this interface. It is sent as a handle.
    Object(&'s str),
}

/// What is known of the strings of a type. In a binary format a string with a format, such as `uuid`, may be
/// no string at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'s> {
    format: Option<&'s str>,
    encoding: Option<&'s str>,
    max_length: Option<u64>,
}

impl<'s> Text<'s> {
    fn of(keywords: &'s Map<String, Value>) -> Self {
        let text = |keyword: &str| keywords.get(keyword).and_then(Value::as_str);
        Self {
            format: text("format"),
            encoding: text("contentEncoding"),
            max_length: keywords.get("maxLength").and_then(Value::as_u64),
        }
    }

    pub(crate) fn fits(self, received: Text<'_>) -> bool {
        self.format == received.format
            && self.encoding == received.encoding
            && received.max_length.is_none_or(|max| self.max_length.is_some_and(|own| own <= max))
    }

    /// Whether a string that is known is one of these.
    fn has(self, text: &str) -> bool {
        let is_longer = |max| usize::try_from(max).is_ok_and(|max| text.chars().nth(max).is_some());
        self.format.is_none() && self.encoding.is_none() && !self.max_length.is_some_and(is_longer)
    }
}

/// The numbers that a type has.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    is_integer: bool,
    /// `None` for no bound that is known.
    min: Option<i128>,
    max: Option<i128>,
}

#[derive(Clone)]
pub(crate) struct List<'s> {
    /// The schemas of the first elements.
    pub(crate) first: Vec<&'s Value>,
    /// The schema of the others.
    pub(crate) others: Option<&'s Value>,
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// A struct, a map, or a variant with its name.
#[derive(Clone, Default)]
pub(crate) struct Fields<'s> {
    pub(crate) named: BTreeMap<&'s str, &'s Value>,
    pub(crate) required: BTreeSet<&'s str>,
    /// The schema of all other fields.
    pub(crate) others: Option<&'s Value>,
    /// The pattern of the names of all other fields: keys that are numbers, for example.
    pub(crate) pattern: Option<&'s str>,
    pub(crate) denies_others: bool,
}

/// The forms that a value of this schema may have; `part` gives those of a schema inside it. A value may be
/// anything once `budget` is exceeded.
pub(crate) fn expanded<'s>(
    schema: &'s Value,
    set: &'s SchemaSet,
    budget: &Budget,
    part: impl Fn(&'s Value) -> Vec<Shape<'s>>,
) -> Vec<Shape<'s>> {
    let Value::Object(keywords) = schema else {
        // `false` admits nothing.
        return if schema == &Value::Bool(false) { Vec::new() } else { vec![Shape::Any] };
    };
    if !budget.take(steps_to_read(keywords)) {
        return vec![Shape::Any];
    }
    let mut shapes = own_shapes(keywords);
    if let Some(definition) = keywords.get("$ref").and_then(Value::as_str).and_then(|name| set.find(name)) {
        shapes = intersect(shapes, part(definition), budget);
    }
    for schema in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        shapes = intersect(shapes, part(schema), budget);
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(alternatives) = keywords.get(keyword).and_then(Value::as_array) {
            shapes = intersect(shapes, any_of(alternatives, &part), budget);
        }
    }
    shapes
}

/// The steps of reading the keywords of a schema, without the schemas that it is made of.
fn steps_to_read(keywords: &Map<String, Value>) -> usize {
    let list = |keyword| keywords.get(keyword).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let names = keywords.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let reference = keywords.get("$ref").and_then(Value::as_str);
    let texts = names.map(String::as_str).chain(list("required").iter().filter_map(Value::as_str));
    texts.chain(reference).map(steps_of).sum::<usize>()
        + list("prefixItems").len()
        + list("type").len()
        + list("enum").len() / CONSTANTS_PER_STEP
}

/// The forms of all alternatives.
fn any_of<'s>(alternatives: &'s [Value], part: impl Fn(&'s Value) -> Vec<Shape<'s>>) -> Vec<Shape<'s>> {
    let mut shapes = Vec::new();
    for alternative in alternatives {
        shapes.extend(part(alternative));
        if shapes.len() > MAX_SHAPES {
            return vec![Shape::Any];
        }
    }
    shapes
}

/// The forms by the keywords of a schema itself, without those of the schemas that it is made of.
fn own_shapes(keywords: &Map<String, Value>) -> Vec<Shape<'_>> {
    if let Some(value) = keywords.get("const") {
        return vec![Shape::Constant(value)];
    }
    if let Some(values) = keywords.get("enum").and_then(Value::as_array) {
        return values.iter().map(Shape::Constant).collect();
    }
    match keywords.get("type") {
        Some(Value::String(name)) => vec![Shape::of_type(name, keywords)],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(|name| Shape::of_type(name, keywords)).collect()
        }
        _ if keywords.contains_key("properties") => vec![Shape::of_type("object", keywords)],
        _ => vec![Shape::Any],
    }
}

/// The intersection of two sets of shapes, about: of two types that differ, the first is kept.
fn intersect<'s>(some: Vec<Shape<'s>>, others: Vec<Shape<'s>>, budget: &Budget) -> Vec<Shape<'s>> {
    if some.len().saturating_mul(others.len()) > MAX_SHAPES {
        return vec![Shape::Any];
    }
    // The usual case: a schema that has no type of its own.
    if matches!(&some[..], [Shape::Any]) {
        return others;
    }
    let mut joined = Vec::new();
    for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
        if !budget.take(one.size() + other.size()) {
            return vec![Shape::Any];
        }
        joined.push(match (one, other) {
            (Shape::Fields(one), Shape::Fields(other)) => Shape::Fields(one.joined_with(other)),
            (Shape::Any, shape) | (shape, _) => shape.clone(),
        });
    }
    joined
}

impl SchemaSet {
    /// The definition of a reference.
    fn find(&self, reference: &str) -> Option<&Value> {
        self.definitions.get(reference.strip_prefix(REFERENCE)?)
    }
}

impl<'s> Shape<'s> {
    fn of_type(name: &str, keywords: &'s Map<String, Value>) -> Self {
        match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" | "number" => Self::Number(Range::of(name == "integer", keywords)),
            "string" => Self::Text(Text::of(keywords)),
            "array" if keywords.get(IS_STREAM) == Some(&Value::Bool(true)) => {
                Self::Stream(keywords.get("items"))
            }
            "array" => Self::List(List::of(keywords)),
            "object" => match keywords.get(INTERFACE).and_then(Value::as_str) {
                Some(interface) => Self::Object(interface),
                None => Self::Fields(Fields::of(keywords)),
            },
            _ => Self::Any,
        }
    }

    /// The steps of copying it, or of comparing it with another one.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::List(list) => 1 + list.first.len(),
            Self::Fields(fields) => 1 + fields.named.keys().map(|name| steps_of(name)).sum::<usize>(),
            _ => 1,
        }
    }

    pub(crate) fn has_type_of(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Number(range) => range.has(value),
            Self::Text(text) => value.as_str().is_some_and(|value| text.has(value)),
            Self::Constant(_) | Self::Stream(_) | Self::Object(_) => false,
            Self::List(_) => value.is_array(),
            Self::Fields(_) => value.is_object(),
        }
    }
}

impl Range {
    fn of(is_integer: bool, keywords: &Map<String, Value>) -> Self {
        let format = keywords.get("format").and_then(Value::as_str).unwrap_or_default();
        let (min, max) = match format {
            "int8" => (Some(i8::MIN.into()), Some(i8::MAX.into())),
            "int16" => (Some(i16::MIN.into()), Some(i16::MAX.into())),
            "int32" => (Some(i32::MIN.into()), Some(i32::MAX.into())),
            "int" | "int64" => (Some(i64::MIN.into()), Some(i64::MAX.into())),
            "int128" => (Some(i128::MIN), Some(i128::MAX)),
            "uint8" => (Some(0), Some(u8::MAX.into())),
            "uint16" => (Some(0), Some(u16::MAX.into())),
            "uint32" => (Some(0), Some(u32::MAX.into())),
            "uint" | "uint64" => (Some(0), Some(u64::MAX.into())),
            "uint128" => (Some(0), None),
            _ => (None, None),
        };
        let number = |keyword: &str| {
            let value = keywords.get(keyword)?;
            value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
        };
        Self { is_integer, min: number("minimum").or(min), max: number("maximum").or(max) }
    }

    /// Whether a number that is known is one of these.
    fn has(self, value: &Value) -> bool {
        match value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)) {
            Some(number) => {
                self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
            }
            None => value.is_f64() && !self.is_integer,
        }
    }

    pub(crate) fn is_within(self, other: Self) -> bool {
        if other.is_integer && !self.is_integer {
            return false;
        }
        let above = other.min.is_none_or(|min| self.min.is_some_and(|own| own >= min));
        let below = other.max.is_none_or(|max| self.max.is_some_and(|own| own <= max));
        above && below
    }
}

impl<'s> List<'s> {
    fn of(keywords: &'s Map<String, Value>) -> Self {
        let number = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64);
        let size = |keyword: &str| number(keyword).and_then(|number| usize::try_from(number).ok());
        let first = keywords.get("prefixItems").and_then(Value::as_array);
        Self {
            first: first.into_iter().flatten().collect(),
            others: keywords.get("items"),
            min: size("minItems").unwrap_or(0),
            max: size("maxItems").unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn element(&self, index: usize) -> Option<&'s Value> {
        self.first.get(index).copied().or(self.others)
    }

    pub(crate) fn length(&self) -> String {
        match (self.min, self.max) {
            (0, usize::MAX) => "any number of elements".to_owned(),
            (min, max) if min == max => format!("{min} elements"),
            (min, usize::MAX) => format!("at least {min} elements"),
            (min, max) => format!("{min} to {max} elements"),
        }
    }
}

impl<'s> Fields<'s> {
    fn of(keywords: &'s Map<String, Value>) -> Self {
        let named = keywords.get("properties").and_then(Value::as_object);
        let required = keywords.get("required").and_then(Value::as_array);
        let others = keywords.get("additionalProperties").or(keywords.get("unevaluatedProperties"));
        let patterns = keywords.get("patternProperties").and_then(Value::as_object);
        if let Some((pattern, schema)) = patterns.and_then(|patterns| patterns.iter().next()) {
            return Self { others: Some(schema), pattern: Some(pattern), ..Self::default() };
        }
        Self {
            named: named.into_iter().flatten().map(|(name, schema)| (&**name, schema)).collect(),
            required: required.into_iter().flatten().filter_map(Value::as_str).collect(),
            others: others.filter(|schema| schema.is_object() || **schema == Value::Bool(true)),
            pattern: None,
            denies_others: others == Some(&Value::Bool(false)),
        }
    }

    fn joined_with(&self, other: &Self) -> Self {
        Self {
            named: self.named.iter().chain(&other.named).map(|(name, schema)| (*name, *schema)).collect(),
            required: &self.required | &other.required,
            others: self.others.or(other.others),
            pattern: self.pattern.or(other.pattern),
            denies_others: self.denies_others || other.denies_others,
        }
    }

    /// The name of the variant, if this is one.
    fn variant(&self) -> Option<&'s str> {
        let is_variant = self.denies_others && self.named.len() == 1 && self.required.len() == 1;
        self.required.first().copied().filter(|_| is_variant)
    }
}

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("a boolean"),
            Self::Number(Range { is_integer: false, .. }) => f.write_str("a number"),
            Self::Number(Range { min: Some(min), max: Some(max), .. }) => {
                write!(f, "an integer from {min} to {max}")
            }
            Self::Number(_) => f.write_str("an integer"),
            Self::Text(Text { format, encoding, max_length }) => match format.or(*encoding) {
                Some(format) => write!(f, "a string of the format `{}`", excerpt(format)),
                None if *max_length == Some(1) => f.write_str("a character"),
                None => f.write_str("a string"),
            },
            Self::Constant(value) => excerpt(value).fmt(f),
            Self::List(_) => f.write_str("an array"),
            Self::Fields(fields) => match fields.variant() {
                Some(name) => write!(f, "the variant `{}`", excerpt(name)),
                None => f.write_str("an object"),
            },
            Self::Stream(_) => f.write_str("a stream"),
            Self::Object(interface) => write!(f, "an object `{}`", excerpt(interface)),
        }
    }
}

/// The first characters of a text, as a message has them. The rest is not formatted.
pub(crate) fn excerpt(text: impl fmt::Display) -> String {
    let mut excerpt = Excerpt { text: String::new(), room: MAX_PRINTED };
    match write!(excerpt, "{text}") {
        Ok(()) => excerpt.text,
        Err(fmt::Error) => excerpt.text + "…",
    }
}

/// Takes a number of characters. More of them are an error, which ends the formatting.
struct Excerpt {
    text: String,
    room: usize,
}

impl fmt::Write for Excerpt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.room) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                Err(fmt::Error)
            }
            None => {
                self.room -= text.chars().count();
                self.text.push_str(text);
                Ok(())
            }
        }
    }
}

/// The shapes as text: `a string or null`.
pub(crate) fn list(shapes: &[Shape<'_>]) -> String {
    let mut texts: Vec<String> = shapes.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    texts.extend((shapes.len() > MAX_LISTED).then(|| "…".to_owned()));
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(" or ") }
}

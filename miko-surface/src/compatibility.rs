//! Whether every value that one side sends can be read by the other, by the JSON Schemas of both.
//!
//! The rules are those of serde: a reader ignores fields that it does not know, unless its type denies them,
//! and needs those that its type requires. The schemas may come from another process, so the comparison is
//! bounded in depth and in steps.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::budget::{Budget, CONSTANTS_PER_STEP};
use crate::schemas::SchemaSet;
use crate::shape::{Fields, List, Shape, excerpt, expanded, list};

/// A schema and the definitions that it refers to.
#[derive(Clone, Copy)]
pub(crate) struct Typed<'s> {
    pub(crate) schema: &'s Value,
    pub(crate) set: &'s SchemaSet,
}

/// A value that may be sent and cannot be read: its place and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The fields on the way: `.items[].price`.
    pub(crate) place: String,
    pub(crate) reason: String,
}

impl Mismatch {
    /// A mismatch of the whole value.
    pub(crate) fn whole(reason: &str) -> Self {
        Self { place: String::new(), reason: reason.to_owned() }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.place {
            "" => f.write_str(&self.reason),
            place => write!(f, "`{place}`: {}", self.reason),
        }
    }
}

/// Checks that everything that has the schema `sent` can be read as `received`, with steps of `budget`.
pub(crate) fn check(sent: Typed<'_>, received: Typed<'_>, budget: &Budget) -> Result<(), Mismatch> {
    let comparison = Comparison { sender: sent.set, reader: received.set, budget };
    let compared = comparison.compare(sent.schema, received.schema, &Place::WHOLE, &mut Pairs::default());
    if budget.is_exceeded() {
        return Err(Mismatch::whole("the types are too large to be compared"));
    }
    compared
}

/// How deep schemas are followed. Deeper ones are taken for compatible.
const MAX_DEPTH: usize = 64;

/// A comparison in progress: the definitions of both sides.
struct Comparison<'s> {
    sender: &'s SchemaSet,
    reader: &'s SchemaSet,
    /// When it is exceeded, nothing more is expanded or compared.
    budget: &'s Budget,
}

/// The way to a part of a value.
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

/// The last part of a way.
enum Step<'p> {
    Whole,
    Field(&'p str),
    /// An element of a tuple.
    Index(usize),
    Elements,
}

impl<'p> Place<'p> {
    const WHOLE: Self = Place { parent: None, step: Step::Whole };

    fn field(&'p self, name: &'p str) -> Self {
        Place { parent: Some(self), step: Step::Field(name) }
    }

    fn index(&'p self, index: usize) -> Self {
        Place { parent: Some(self), step: Step::Index(index) }
    }

    fn elements(&'p self) -> Self {
        Place { parent: Some(self), step: Step::Elements }
    }

    fn error(&self, reason: String) -> Mismatch {
        Mismatch { place: self.to_string(), reason }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Whole => Ok(()),
            Step::Field(name) => write!(f, ".{}", excerpt(name)),
            Step::Index(index) => write!(f, ".{index}"),
            Step::Elements => f.write_str("[]"),
        }
    }
}

/// The pairs of schemas that fit, by address, or are being compared: a type may contain itself.
#[derive(Default)]
struct Pairs {
    fitting: HashSet<Pair>,
    /// The same pairs, in the order in which they were added.
    order: Vec<Pair>,
    depth: usize,
}

type Pair = (*const Value, *const Value);

impl Pairs {
    fn add(&mut self, pair: Pair) {
        self.fitting.insert(pair);
        self.order.push(pair);
    }

    /// Removes the pairs that were added since there were `len`: they may fit only if the pair fits that has
    /// just failed.
    fn forget_since(&mut self, len: usize) {
        for pair in self.order.drain(len..) {
            self.fitting.remove(&pair);
        }
    }
}

impl Comparison<'_> {
    fn compare(
        &self,
        sent: &Value,
        received: &Value,
        place: &Place<'_>,
        pairs: &mut Pairs,
    ) -> Result<(), Mismatch> {
        let pair = (std::ptr::from_ref(sent), std::ptr::from_ref(received));
        if pairs.depth > MAX_DEPTH || pairs.fitting.contains(&pair) {
            return Ok(());
        }
        let known = pairs.order.len();
        pairs.add(pair);
        pairs.depth += 1;
        let read = self.shapes(received, self.reader, 0);
        let sent = self.shapes(sent, self.sender, 0);
        let compared = sent.iter().try_for_each(|sent| self.one_reads(sent, &read, place, pairs));
        pairs.depth -= 1;
        if compared.is_err() {
            pairs.forget_since(known);
        }
        compared
    }

    /// Checks that one of `received` reads what is sent.
    fn one_reads(
        &self,
        sent: &Shape<'_>,
        received: &[Shape<'_>],
        place: &Place<'_>,
        pairs: &mut Pairs,
    ) -> Result<(), Mismatch> {
        if let Shape::Constant(value) = sent {
            // An enum may have hundreds of variants, so constants are cheap.
            if !self.budget.take(received.len() / CONSTANTS_PER_STEP) {
                return Ok(());
            }
            if received.iter().any(|shape| matches!(shape, Shape::Constant(known) if known == value)) {
                return Ok(());
            }
        }
        let mut closest: Option<Mismatch> = None;
        for shape in received {
            match self.reads(sent, shape, place, pairs) {
                Ok(()) => return Ok(()),
                // The deepest mismatch is that of the variant that was meant.
                Err(mismatch) => {
                    // The place is written once for each part of it.
                    self.budget.take(pairs.depth);
                    if closest.as_ref().is_none_or(|known| mismatch.place.len() > known.place.len()) {
                        closest = Some(mismatch);
                    }
                }
            }
        }
        Err(match closest {
            Some(mismatch) if received.len() == 1 || mismatch.place.len() > place.to_string().len() => {
                mismatch
            }
            _ => place.error(format!("{sent} is sent, but {} is expected", list(received))),
        })
    }

    fn reads(
        &self,
        sent: &Shape<'_>,
        received: &Shape<'_>,
        place: &Place<'_>,
        pairs: &mut Pairs,
    ) -> Result<(), Mismatch> {
        if !self.budget.take(sent.size() + received.size()) {
            return Ok(());
        }
        let fits = match (sent, received) {
            (Shape::Stream(sent), Shape::Stream(received)) => {
                return match (sent, received) {
                    (Some(sent), Some(received)) => self.compare(sent, received, &place.elements(), pairs),
                    _ => Ok(()),
                };
            }
            (Shape::Object(sent), Shape::Object(received)) => sent == received,
            // A handle is no value.
            (Shape::Stream(_) | Shape::Object(_), _) => false,
            (_, Shape::Any) | (Shape::Null, Shape::Null) | (Shape::Boolean, Shape::Boolean) => true,
            (Shape::Text(sent), Shape::Text(received)) => sent.fits(*received),
            (Shape::Number(sent), Shape::Number(received)) => sent.is_within(*received),
            (Shape::Constant(sent), Shape::Constant(received)) => sent == received,
            (Shape::Constant(value), other) => other.has_type_of(value),
            (Shape::List(sent), Shape::List(received)) => {
                return self.compare_lists(sent, received, place, pairs);
            }
            (Shape::Fields(sent), Shape::Fields(received)) => {
                return self.compare_fields(sent, received, place, pairs);
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(place.error(format!("{sent} is sent, but {received} is expected"))) }
    }

    fn compare_lists(
        &self,
        sent: &List<'_>,
        received: &List<'_>,
        place: &Place<'_>,
        pairs: &mut Pairs,
    ) -> Result<(), Mismatch> {
        if sent.min < received.min || sent.max > received.max {
            let reason = format!("{} are sent, but {} are expected", sent.length(), received.length());
            return Err(place.error(reason));
        }
        let count = sent.first.len().max(received.first.len());
        for index in 0..=count {
            let element = if index < count { place.index(index) } else { place.elements() };
            if let (Some(sent), Some(received)) = (sent.element(index), received.element(index)) {
                self.compare(sent, received, &element, pairs)?;
            }
        }
        Ok(())
    }

    fn compare_fields(
        &self,
        sent: &Fields<'_>,
        received: &Fields<'_>,
        place: &Place<'_>,
        pairs: &mut Pairs,
    ) -> Result<(), Mismatch> {
        if let Some(name) = received.required.difference(&sent.required).next() {
            let how = if sent.named.contains_key(name) { "not always sent" } else { "not sent" };
            return Err(place.field(name).error(format!("the field is required, but {how}")));
        }
        if sent.pattern != received.pattern {
            return Err(place.error("the keys of the map have another type".to_owned()));
        }
        for (name, schema) in &sent.named {
            match received.named.get(name).copied().or(received.others) {
                Some(received) => self.compare(schema, received, &place.field(name), pairs)?,
                None if received.denies_others => {
                    return Err(place
                        .field(name)
                        .error("the field is sent, but the reader does not know it".to_owned()));
                }
                None => {}
            }
        }
        if let Some(sent_others) = sent.others {
            let named = received.named.iter().filter(|(name, _)| !sent.named.contains_key(*name));
            for (name, received) in named {
                self.compare(sent_others, received, &place.field(name), pairs)?;
            }
        }
        match (sent.others, received.others) {
            (Some(sent), Some(received)) => self.compare(sent, received, &place.elements(), pairs),
            (Some(_), None) if received.denies_others => {
                Err(place.error("fields of any name are sent, but not expected".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The forms that a value of this schema may have. `depth` counts the schemas that it is a part of.
    fn shapes<'s>(&self, schema: &'s Value, set: &'s SchemaSet, depth: usize) -> Vec<Shape<'s>> {
        if depth > MAX_DEPTH || !self.budget.take(1) {
            return vec![Shape::Any];
        }
        expanded(schema, set, self.budget, |schema| self.shapes(schema, set, depth + 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The mismatch as text, or `fits`.
    fn compared(sent: &Value, received: &Value) -> String {
        let definitions = |schema: &Value| {
            let definitions = schema["$defs"].as_object().into_iter().flatten();
            let definitions = definitions.map(|(name, schema)| (name.clone(), schema.clone())).collect();
            SchemaSet { definitions, ..SchemaSet::default() }
        };
        let (sender, reader) = (definitions(sent), definitions(received));
        match check(
            Typed { schema: sent, set: &sender },
            Typed { schema: received, set: &reader },
            &Budget::of_surface(),
        ) {
            Ok(()) => "fits".to_owned(),
            Err(mismatch) => mismatch.to_string(),
        }
    }

    #[test]
    fn what_is_sent_must_be_read() {
        let byte = json!({"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255});
        let (text, long) = (json!({"type": "string"}), json!({"type": "integer", "format": "int64"}));
        let nullable = json!({"type": ["string", "null"]});
        let point = json!({"type": "object", "properties": {"x": byte, "y": byte}, "required": ["x", "y"]});
        let point_3d = json!({"type": "object", "required": ["x", "y", "z"],
                              "properties": {"x": byte, "y": byte, "z": byte}});
        let labelled = json!({"type": "object", "required": ["x", "y"],
                              "properties": {"x": byte, "y": byte, "label": nullable}});
        let variant = |name: &str, schema: &Value| {
            json!({"type": "object", "properties": {name: schema}, "required": [name],
                   "additionalProperties": false})
        };
        let shape = json!({"oneOf": [{"const": "Point", "type": "string"}, variant("Circle", &byte)]});
        let fewer = json!({"oneOf": [variant("Circle", &byte)]});
        let wider =
            json!({"oneOf": [{"enum": ["Point", "Line"], "type": "string"}, variant("Circle", &long)]});
        let other = json!({"oneOf": [{"const": "Point", "type": "string"}, variant("Circle", &text)]});
        let list = |items: &Value| json!({"type": "array", "items": items});
        let pair = json!({"type": "array", "prefixItems": [byte, text], "minItems": 2, "maxItems": 2});
        let triple =
            json!({"type": "array", "prefixItems": [byte, text, text], "minItems": 3, "maxItems": 3});
        let map = |values: &Value| json!({"type": "object", "additionalProperties": values});
        let by_number = |values: &Value| {
            let patterns = json!({"^\\d+$": values});
            json!({"type": "object", "patternProperties": patterns, "additionalProperties": false})
        };
        let labelled_only = json!({"type": "object", "properties": {"label": byte}});
        let character = json!({"type": "string", "minLength": 1, "maxLength": 1});
        let uuid = json!({"type": "string", "format": "uuid"});
        let stream = |items: &Value| json!({"type": "array", "items": items, "x-stream": true});
        let object = |interface: &str| {
            json!({"type": "object", "required": ["object"], "properties": {"object": long},
                   "x-interface": interface})
        };
        let cases = [
            (&stream(&byte), &stream(&long), "fits"),
            (&stream(&point), &stream(&point_3d), "`[].z`: the field is required, but not sent"),
            (&stream(&byte), &list(&byte), "a stream is sent, but an array is expected"),
            (&list(&byte), &stream(&byte), "an array is sent, but a stream is expected"),
            (&stream(&byte), &json!(true), "a stream is sent, but any value is expected"),
            (&object("Lease"), &object("Lease"), "fits"),
            (
                &object("Lease"),
                &object("Lock"),
                "an object `Lease` is sent, but an object `Lock` is expected",
            ),
            (&object("Lease"), &map(&long), "an object `Lease` is sent, but an object is expected"),
            (&byte, &byte, "fits"),
            (&byte, &long, "fits"),
            (
                &long,
                &byte,
                "an integer from -9223372036854775808 to 9223372036854775807 is sent, but an \
                            integer from 0 to 255 is expected",
            ),
            (&text, &nullable, "fits"),
            (&nullable, &text, "null is sent, but a string is expected"),
            (&text, &json!(true), "fits"),
            (&json!(true), &text, "any value is sent, but a string is expected"),
            (&point_3d, &point, "fits"),
            (&point, &point_3d, "`.z`: the field is required, but not sent"),
            (&point, &labelled, "fits"),
            (&labelled, &point, "fits"),
            (&shape, &wider, "fits"),
            (&shape, &fewer, "\"Point\" is sent, but the variant `Circle` is expected"),
            (&shape, &other, "`.Circle`: an integer from 0 to 255 is sent, but a string is expected"),
            (&list(&point), &list(&point_3d), "`[].z`: the field is required, but not sent"),
            (&pair, &pair, "fits"),
            (&pair, &triple, "2 elements are sent, but 3 elements are expected"),
            (&pair, &list(&json!(true)), "fits"),
            (&list(&byte), &pair, "any number of elements are sent, but 2 elements are expected"),
            (&map(&byte), &map(&long), "fits"),
            (
                &map(&text),
                &map(&long),
                "`[]`: a string is sent, but an integer from -9223372036854775808 to \
                                        9223372036854775807 is expected",
            ),
            (&point, &map(&byte), "fits"),
            (
                &map(&text),
                &labelled_only,
                "`.label`: a string is sent, but an integer from 0 to 255 is expected",
            ),
            (&by_number(&point), &by_number(&point_3d), "`[].z`: the field is required, but not sent"),
            (&by_number(&byte), &map(&byte), "the keys of the map have another type"),
            (&text, &character, "a string is sent, but a character is expected"),
            (&character, &text, "fits"),
            (&text, &uuid, "a string is sent, but a string of the format `uuid` is expected"),
            (&uuid, &text, "a string of the format `uuid` is sent, but a string is expected"),
            (&json!({"enum": [300]}), &byte, "300 is sent, but an integer from 0 to 255 is expected"),
            (&json!({"enum": [200]}), &byte, "fits"),
        ];
        for (sent, received, expected) in cases {
            assert_eq!(compared(sent, received), expected, "{sent} {received}");
        }
    }

    #[test]
    fn a_type_may_contain_itself() {
        let tree = |leaf: &str| {
            json!({
                "$ref": "#/$defs/Tree",
                "$defs": {"Tree": {
                    "type": "object",
                    "properties": {"leaf": {"type": leaf}, "nodes": {"type": "array",
                                   "items": {"$ref": "#/$defs/Tree"}}},
                    "required": ["leaf", "nodes"],
                }},
            })
        };
        assert_eq!(compared(&tree("string"), &tree("string")), "fits");
        assert_eq!(
            compared(&tree("string"), &tree("boolean")),
            "`.leaf`: a string is sent, but a boolean is expected"
        );
    }

    #[test]
    fn a_tagged_variant_with_a_type_of_its_own_has_the_fields_of_both() {
        let tagged = |field: &str| {
            json!({
                "oneOf": [{"$ref": "#/$defs/Body", "type": "object", "properties": {"tag": {"const": "A"}},
                           "required": ["tag"]}],
                "$defs": {"Body": {"type": "object", "properties": {field: {"type": "string"}},
                                   "required": [field]}},
            })
        };
        assert_eq!(compared(&tagged("a"), &tagged("a")), "fits");
        assert_eq!(compared(&tagged("a"), &tagged("b")), "`.b`: the field is required, but not sent");
    }

    #[test]
    fn hostile_schemas_are_compared_in_bounded_time() {
        let byte = json!({"type": "integer", "minimum": 0, "maximum": 255});
        let circle = json!({"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}});
        assert_eq!(compared(&circle, &circle), "fits");
        let doubling: serde_json::Map<String, Value> = (0..60)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/D{}", n + 1)});
                let fields =
                    json!({"type": "object", "properties": {"a": next, "b": next, "c": {"type": "null"}}});
                (format!("D{n}"), fields)
            })
            .collect();
        let doubling = json!({"$ref": "#/$defs/D0", "$defs": doubling});
        let mut other = doubling.clone();
        other["$defs"]["D59"]["properties"]["c"] = json!({"type": "string"});
        assert!(compared(&doubling, &other).ends_with("null is sent, but a string is expected"));
        let itself = json!({"$ref": "#/$defs/A"});
        let tree = json!({"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [itself, itself]}}});
        assert_eq!(compared(&tree, &tree), "the types are too large to be compared");
        let variants = json!({"enum": (0..600).map(|n| n.to_string()).collect::<Vec<_>>()});
        assert_eq!(compared(&variants, &variants), "fits");
        let many: Vec<Value> = (0..900).map(|n| json!(format!("{n}"))).collect();
        let others: Vec<Value> = (0..900).map(|n| json!(format!("x{n}"))).collect();
        assert!(compared(&json!({"enum": many}), &json!({"enum": others})).len() < 300);
        let repeated = |names: Vec<String>| {
            let fields = names.into_iter().map(|name| (name, json!({"type": "null"})));
            let object = json!({"type": "object", "properties": fields.collect::<serde_json::Map<_, _>>()});
            json!({"anyOf": vec![json!({"$ref": "#/$defs/A"}); 1000], "$defs": {"A": object}})
        };
        let long = "x".repeat(1 << 20);
        for names in [(0..5000).map(|n| n.to_string()).collect(), vec![long]] {
            let objects = repeated(names);
            assert_eq!(compared(&objects, &byte), "the types are too large to be compared");
            assert_eq!(compared(&byte, &objects), "the types are too large to be compared");
        }
        let forks: Vec<Value> = (0..40).map(|n| json!({"const": n})).collect();
        let forks = json!({"allOf": vec![json!({"anyOf": forks}); 40]});
        assert_eq!(compared(&forks, &forks), "fits");
    }
}

//! Markers: keys by which a record says of which class the objects are that have them.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::check::{Checker, MAX_NESTING};
use crate::error::{ErrorId, ErrorItem, FaultList};
use crate::query::Place;

/// The `custom_classes` of a record: marker keys, each with a class.
#[derive(Debug, Default)]
pub(crate) struct Markers(Vec<(String, String)>);

impl Markers {
    /// Those of a record with these extras.
    pub(crate) fn of(extras: &Map<String, Value>) -> Self {
        let markers = extras.get("custom_classes").and_then(Value::as_object);
        let class = |(marker, class): (&String, &Value)| Some((marker.clone(), class.as_str()?.to_owned()));
        Self(markers.into_iter().flatten().filter_map(class).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes that markers stand for.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, class)| class.as_str())
    }

    /// The classes that an object is of, by the markers in it.
    pub(super) fn classes_of<'m>(&'m self, object: &Map<String, Value>) -> impl Iterator<Item = &'m str> {
        self.0.iter().filter(|(marker, _)| object.contains_key(marker)).map(|(_, class)| class.as_str())
    }
}

/// Checks every object in a bucket, and the bucket itself, that has a marker.
pub(crate) fn check_marked(
    catalog: &Catalog,
    bucket: &Map<String, Value>,
    markers: &Markers,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    if !markers.is_empty() {
        MarkedObjectChecker { catalog, markers, faults, remaining_depth: MAX_NESTING }.object(bucket, place);
    }
}

struct MarkedObjectChecker<'w> {
    catalog: &'w Catalog,
    markers: &'w Markers,
    faults: &'w mut FaultList,
    /// How many levels may follow.
    remaining_depth: usize,
}

impl MarkedObjectChecker<'_> {
    fn object(&mut self, object: &Map<String, Value>, place: &Place<'_>) {
        for class in self.markers.classes_of(object).filter_map(|class| self.catalog.class(class)) {
            Checker::of(self.catalog, &class.definition.name, self.markers, self.faults)
                .object(class, object, place);
        }
        for (key, value) in object {
            self.value(value, &Place::Key(place, key));
        }
    }

    fn value(&mut self, value: &Value, place: &Place<'_>) {
        if !(value.is_object() || value.is_array()) {
            return;
        }
        if self.remaining_depth == 0 {
            let message = format!("the value nests deeper than {MAX_NESTING} levels, defaults included");
            let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
            return self.faults.push(place.locate(item).with("rule", "depth"));
        }
        self.remaining_depth -= 1;
        match value {
            Value::Object(object) => self.object(object, place),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &Place::Index(place, index));
                }
            }
            _ => {}
        }
        self.remaining_depth += 1;
    }
}

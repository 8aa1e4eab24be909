//! Markers: keys by which a record says of which class the objects are that have them.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::check::{Checker, Purpose};
use crate::error::ErrorItem;
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
    bucket: &mut Map<String, Value>,
    (purpose, markers): (Purpose, &Markers),
    place: &Place<'_>,
    faults: &mut Vec<ErrorItem>,
) {
    if !markers.is_empty() {
        let mut walk = Walk { catalog, purpose, markers, faults };
        walk.object(bucket, place);
    }
}

struct Walk<'w> {
    catalog: &'w Catalog,
    purpose: Purpose,
    markers: &'w Markers,
    faults: &'w mut Vec<ErrorItem>,
}

impl Walk<'_> {
    fn object(&mut self, object: &mut Map<String, Value>, place: &Place<'_>) {
        let classes: Vec<&str> = self.markers.classes_of(object).collect();
        for class in classes.into_iter().filter_map(|class| self.catalog.class(class)) {
            let name = &class.definition.name;
            let mut checker = Checker::of(self.catalog, name, (self.purpose, self.markers), self.faults);
            checker.object(class, object, place);
        }
        for (key, value) in object {
            self.value(value, &Place::Key(place, key));
        }
    }

    fn value(&mut self, value: &mut Value, place: &Place<'_>) {
        match value {
            Value::Object(object) => self.object(object, place),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(item, &Place::Index(place, index));
                }
            }
            _ => {}
        }
    }
}

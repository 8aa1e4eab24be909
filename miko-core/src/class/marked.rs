//! Validates the objects of a bucket that are marked with a class.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::check::Checker;
use super::markers::Markers;
use crate::diagnostics::{FaultList, Place};

/// Validates all marked objects of a bucket, including the bucket itself.
pub(crate) fn check_marked(
    catalog: &Catalog,
    bucket: &Map<String, Value>,
    markers: &Markers,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    if !markers.is_empty() {
        MarkedObjectChecker { catalog, markers, faults }.check_object(bucket, place);
    }
}

struct MarkedObjectChecker<'w> {
    catalog: &'w Catalog,
    markers: &'w Markers,
    faults: &'w mut FaultList,
}

impl MarkedObjectChecker<'_> {
    fn check_object(&mut self, object: &Map<String, Value>, place: &Place<'_>) {
        for class in self.markers.classes_of(object).filter_map(|class| self.catalog.class(class)) {
            Checker::of(self.catalog, &class.definition.name, self.markers, self.faults)
                .check_object(class, object, place);
        }
        for (key, value) in object {
            self.check_value(value, &Place::Key(place, key));
        }
    }

    fn check_value(&mut self, value: &Value, place: &Place<'_>) {
        match value {
            Value::Object(object) => self.check_object(object, place),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_value(item, &Place::Index(place, index));
                }
            }
            _ => {}
        }
    }
}

//! Markers: keys that assign a class to the objects that have them.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::diagnostics::Place;

/// A function that is called with a class of a marked object, the object, and the place of the object.
type Visit<'f, 'm> = dyn FnMut(&'m str, &Map<String, Value>, &Place<'_>) + 'f;

/// The `custom_classes` of a record: marker keys, each with a class.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    /// The marker keys with their classes, in the order of the record.
    list: Vec<(String, String)>,
    /// The position of each marker in `list`.
    positions: BTreeMap<String, usize>,
}

impl Markers {
    /// The markers in the extras of a record.
    pub(crate) fn of(extras: &Map<String, Value>) -> Self {
        let markers = extras.get("custom_classes").and_then(Value::as_object);
        let entry = |(marker, class): (&String, &Value)| Some((marker.clone(), class.as_str()?.to_owned()));
        let list: Vec<_> = markers.into_iter().flatten().filter_map(entry).collect();
        let positions =
            list.iter().enumerate().map(|(position, (marker, _))| (marker.clone(), position)).collect();
        Self { list, positions }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The classes of the markers.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(_, class)| class.as_str())
    }

    /// Calls `visit` for each class that markers assign to `object`, which is at `place`, and then in the
    /// same way for each object inside it, at any depth.
    pub(super) fn visit_marked<'m>(
        &'m self,
        object: &Map<String, Value>,
        place: &Place<'_>,
        visit: &mut Visit<'_, 'm>,
    ) {
        for class in self.classes_of(object) {
            visit(class, object, place);
        }
        for (key, value) in object {
            self.visit_marked_in(value, &Place::Key(place, key), visit);
        }
    }

    fn visit_marked_in<'m>(&'m self, value: &Value, place: &Place<'_>, visit: &mut Visit<'_, 'm>) {
        match value {
            Value::Object(object) => self.visit_marked(object, place, visit),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.visit_marked_in(item, &Place::Index(place, index), visit);
                }
            }
            _ => {}
        }
    }

    /// The classes that markers assign to an object, each once, in the order of the markers.
    pub(super) fn classes_of<'m>(
        &'m self,
        object: &Map<String, Value>,
    ) -> impl Iterator<Item = &'m str> + use<'m> {
        // The smaller side is looked up in the larger one, so an object takes at most as many look-ups as it
        // has members.
        let mut positions: Vec<usize> = if self.list.len() <= object.len() {
            let is_in_object = |position: &usize| object.contains_key(&self.list[*position].0);
            (0..self.list.len()).filter(is_in_object).collect()
        } else {
            let mut found: Vec<_> =
                object.keys().filter_map(|key| self.positions.get(key).copied()).collect();
            found.sort_unstable();
            found
        };
        if positions.len() > 1 {
            let mut classes = HashSet::new();
            positions.retain(|position| classes.insert(self.list[*position].1.as_str()));
        }
        positions.into_iter().map(|position| self.list[position].1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_has_the_classes_of_its_markers_in_their_order() {
        let markers = json!({"c": "x.y/3", "a": "x.y/1", "d": "x.y/4", "b": "x.y/1"});
        let extras = json!({"custom_classes": markers});
        let markers = Markers::of(extras.as_object().unwrap());
        let cases = [
            (json!({}), vec![]),
            (json!({"e": 0}), vec![]),
            (json!({"b": 0}), vec!["x.y/1"]),
            (json!({"d": 0, "e": 0, "c": 0}), vec!["x.y/3", "x.y/4"]),
            (json!({"a": 0, "b": 0, "c": 0}), vec!["x.y/3", "x.y/1"]),
            (json!({"e": 0, "b": 0, "f": 0, "a": 0, "c": 0}), vec!["x.y/3", "x.y/1"]),
        ];
        for (object, expected) in cases {
            let found: Vec<_> = markers.classes_of(object.as_object().unwrap()).collect();
            assert_eq!(found, expected, "{object}");
        }
    }
}

//! Markers: keys that assign a class to the objects that have them.

use serde_json::{Map, Value};

/// The `custom_classes` of a record: marker keys, each with a class.
#[derive(Debug, Default)]
pub(crate) struct Markers(Vec<(String, String)>);

impl Markers {
    /// The markers in the extras of a record.
    pub(crate) fn of(extras: &Map<String, Value>) -> Self {
        let markers = extras.get("custom_classes").and_then(Value::as_object);
        let class = |(marker, class): (&String, &Value)| Some((marker.clone(), class.as_str()?.to_owned()));
        Self(markers.into_iter().flatten().filter_map(class).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes of the markers.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, class)| class.as_str())
    }

    /// The classes that markers assign to an object.
    pub(super) fn classes_of<'m>(&'m self, object: &Map<String, Value>) -> impl Iterator<Item = &'m str> {
        self.0.iter().filter(|(marker, _)| object.contains_key(marker)).map(|(_, class)| class.as_str())
    }
}

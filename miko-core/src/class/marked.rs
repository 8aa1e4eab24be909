//! Validates the objects of a bucket that are marked with a class.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::check::Checker;
use super::markers::Markers;
use crate::diagnostics::{FaultList, Place};

/// Validates each marked object of a bucket, and the bucket itself if it is marked, against those classes of
/// its markers that are defined.
pub(crate) fn check_marked(
    catalog: &Catalog,
    bucket: &Map<String, Value>,
    markers: &Markers,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    if !markers.is_empty() {
        markers.visit_marked(bucket, place, &mut |class, object, place| {
            if let Some(class) = catalog.class(class) {
                Checker::of(catalog, &class.definition.name, markers, faults)
                    .check_object(class, object, place);
            }
        });
    }
}

//! Reads one entry of a top-level object of a worldlet, such as `records`, and collects all its faults.

use serde_json::Value;

use super::WorldletFaults;
use crate::diagnostics::{Faults, Place};
use crate::json;

/// Parses the text of the entry `key` of the top-level object `section`. `None` if it is not valid JSON, or
/// if the memory limit is reached. The error goes to `worldlet_faults` in either case.
pub(super) fn read_text(
    (section, key): (&str, &str),
    text: &str,
    worldlet_faults: &mut WorldletFaults,
) -> Option<Value> {
    read((section, key), text, worldlet_faults, |value, _, _| Some(value))
}

/// Parses the text of the entry `key` of the top-level object `section`, and reads the value with
/// `read_value`. `None` if the text or the value has a fault, or if the memory limit is reached. All errors
/// go to `worldlet_faults`.
pub(super) fn read<T>(
    (section, key): (&str, &str),
    text: &str,
    worldlet_faults: &mut WorldletFaults,
    read_value: impl FnOnce(Value, &Place<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    let object = Place::Key(&Place::Root, section);
    let place = Place::Key(&object, key);
    let mut faults = Faults::default();
    let entry = match json::parse(text) {
        Ok(value) => read_value(value, &place, &mut faults),
        Err(error) => {
            worldlet_faults.refuse_unparsed(error, &place);
            None
        }
    };
    // No reader of an entry reports warnings.
    let (errors, _) = faults.into_parts();
    let is_valid = errors.is_empty();
    worldlet_faults.refuse_all(errors, |fault| fault);
    entry.filter(|_| is_valid)
}

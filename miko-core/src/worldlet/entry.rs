//! One entry of an object of a worldlet: its text, read with all its faults.

use serde_json::Value;

use super::Problems;
use crate::diagnostics::{Faults, Place};
use crate::json;

/// The value that stands under `key` in the object `of`. What is wrong with its text is noted.
pub(super) fn read_text((of, key): (&str, &str), text: &str, problems: &mut Problems) -> Option<Value> {
    read((of, key), text, problems, |value, _, _| Some(value))
}

/// Reads the entry that stands under `key` in the object `of` with `read`. What is wrong with it is noted, and then it is
/// none.
pub(super) fn read<T>(
    (of, key): (&str, &str),
    text: &str,
    problems: &mut Problems,
    read: impl FnOnce(Value, &Place<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    let object = Place::Key(&Place::Request, of);
    let place = Place::Key(&object, key);
    let mut faults = Faults::default();
    let entry = match json::parse(text) {
        Ok(value) => read(value, &place, &mut faults),
        Err(error) => {
            error.items().iter().for_each(|item| faults.refuse(place.locate(item.clone())));
            None
        }
    };
    let (errors, _) = faults.into_parts();
    let is_whole = errors.is_empty();
    problems.refuse_all(errors, |fault| fault);
    entry.filter(|_| is_whole)
}

//! Reads typed values from JSON and reports those that do not fit.

use miko_rpc::ErrorItem;
use serde_json::{Map, Value};

use super::faults::Faults;
use super::place::Place;
use crate::json;
use crate::timestamp::Timestamp;
use crate::uns;

/// Reads a `T` from a value, or reports a fault and returns `None`. A placeholder that [`Faults`] exempts
/// gives `None` without a fault. Exception: [`object`] returns it as a map.
pub(crate) type ReadFn<T> = fn(Value, &Place<'_>, &mut Faults) -> Option<T>;

// A value of another type may be an exempt placeholder, so the readers of scalars report it by `refuse_type`.
// `object` cannot, since a placeholder is an object. Only the readers of filters get exempt values, and they
// do not call `object`.

pub(crate) fn object(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        other => refuse(faults, place.wrong_type("an object", &other)),
    }
}

pub(crate) fn string(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        other => refuse_type(faults, place, "a string", &other),
    }
}

pub(crate) fn boolean(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(flag),
        other => refuse_type(faults, place, "a boolean", &other),
    }
}

pub(crate) fn count(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<u64> {
    const EXPECTED: &str = "a non-negative integer";
    match &value {
        Value::Number(number) => match json::non_negative_integer(number) {
            Some(count) => Some(count),
            None => refuse(faults, place.wrong_value(EXPECTED, value)),
        },
        _ => refuse_type(faults, place, EXPECTED, &value),
    }
}

pub(crate) fn timestamp(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let text = string(value, place, faults)?;
    match text.parse() {
        Ok(time) => Some(time),
        Err(_) => refuse(faults, place.wrong_value("a timestamp such as 2026-04-21T14:32:00.123Z", text)),
    }
}

/// Reads a timestamp to compare with `updated_at`. Digits below milliseconds are refused, not truncated,
/// unless all of them are 0.
pub(crate) fn exact_timestamp(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Timestamp> {
    const EXPECTED: &str = "the `updated_at` of a record, which is to the millisecond";
    // If the value is not a timestamp at all, reports this and returns.
    timestamp(value.clone(), place, faults)?;
    match value.as_str().and_then(Timestamp::parse_exact) {
        Some(exact) => Some(exact),
        None => refuse(faults, place.wrong_value(EXPECTED, value)),
    }
}

/// Reads a class name and removes its protocol.
pub(crate) fn class(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    let name = match value {
        Value::String(name) => name,
        other => return refuse_type(faults, place, "a UNS such as starfleet.com/officer", &other),
    };
    match uns::parse(&name) {
        Ok(without_protocol) if without_protocol.len() < name.len() => Some(without_protocol.to_owned()),
        // There was no protocol, so `name` is returned without a copy.
        Ok(_) => Some(name),
        Err(item) => refuse(faults, place.with_field(place.with_pointer(item))),
    }
}

/// Reads a class name or an array of class names.
pub(crate) fn classes(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    read_one_or_many(value, place, faults, class)
}

/// Reads a pk or an array of pks.
pub(crate) fn pks(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    read_one_or_many(value, place, faults, string)
}

/// Reads a single value, or each element of an array, with `read_one`. Elements that `read_one` refuses or
/// exempts are left out.
fn read_one_or_many<T>(
    value: Value,
    place: &Place<'_>,
    faults: &mut Faults,
    read_one: ReadFn<T>,
) -> Option<Vec<T>> {
    match value {
        Value::Array(items) => {
            let mut read = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                // Reading continues after a fault, to report the faults of all elements.
                read.extend(read_one(item, &Place::Index(place, index), faults));
            }
            Some(read)
        }
        single => read_one(single, place, faults).map(|item| vec![item]),
    }
}

/// Reports a fault. Returns `None`, for the reader to return. For a wrong type see [`refuse_type`].
pub(crate) fn refuse<T>(faults: &mut Faults, fault: ErrorItem) -> Option<T> {
    faults.refuse(fault);
    None
}

/// Reports that the value has the wrong type, unless it is exempt. Returns `None` in either case.
pub(crate) fn refuse_type<T>(
    faults: &mut Faults,
    place: &Place<'_>,
    expected: &str,
    found: &Value,
) -> Option<T> {
    faults.refuse_type(place, expected, found);
    None
}

/// Reads `custom_classes`: an object that maps each marker key to a class name. A refused name becomes null.
pub(crate) fn custom_classes(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Value> {
    let mut markers = object(value, place, faults)?;
    for (marker, name) in &mut markers {
        let class = class(name.take(), &Place::Key(place, marker), faults);
        *name = class.into();
    }
    Some(markers.into())
}

//! Taking the keys of a request one by one: what is left at the end is unknown.

use serde_json::{Map, Value};

use crate::error::{ErrorId, ErrorItem};
use crate::json;
use crate::query::faults::{Faults, Place};
use crate::timestamp::Timestamp;
use crate::uns;

/// Keys that every request may carry and nobody interprets.
const IGNORED: [&str; 4] = ["misc", "corporate", "vibecode", "comment"];

/// The keys of a request that nobody has taken yet.
///
/// A request has few keys, and readers ask for few, so that going through them takes less than hashing them.
#[derive(Debug)]
pub(crate) struct Fields<'f> {
    remaining: Vec<(String, Value)>,
    missing: Vec<&'static str>,
    pub(crate) faults: &'f mut Faults,
}

impl<'f> Fields<'f> {
    pub(crate) fn new(map: Map<String, Value>, faults: &'f mut Faults) -> Self {
        Self { remaining: map.into_iter().collect(), missing: Vec::new(), faults }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.remaining.iter().position(|(name, _)| name == key)?;
        // Shifting keeps the order of the others, in which they may have to be reported.
        Some(self.remaining.remove(at).1)
    }

    /// As `take`, but its absence is a fault.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Value> {
        let value = self.take(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// Takes `key` and reads it with `reader`, which reports what is wrong.
    pub(crate) fn read<T>(&mut self, key: &str, reader: ReadFn<T>) -> Option<T> {
        let value = self.take(key)?;
        reader(value, &Place::Key(&Place::Request, key), self.faults)
    }

    /// As `read`, but its absence is a fault.
    pub(crate) fn read_required<T>(&mut self, key: &'static str, reader: ReadFn<T>) -> Option<T> {
        let value = self.required(key)?;
        reader(value, &Place::Key(&Place::Request, key), self.faults)
    }

    /// Refuses a key that Q0 knows and this version does not.
    pub(crate) fn refuse_unsupported(&mut self, key: &str) {
        if self.take(key).is_some() {
            refuse_unsupported_key(key, self.faults);
        }
    }

    /// Which of `keys`, none of them taken yet, does the request have?
    pub(crate) fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.remaining.iter().any(|(name, _)| name == key)).collect()
    }

    /// Reports the keys that are missing, and nothing of the others: what they mean is not known.
    pub(crate) fn report_missing(self) {
        report(self.faults, "missing_fields", "the request lacks", self.missing);
    }

    /// Reports the keys that are missing and those that nobody took.
    pub(crate) fn finish(self) {
        report(self.faults, "missing_fields", "the request lacks", self.missing);
        refuse_unknown(self.remaining.iter().map(|(key, _)| key.as_str()), &[], self.faults);
    }
}

/// The keys of an object that are not among those that it may have.
pub(super) fn unknown<'m>(map: &'m Map<String, Value>, known: &[&str]) -> Vec<&'m str> {
    map.keys().map(String::as_str).filter(|key| !known.contains(key)).collect()
}

/// Reports a key that Q0 knows and this version does not.
pub(crate) fn refuse_unsupported_key(key: &str, faults: &mut Faults) {
    faults.refuse(Place::Key(&Place::Request, key).unsupported(&format!("`{key}`")));
}

/// Reports the keys that an action does not know.
pub(crate) fn refuse_unknown<'k>(keys: impl Iterator<Item = &'k str>, known: &[&str], faults: &mut Faults) {
    let unknown = keys.filter(|key| !IGNORED.contains(key) && !known.contains(key)).collect();
    report(faults, "unknown_fields", "this action knows no", unknown);
}

fn report(faults: &mut Faults, detail: &str, complaint: &str, keys: Vec<&str>) {
    if !keys.is_empty() {
        let message = format!("{complaint} `{}`", keys.join("`, `"));
        faults.refuse(Place::Request.fault(message).with(detail, keys));
    }
}

/// Reads a value of a request into a `T`, or reports why it is none.
pub(crate) type ReadFn<T> = fn(Value, &Place<'_>, &mut Faults) -> Option<T>;

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
        Value::Number(number) => match json::count(number) {
            Some(count) => Some(count),
            None => refuse(faults, place.wrong_value(EXPECTED, value)),
        },
        _ => refuse_type(faults, place, EXPECTED, &value),
    }
}

pub(crate) fn timestamp(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let text = string(value, place, faults)?;
    match text.parse() {
        Ok(moment) => Some(moment),
        Err(_) => refuse(faults, place.wrong_value("a timestamp such as 2026-04-21T14:32:00.123Z", text)),
    }
}

/// A timestamp that is compared with that of a record: to the millisecond, so that nothing of it is cut.
pub(crate) fn exact_timestamp(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Timestamp> {
    const EXPECTED: &str = "the `updated_at` of a record, which is to the millisecond";
    timestamp(value.clone(), place, faults)?;
    match value.as_str().and_then(Timestamp::parse_exact) {
        Some(exact) => Some(exact),
        None => refuse(faults, place.wrong_value(EXPECTED, value)),
    }
}

/// A class name, as it is stored.
pub(crate) fn class(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    let name = match value {
        Value::String(name) => name,
        other => return refuse_type(faults, place, "a UNS such as starfleet.com/officer", &other),
    };
    match uns::parse(&name) {
        Ok(stored) if stored.len() < name.len() => Some(stored.to_owned()),
        Ok(_) => Some(name),
        Err(item) => refuse(faults, place.name_field(place.locate(item))),
    }
}

/// One class name, or an array of them.
pub(crate) fn classes(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    one_or_many(value, place, faults, class)
}

/// One pk, or an array of them.
pub(crate) fn pks(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    one_or_many(value, place, faults, string)
}

fn one_or_many<T>(value: Value, place: &Place<'_>, faults: &mut Faults, one: ReadFn<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(items) => {
            let mut read = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                // Going on after a faulty element reports the others' faults as well.
                read.extend(one(item, &Place::Index(place, index), faults));
            }
            Some(read)
        }
        single => one(single, place, faults).map(|item| vec![item]),
    }
}

pub(crate) fn refuse<T>(faults: &mut Faults, fault: ErrorItem) -> Option<T> {
    faults.refuse(fault);
    None
}

/// As `refuse`, for a value of the wrong type.
pub(crate) fn refuse_type<T>(
    faults: &mut Faults,
    place: &Place<'_>,
    expected: &str,
    found: &Value,
) -> Option<T> {
    faults.refuse_type(place, expected, found);
    None
}

/// The warning that two keys of a request say the same thing.
pub(crate) fn redundant_fields(keys: [&str; 2], consequence: &str) -> ErrorItem {
    let message = format!("`{}` and `{}` say the same thing; {consequence}", keys[0], keys[1]);
    ErrorItem::new(ErrorId::REDUNDANT_FIELDS, message).with("fields", keys.to_vec())
}

//! Taking the keys of a request one by one: what is left at the end is unknown.

use serde_json::{Map, Value};

use crate::diagnostics::readers::ReadFn;
use crate::diagnostics::{Faults, Place};
use crate::error::{ErrorId, ErrorItem};

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

/// The warning that two keys of a request say the same thing.
pub(crate) fn redundant_fields(keys: [&str; 2], consequence: &str) -> ErrorItem {
    let message = format!("`{}` and `{}` say the same thing; {consequence}", keys[0], keys[1]);
    ErrorItem::new(ErrorId::REDUNDANT_FIELDS, message).with("fields", keys.to_vec())
}

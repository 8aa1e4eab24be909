//! Takes the keys of a request one by one and reports those that are missing or unknown.

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::{Map, Value};

use crate::diagnostics::readers::ReadFn;
use crate::diagnostics::{Faults, Place};
use crate::record::COMMENT_KEYS;

/// The keys of a request that have not been taken yet, and the required keys that it lacks.
#[derive(Debug)]
pub(crate) struct RequestKeys<'f> {
    /// In the order of the request. A vector, because requests have few keys, and a linear search is then
    /// faster than hashing.
    remaining: Vec<(String, Value)>,
    missing: Vec<&'static str>,
    pub(crate) faults: &'f mut Faults,
}

impl<'f> RequestKeys<'f> {
    pub(crate) fn new(map: Map<String, Value>, faults: &'f mut Faults) -> Self {
        Self { remaining: map.into_iter().collect(), missing: Vec::new(), faults }
    }

    /// Removes `key` and returns its value.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        let index = self.remaining.iter().position(|(name, _)| name == key)?;
        // `remove`, not `swap_remove`: unknown keys are reported in the order of the request.
        Some(self.remaining.remove(index).1)
    }

    /// Takes `key`. If the request lacks it, [`finish`](Self::finish) reports it as missing.
    pub(crate) fn take_required(&mut self, key: &'static str) -> Option<Value> {
        let value = self.take(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// Takes `key` and reads its value with `read_value`. `None` if the key is absent, or if `read_value` has
    /// reported a fault.
    pub(crate) fn read<T>(&mut self, key: &str, read_value: ReadFn<T>) -> Option<T> {
        let value = self.take(key)?;
        read_value(value, &Place::Key(&Place::Root, key), self.faults)
    }

    /// As [`read`](Self::read), for a required key: if it is missing, [`finish`](Self::finish) reports it.
    pub(crate) fn read_required<T>(&mut self, key: &'static str, read_value: ReadFn<T>) -> Option<T> {
        let value = self.take_required(key)?;
        read_value(value, &Place::Key(&Place::Root, key), self.faults)
    }

    /// Takes the key `transaction`. If the request has it, refuses it: see [`refuse_transaction_key`].
    pub(crate) fn refuse_transaction(&mut self) {
        if self.take("transaction").is_some() {
            refuse_transaction_key(self.faults);
        }
    }

    /// The elements of `keys` that the request has and that have not been taken.
    pub(crate) fn present<'k>(
        &self,
        keys: &'k [&'static str],
    ) -> impl Iterator<Item = &'static str> + use<'_, 'k, 'f> {
        keys.iter().copied().filter(|key| self.remaining.iter().any(|(name, _)| name == key))
    }

    /// Reports only the missing keys. This is for a request without an action: which of its other keys are
    /// unknown cannot be said, since it depends on the action.
    pub(crate) fn report_missing(self) {
        report(self.faults, "missing_fields", "the request lacks", self.missing);
    }

    /// Reports the missing keys and the unknown ones.
    pub(crate) fn finish(self) {
        report(self.faults, "missing_fields", "the request lacks", self.missing);
        refuse_unknown(self.remaining.iter().map(|(key, _)| key.as_str()), &[], self.faults);
    }
}

/// The keys of `map` that are not in `allowed`. `map` is a part of a request, where comment keys are not
/// allowed. For the request as a whole, see [`refuse_unknown`].
pub(super) fn unknown<'m>(map: &'m Map<String, Value>, allowed: &[&str]) -> Vec<&'m str> {
    map.keys().map(String::as_str).filter(|key| !allowed.contains(key)).collect()
}

/// Refuses the key `transaction`, which is allowed only in a request of `q0` or `validate`. There
/// [`TransactionRequest::take`](crate::query::TransactionRequest::take) has removed it before. So if the key
/// is found, the request is part of a batch, or was given to a method that explains, streams or watches a
/// select.
pub(crate) fn refuse_transaction_key(faults: &mut Faults) {
    let message = "`transaction` is allowed only in a request of `q0` or `validate`: a batch runs in a \
                   transaction as a whole, or in none";
    let place = Place::Key(&Place::Root, "transaction");
    faults.refuse(place.with_field(place.fault(message)));
}

/// Refuses the keys of a request that are not in `allowed`, except comment keys, which every action allows.
pub(crate) fn refuse_unknown<'k>(keys: impl Iterator<Item = &'k str>, allowed: &[&str], faults: &mut Faults) {
    let unknown = keys.filter(|key| !COMMENT_KEYS.contains(key) && !allowed.contains(key)).collect();
    report(faults, "unknown_fields", "this action has no key", unknown);
}

/// Adds one fault about all of `keys`; nothing if there are none. The message begins with `complaint`, and
/// the detail with the name `detail` lists the keys.
fn report(faults: &mut Faults, detail: &str, complaint: &str, keys: Vec<&str>) {
    if !keys.is_empty() {
        let message = format!("{complaint} `{}`", keys.join("`, `"));
        faults.refuse(Place::Root.fault(message).with(detail, keys));
    }
}

/// The warning that a request has two keys of which one is enough. `consequence` says how the request is run
/// with both.
pub(crate) fn redundant_fields(keys: [&str; 2], consequence: &str) -> ErrorItem {
    let message = format!("`{}` and `{}` are redundant; {consequence}", keys[0], keys[1]);
    ErrorItem::new(ErrorId::REDUNDANT_FIELDS, message).with("fields", keys.to_vec())
}

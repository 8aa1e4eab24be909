//! An entry of the history of a worldlet: one version of a record. The key of the entry is its instance pk.
//!
//! `{"identity": pk, "timestamp": …, "active": …, "bucket": …, "stack": …}`. The older spelling has `record`
//! and `updated_at` instead of `identity` and `timestamp`. The other forms of a record
//! ([`record`](super::record)) are allowed in place of bucket and stack. `created_at` is checked and ignored:
//! a record was created at the time in its stub, or else at the time of its first version. With
//! `active: false` the entry is a tombstone, whose extras are checked and ignored as well.

use serde_json::{Map, Value};

use super::record::{TimesAndExtras, read_time, take_bucket, take_definition, take_stack};
use super::{RecordForm, WorldletFaults, entry};
use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::stack::Stack;
use crate::timestamp::Timestamp;
use crate::uns;

/// A version of a record. Its form is valid; the bucket is not yet validated against the classes of the
/// record.
#[derive(Debug)]
pub(crate) struct IncomingVersion {
    pub(crate) instance_pk: String,
    /// The pk of the record.
    pub(crate) pk: String,
    pub(crate) time: Timestamp,
    /// The content of the record; `None` in a tombstone.
    pub(crate) state: Option<IncomingState>,
}

/// The content of a record in one version.
#[derive(Debug)]
pub(crate) struct IncomingState {
    pub(crate) bucket: Map<String, Value>,
    pub(crate) stack: Map<String, Value>,
    pub(crate) extras: Map<String, Value>,
    /// How the entry spells the bucket and the stack, for the places of later faults.
    pub(crate) form: RecordForm,
}

/// Reads one version. `None` if it has a fault; faults go to `faults`.
pub(super) fn read(instance_pk: String, text: &str, faults: &mut WorldletFaults) -> Option<IncomingVersion> {
    let version = entry::read(("history", &instance_pk), text, faults, |value, place, faults| {
        if json::too_deep(&value) {
            let message = format!("arrays and objects may nest {} deep in a version", json::MAX_DEPTH);
            faults.refuse(place.fault(message));
            return None;
        }
        match value {
            Value::Object(parts) => read_version(parts, place, faults),
            other => {
                faults.refuse(place.wrong_type("an object", &other));
                None
            }
        }
    })?;
    Some(IncomingVersion { instance_pk, ..version })
}

fn read_version(
    mut parts: Map<String, Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<IncomingVersion> {
    let pk = take_either(&mut parts, ["identity", "record"], place, faults);
    let pk = pk.and_then(|(key, value)| match value {
        Value::String(pk) => Some(pk),
        other => {
            faults.refuse(Place::Key(place, key).wrong_type("the pk of a record", &other));
            None
        }
    });
    let time = take_either(&mut parts, ["timestamp", "updated_at"], place, faults)
        .and_then(|(key, value)| read_time(value, &Place::Key(place, key), faults));
    // If the value of `active` is not a boolean, the entry is read as a version that is no tombstone, to find
    // its other faults.
    let active = match parts.shift_remove("active") {
        None => true,
        Some(Value::Bool(active)) => active,
        Some(other) => {
            faults.refuse(Place::Key(place, "active").wrong_type("a boolean", &other));
            true
        }
    };
    let TimesAndExtras { extras, .. } = TimesAndExtras::take(&mut parts, place, faults);
    let state = active.then(|| read_state(&mut parts, extras, place, faults));
    for unknown in parts.keys() {
        let what = if active { "a version" } else { "a tombstone" };
        faults.refuse(Place::Key(place, unknown).fault(format!("{what} has no key `{unknown}`")));
    }
    let state = match state {
        // A state with a fault is `None`.
        Some(state) => Some(state?),
        // A tombstone.
        None => None,
    };
    // The caller fills in the instance pk.
    Some(IncomingVersion { instance_pk: String::new(), pk: pk?, time: time?, state })
}

fn read_state(
    parts: &mut Map<String, Value>,
    extras: Map<String, Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<IncomingState> {
    if let Some(bucket) = take_definition(parts) {
        let stack = Stack::of_class(uns::CLASS.to_owned()).into_map(None);
        return Some(IncomingState { bucket, stack, extras, form: RecordForm::DEFINITION });
    }
    let form = RecordForm::of(parts);
    let bucket = take_bucket(parts, place, faults);
    let stack = take_stack(parts, place, faults);
    Some(IncomingState { bucket: bucket?, stack: stack?.into_map(None), extras, form })
}

/// Takes a required member whose key has two spellings. Returns the key that was used, and the value. Both
/// keys together are a fault, since their values may differ.
fn take_either(
    parts: &mut Map<String, Value>,
    keys: [&'static str; 2],
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<(&'static str, Value)> {
    match keys.map(|key| Some((key, parts.shift_remove(key)?))) {
        [Some(_), Some(_)] => {
            let message = format!("`{}` and `{}` are synonyms: give only one of them", keys[0], keys[1]);
            faults.refuse(place.fault(message).with("fields", keys.to_vec()));
            None
        }
        [None, None] => {
            let message = format!("a version lacks `{}`", keys[0]);
            faults.refuse(place.fault(message).with("missing_fields", vec![keys[0]]));
            None
        }
        [one, other] => one.or(other),
    }
}

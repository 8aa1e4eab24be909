//! A record of a worldlet, in each of its forms.
//!
//! | form | the record |
//! | --- | --- |
//! | `{"bucket": …, "stack": …}` | this bucket and stack: the exported form |
//! | `{"class": …, "bucket": …}` | a record of this class |
//! | `{"classes": {id: {"class": …, "bucket": …}}, "bucket": …}` | a record with these platters |
//! | `{"classes": […], "bucket": …}` | a record of these classes |
//! | `{"class": "puck.uno/class", "name": …, …}` | a class definition with the other keys as bucket |
//! | `{"class": …, "value": …}` | a built-in class for references or files, and the bucket `{"value": …}` |
//! | `{"bucket": …}`, `{}` | a record of class `puck.uno/record`; in a temporal worldlet `{}` is a stub |
//! | a scalar or an array | class `puck.uno/value`, bucket `{"value": …}`; also exported in this form |

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{IncomingRecord, RecordForm, WorldletFaults, entry};
use crate::diagnostics::{Faults, Place, readers};
use crate::json;
use crate::record::EXTRA_KEYS;
use crate::stack::Stack;
use crate::timestamp::Timestamp;
use crate::uns;

/// The keys that give the classes of a record; only one of them is allowed.
const CLASS_KEYS: [&str; 3] = ["class", "classes", "stack"];

/// The key of the class markers of a record.
const CUSTOM_CLASSES: &str = "custom_classes";

/// The classes whose records may have the compact form with `value`.
const CLASSES_WITH_VALUE: [&str; 3] = [uns::REFERENCE, uns::FILE_REFERENCE, uns::FILE];

/// The stored stack of a record that may be exported as a bare value: a scalar or an array.
const BARE_STACK: &str = r#"{"shadow":{},"value":{"class":"puck.uno/value"}}"#;

/// Reads one record. `None` if it has a fault; faults go to `faults`.
pub(super) fn read(pk: String, text: &str, faults: &mut WorldletFaults) -> Option<IncomingRecord> {
    let record = entry::read(("records", &pk), text, faults, read_form)?;
    Some(IncomingRecord { pk, ..record })
}

/// An entry without content. In a temporal worldlet it is a stub: the versions of the record are in the
/// `history`. Only `created_at` is used. `updated_at` is checked, and the other allowed keys are ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stub {
    #[serde(default, deserialize_with = "non_null_time")]
    pub(super) created_at: Option<Timestamp>,
    #[serde(default, rename = "updated_at", deserialize_with = "non_null_time")]
    _updated_at: Option<Timestamp>,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
    #[serde(default, rename = "vibecode")]
    _vibecode: IgnoredAny,
    #[serde(default, rename = "misc")]
    _misc: IgnoredAny,
    #[serde(default, rename = "corporate")]
    _corporate: IgnoredAny,
}

impl Stub {
    /// Parses `text` as a stub; `None` if it is no object, has another key, or has a time that is not valid.
    pub(super) fn read(text: &str) -> Option<Self> {
        json::struct_from_object(&mut serde_json::Deserializer::from_str(text)).ok()
    }
}

/// Reads the time of a present key. Null is an error, whereas deserializing an `Option` would accept it.
fn non_null_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Timestamp::deserialize(deserializer).map(Some)
}

/// The value of a record with this stored bucket and stack, if these allow an export as a bare value. The
/// form has no place for extras and times: the caller checks that there are no extras, and the times are not
/// exported.
pub(crate) fn bare_value<'b>(bucket: &'b str, stack: &str) -> Option<&'b str> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bare<'b> {
        #[serde(borrow)]
        value: &'b RawValue,
    }
    let bare: Bare<'_> = (stack == BARE_STACK).then(|| serde_json::from_str(bucket).ok())??;
    // A bare object would be read as one of the other forms.
    Some(bare.value.get()).filter(|value| !value.starts_with('{'))
}

/// Reads a record in any form. The caller fills in the pk.
fn read_form(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<IncomingRecord> {
    if json::too_deep(&value) {
        let message = format!("arrays and objects may nest {} deep in a record", json::MAX_DEPTH);
        faults.refuse(place.fault(message));
        return None;
    }
    let Value::Object(mut parts) = value else {
        let stack = Stack::of_class(uns::VALUE.to_owned());
        let bucket = Map::from_iter([("value".to_owned(), value)]);
        return Some(TimesAndExtras::default().into_record(bucket, stack, RecordForm::BARE));
    };
    let times_and_extras = TimesAndExtras::take(&mut parts, place, faults);
    if let Some(definition) = take_definition(&mut parts) {
        let stack = Stack::of_class(uns::CLASS.to_owned());
        return Some(times_and_extras.into_record(definition, stack, RecordForm::DEFINITION));
    }
    let form = RecordForm::of(&parts);
    // The bucket is taken first: its form depends on the class, which `take_stack` removes.
    let bucket = take_bucket(&mut parts, place, faults);
    let stack = take_stack(&mut parts, place, faults);
    for unknown in parts.keys() {
        faults.refuse(Place::Key(place, unknown).fault(format!("a record has no key `{unknown}`")));
    }
    Some(times_and_extras.into_record(bucket?, stack?, form))
}

/// Takes the bucket of a class definition of the form `{"class": "puck.uno/class", "name": …, …}`: all of
/// `parts` but `class`. `None` for other records. To be called after [`TimesAndExtras::take`], so that
/// `parts` has no times and no extras.
pub(super) fn take_definition(parts: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let is_definition =
        class_of(parts) == Some(uns::CLASS) && !parts.contains_key("bucket") && parts.contains_key("name");
    is_definition.then(|| {
        parts.shift_remove("class");
        std::mem::take(parts)
    })
}

/// The class name in `class`, without protocol.
fn class_of(parts: &Map<String, Value>) -> Option<&str> {
    uns::parse(parts.get("class")?.as_str()?).ok()
}

/// Takes `bucket`, or makes a bucket of `value`. If `parts` has no key at all, the bucket is empty. `None` if
/// there is a fault. To be called before [`take_stack`], which removes the class: whether `value` is allowed
/// depends on the class.
pub(super) fn take_bucket(
    parts: &mut Map<String, Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Map<String, Value>> {
    if let Some(value) = parts.shift_remove("value") {
        if !class_of(parts).is_some_and(|class| CLASSES_WITH_VALUE.contains(&class))
            || parts.contains_key("bucket")
        {
            let message = format!(
                "`value` is allowed only with one of the classes {}, and without `bucket`",
                CLASSES_WITH_VALUE.join(", ")
            );
            faults.refuse(Place::Key(place, "value").fault(message));
            return None;
        }
        return Some(Map::from_iter([("value".to_owned(), value)]));
    }
    match parts.shift_remove("bucket") {
        Some(Value::Object(bucket)) => Some(bucket),
        Some(other) => {
            faults.refuse(Place::Key(place, "bucket").wrong_type("an object", &other));
            None
        }
        None if parts.is_empty() => Some(Map::new()),
        None => {
            faults.refuse(place.fault("a record has a `bucket`").with("missing_fields", vec!["bucket"]));
            None
        }
    }
}

/// Takes the classes of a record out of `class`, `classes` or `stack`. `None` if there is a fault.
pub(super) fn take_stack(
    parts: &mut Map<String, Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Stack> {
    let given: Vec<_> =
        CLASS_KEYS.into_iter().filter_map(|key| Some((key, parts.shift_remove(key)?))).collect();
    if given.len() > 1 {
        let keys: Vec<&str> = given.iter().map(|(key, _)| *key).collect();
        let message = format!("`{}` are mutually exclusive: give only one of them", keys.join("`, `"));
        faults.refuse(place.fault(message).with("fields", keys));
        return None;
    }
    let Some((key, value)) = given.into_iter().next() else {
        return Some(Stack::of_class(uns::RECORD.to_owned()));
    };
    let place = Place::Key(place, key);
    match key {
        "class" => Stack::read_class(value, &place, faults),
        "classes" => Stack::read_classes(value, &place, faults),
        _ => Stack::read_stored_stack(value, &place, faults),
    }
}

/// The members of an entry besides the bucket and the classes of the record.
#[derive(Default)]
pub(super) struct TimesAndExtras {
    pub(super) extras: Map<String, Value>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

impl TimesAndExtras {
    /// Takes the times and the extras. After a fault, they are incomplete.
    pub(super) fn take(parts: &mut Map<String, Value>, place: &Place<'_>, faults: &mut Faults) -> Self {
        let mut take = |key: &str| parts.shift_remove(key);
        let created_at =
            take("created_at").and_then(|value| read_time(value, &Place::Key(place, "created_at"), faults));
        let updated_at =
            take("updated_at").and_then(|value| read_time(value, &Place::Key(place, "updated_at"), faults));
        let mut extras: Map<String, Value> =
            EXTRA_KEYS.into_iter().filter_map(|key| Some((key.to_owned(), take(key)?))).collect();
        if let Some(markers) = extras.get_mut(CUSTOM_CLASSES) {
            let place = Place::Key(place, CUSTOM_CLASSES);
            *markers = readers::custom_classes(markers.take(), &place, faults).unwrap_or_default();
        }
        Self { extras, created_at, updated_at }
    }

    /// The record with an empty pk, which the caller fills in.
    fn into_record(self, bucket: Map<String, Value>, stack: Stack, form: RecordForm) -> IncomingRecord {
        let Self { extras, created_at, updated_at } = self;
        IncomingRecord {
            pk: String::new(),
            bucket,
            stack: stack.into_map(None),
            extras,
            created_at,
            updated_at,
            form,
        }
    }
}

pub(super) fn read_time(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let time = value.as_str().and_then(|text| text.parse().ok());
    if time.is_none() {
        faults.refuse(place.wrong_value("a timestamp such as 2026-04-21T14:32:00.123Z", value));
    }
    time
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stack_constant_equals_the_stack_made_from_the_class() {
        let stack = Value::Object(Stack::of_class(uns::VALUE.to_owned()).into_map(None));
        assert_eq!(stack.to_string(), BARE_STACK);
        assert_eq!(stack, json!({"shadow": {}, "value": {"class": uns::VALUE}}));
    }

    #[test]
    fn only_a_bucket_with_one_member_that_is_no_object_is_exported_bare() {
        let bare = |bucket| bare_value(bucket, BARE_STACK);
        assert_eq!(bare(r#"{"value":[1,{"a":2}]}"#), Some(r#"[1,{"a":2}]"#));
        assert_eq!(bare(r#"{"value":null}"#), Some("null"));
        assert_eq!(bare(r#"{"value":{"a":1}}"#), None);
        assert_eq!(bare(r#"{"value":1,"b":2}"#), None);
        assert_eq!(bare("{}"), None);
        assert_eq!(
            bare_value(r#"{"value":1}"#, r#"{"shadow":{},"record":{"class":"puck.uno/record"}}"#),
            None
        );
    }
}

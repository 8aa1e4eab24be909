//! Targets: which records a hook or a subscription is about.

use std::fmt;

use miko_rpc::{Error, ErrorId, Result};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::json;
use crate::q0::Condition;
use crate::query::Filter;
use crate::uns;

/// The records whose changes a hook or a subscription is about: a condition of Q0. A pk or the name of a
/// class is short for a condition.
///
/// ```
/// use miko_core::Target;
/// use miko_core::q0::{Condition, gte};
/// use serde_json::json;
///
/// // A class, with its subclasses.
/// assert_eq!(Target::from("starfleet.com/officer"), Target::class("starfleet.com/officer"));
/// // Any other text is a pk.
/// assert_eq!(Target::from("0192f0c1-2a3b-7c4d-8e5f-60718293a4b5").to_string(),
///            r#"{"pk":"0192f0c1-2a3b-7c4d-8e5f-60718293a4b5"}"#);
/// // A condition, as JSON or built.
/// let veterans = Condition::class("starfleet.com/officer").and_path(["age"], gte(60));
/// let json = json!({"class": "starfleet.com/officer", "path": ["age", {"gte": 60}]});
/// assert_eq!(Target::from(veterans), Target::from(json));
/// ```
///
/// The condition is tested on the record after the change, so a record matches as soon as a change makes it
/// fulfil the condition. For a delete, the condition is tested on the record as it was before. A subscription
/// with [`ChangeOptions::leaving`](crate::ChangeOptions::leaving) also tests the record before an update.
///
/// A condition whose evaluation may fail is refused by the call that makes the hook or begins the
/// subscription.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Target(
    /// The condition as a JSON object, or a value that [`filter`](Self::filter) refuses.
    Value,
);

impl Target {
    /// All records.
    pub fn all() -> Self {
        Self(Map::new().into())
    }

    /// The record with this pk, even if the pk looks like a class name.
    pub fn pk(pk: impl Into<String>) -> Self {
        Self(json!({ "pk": pk.into() }))
    }

    /// The records of this class and of its subclasses.
    pub fn class(class: impl Into<String>) -> Self {
        Self(json!({ "class": class.into() }))
    }

    /// The filter by which records are tested.
    ///
    /// # Errors
    /// Every fault of the condition, including faults that a select reports only if its evaluation reaches
    /// them, such as an undefined placeholder. So evaluating the filter does not fail.
    pub(crate) fn filter(&self) -> Result<Filter> {
        if json::too_deep(&self.0) {
            return Err(too_deep());
        }
        Filter::of_condition(&self.0)
    }
}

fn too_deep() -> Error {
    let message = format!("arrays and objects may nest {} deep in a target", json::MAX_DEPTH);
    Error::new(ErrorId::INVALID_REQUEST, message)
}

/// If the text is a valid class name, it stands for the records of the class. Any other text is a pk.
impl From<&str> for Target {
    fn from(text: &str) -> Self {
        match uns::parse(text) {
            Ok(class) => Self::class(class),
            Err(_) => Self::pk(text),
        }
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Condition> for Target {
    fn from(condition: Condition) -> Self {
        Value::from(condition).into()
    }
}

/// Converts a string as [`From<&str>`](#impl-From<%26str>-for-Target) does. Any other value is a condition.
impl From<Value> for Target {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => text.into(),
            condition if json::too_deep(&condition) => {
                // `filter` refuses the value that is kept in its place, too. A drop of this one could
                // overflow the stack.
                json::drop_iteratively(condition);
                Self(json::too_deep_value())
            }
            condition => Self(condition),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = json::reader::value(deserializer)?;
        if json::too_deep(&value) {
            json::drop_iteratively(value);
            return Err(serde::de::Error::custom(too_deep()));
        }
        Ok(value.into())
    }
}

/// The JSON of the condition.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(target: impl Into<Target>) -> Error {
        target.into().filter().unwrap_err()
    }

    #[test]
    fn faults_are_reported_with_their_places() {
        assert_eq!(refused(json!(7)).items()[0].details["found"], "number");
        let error = refused(json!({"class": "a.b/x", "limit": 1, "sort": "n"}));
        assert_eq!(error.items()[0].details["unknown_fields"], json!(["limit", "sort"]));
        assert!(Target::from(Condition::class("a.b/x").not()).filter().is_ok());
        let error = refused(json!({"class": "officer", "path": []}));
        let pointers: Vec<_> = error.items().iter().map(|item| item.details["pointer"].clone()).collect();
        assert_eq!(pointers, ["/class", "/path"]);
    }

    #[test]
    fn a_condition_that_may_fail_when_it_is_evaluated_is_refused() {
        let undefined = json!({"any": [{"all": []}, {"path": [{"placeholder": "undefined"}, 1]}]});
        assert_eq!(refused(undefined).items()[0].details["placeholder"], "undefined");
        let defined = json!({"path": ["n", {"placeholder": "n"}], "placeholders": {"n": 1}});
        assert!(Target::from(defined).filter().is_ok());
    }

    #[test]
    fn a_target_survives_a_round_trip_through_json() {
        let targets = [Target::all(), Target::pk("a.b/x"), Target::class("a.b/x"), Target::from("x")];
        for target in targets {
            let text = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), target);
        }
        assert_eq!(serde_json::from_str::<Target>(r#""a.b/x""#).unwrap(), Target::class("a.b/x"));
        let deep = format!("{}{}", r#"{"all":["#.repeat(100), "]}".repeat(100));
        assert!(serde_json::from_str::<Target>(&deep).is_err());
    }

    #[test]
    fn a_condition_of_any_depth_is_refused() {
        let deep = (0..1_000_000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(refused(deep).is(ErrorId::INVALID_REQUEST));
        let deep = (0..1_000_000).fold(Condition::pk("x"), |inner, _| Condition::all([inner]));
        assert!(refused(deep).is(ErrorId::INVALID_REQUEST));
    }
}

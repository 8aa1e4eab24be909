//! Checking a request without running it, in one respect or in all.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorId, ErrorItem};
use crate::mikobase::{Query, Validation};
use crate::query::faults::Faults;

/// In what respect a request is checked.
///
/// ```
/// use miko_core::Check;
/// use serde_json::json;
///
/// let query = json!({"action": "select", "class": "starfleet", "limit": -1});
/// assert_eq!(Check::Fields.run(query.clone()).errors[0].details["pointer"], "/limit");
/// assert_eq!(Check::Uns.run(query.clone()).errors[0].details["pointer"], "/class");
/// assert!(Check::Action.run(query).errors.is_empty());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Is the action one that there is?
    Action,
    /// Are all fields there that it needs, is each of the right type, and none unknown? Two that say the same thing are
    /// a warning.
    Fields,
    /// Are class names well-formed?
    Uns,
    /// Does each placeholder that could be reached lead somewhere, and to something that suits its place? One that
    /// nothing uses is a warning.
    Placeholders,
}

impl Check {
    /// Checks a request in this respect only. Where the action is not known, nothing is known of the rest.
    pub fn run(self, query: Query) -> Validation {
        let Validation { mut errors, mut warnings } = validate(query);
        errors.retain(|item| Self::of(item) == self);
        warnings.retain(|item| Self::of(item) == self);
        Validation { errors, warnings }
    }

    /// Which respect a fault belongs to.
    fn of(item: &ErrorItem) -> Self {
        let details = &item.details;
        let is_action = details.get("pointer").is_some_and(|pointer| pointer == "/action")
            || details.get("missing_fields").is_some_and(|fields| *fields == serde_json::json!(["action"]));
        if item.id == ErrorId::UNUSED_PLACEHOLDER || details.contains_key("placeholder") {
            Self::Placeholders
        } else if is_action {
            Self::Action
        } else if details.get("rule").is_some_and(|rule| rule == "uns") {
            Self::Uns
        } else {
            Self::Fields
        }
    }
}

/// What is wrong or odd about a query, in all respects.
pub(crate) fn validate(query: Query) -> Validation {
    let mut faults = Faults::default();
    super::read(query, &mut faults);
    faults.into_validation()
}

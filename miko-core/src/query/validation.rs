//! Checking a request without running it, in one respect or in all.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diagnostics::{FaultList, Faults};
use crate::error::{ErrorItem, Warning};
use crate::query::Query;

/// What [`Mikobase::validate`](crate::Mikobase::validate) found: at most
/// [`MAX_REPORTED_FAULTS`](crate::MAX_REPORTED_FAULTS) of each kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Validation {
    /// Why the request would be refused.
    pub errors: Vec<ErrorItem>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

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
#[non_exhaustive]
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
        check(query, |respect| respect == self)
    }

    /// Which respect a fault of a request belongs to.
    fn of(item: &ErrorItem) -> Self {
        let details = &item.details;
        let is = |key: &str, expected: Value| details.get(key) == Some(&expected);
        if details.contains_key("placeholder") {
            Self::Placeholders
        } else if is("pointer", "/action".into()) || is("missing_fields", json!(["action"])) {
            Self::Action
        } else if is("rule", "uns".into()) {
            Self::Uns
        } else {
            Self::Fields
        }
    }
}

/// What is wrong or odd about a query, in all respects.
pub(crate) fn validate(query: Query) -> Validation {
    check(query, |_| true)
}

fn check(query: Query, asked: impl Fn(Check) -> bool) -> Validation {
    let mut faults = Faults::default();
    super::read(query, &mut faults);
    let (deferred, hints) = faults.take_deferred();
    let (mut errors, mut warnings) = faults.into_parts();
    errors.retain(|item| asked(Check::of(item)));
    warnings.retain(|item| asked(Check::of(item)));
    if asked(Check::Placeholders) {
        append_distinct(&mut errors, deferred);
        append_distinct(&mut warnings, hints);
    }
    Validation { errors: errors.into_items(), warnings: warnings.into_items() }
}

/// What placeholders stand for is read where it is used, and may be so twice.
fn append_distinct(list: &mut FaultList, mut items: FaultList) {
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.to_string()));
    list.append(items);
}

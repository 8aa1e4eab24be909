//! Validates a request without running it.

use std::collections::HashSet;

use miko_rpc::{ErrorItem, Warning};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diagnostics::{FaultList, Faults};
use crate::query::Query;
use crate::query::transaction::TransactionRequest;

/// The result of [`Mikobase::validate`](crate::Mikobase::validate): at most
/// [`MAX_REPORTED_FAULTS`](crate::MAX_REPORTED_FAULTS) errors and as many warnings. If there are more, a last
/// item has the number of the others as its detail `omitted`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Validation {
    /// The errors that the request raises, or may raise if its evaluation reaches the faulty part.
    pub errors: Vec<ErrorItem>,
    /// The warnings of the request.
    pub warnings: Vec<Warning>,
}

/// One aspect of the validation of a request.
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
    /// The action exists.
    Action,
    /// All required fields are present, each field has the right type, and none is unknown. Warns of
    /// redundant fields. Also reports each fault that belongs to no other aspect, such as a request that
    /// nests too deep.
    Fields,
    /// Class names are well-formed.
    Uns,
    /// All placeholders that evaluation may reach are defined and have values that fit. Warns of unused
    /// placeholders.
    Placeholders,
}

impl Check {
    /// Validates only this aspect of a request. If the request lacks an action, or its action is unknown, all
    /// aspects other than [`Action`](Self::Action) go unchecked. If the request has more faults than are
    /// listed, the last item has the number of the others, of whatever aspect.
    pub fn run(self, query: Query) -> Validation {
        check(query, |check| check == self)
    }

    /// The aspect that an error or a warning belongs to.
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

/// Validates all aspects of a query.
pub(crate) fn validate(query: Query) -> Validation {
    check(query, |_| true)
}

/// Validates the aspects of a query for which `is_selected` holds.
fn check(mut query: Query, is_selected: impl Fn(Check) -> bool) -> Validation {
    let mut faults = Faults::default();
    match TransactionRequest::take(&mut query, &mut faults) {
        // `take` has read all keys of such a request, and reported their faults.
        Some(
            TransactionRequest::Begin { .. }
            | TransactionRequest::Commit(_)
            | TransactionRequest::RollBack(_),
        ) => {}
        // `take` has reported faults: the query must not be read.
        None if faults.count() > 0 => {}
        // Reading the request reports its faults. The request itself is not run.
        Some(TransactionRequest::Within(_)) | None => drop(super::read(query, &mut faults)),
    }
    let (deferred, hints) = faults.take_for_validate();
    let (mut errors, mut warnings) = faults.into_parts();
    // The omitted faults stay: of which aspects they are is not known.
    errors.retain(|item| is_selected(Check::of(item)));
    warnings.retain(|item| is_selected(Check::of(item)));
    // All deferred errors and all hints are about placeholders.
    if is_selected(Check::Placeholders) {
        append_distinct(&mut errors, deferred);
        append_distinct(&mut warnings, hints);
    }
    Validation { errors: errors.into_items(), warnings: warnings.into_items() }
}

/// Appends each of `items` once. A placeholder that is used twice is read twice, so `items` then has its
/// faults twice.
fn append_distinct(list: &mut FaultList, mut items: FaultList) {
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.to_string()));
    list.append(items);
}

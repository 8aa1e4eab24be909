//! What is wrong with a request, and where.

use std::fmt;

use serde_json::Value;

use crate::error::{Error, ErrorId, ErrorItem, FaultList, Warning};
use crate::json;
use crate::json::pointer::PointerToken;
use crate::pattern::PatternBudget;

/// Gathers faults while a request is read, so that all are reported together.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    errors: FaultList,
    warnings: FaultList,
    /// What only a validation tells: it is wrong if it is reached, or odd and harmless.
    deferred_errors: FaultList,
    hints: FaultList,
    /// Values that are exempt from checks of their type.
    pub(super) exempt: Option<fn(&Value) -> bool>,
    /// The regular expressions of the request so far.
    pub(super) patterns: PatternBudget,
}

impl Faults {
    pub(crate) fn refuse(&mut self, fault: ErrorItem) {
        self.errors.push(fault);
    }

    /// What stands at `place` has the wrong type.
    pub(super) fn refuse_type(&mut self, place: &Place<'_>, expected: &str, found: &Value) {
        if !self.is_exempt(found) {
            self.refuse(place.wrong_type(expected, found));
        }
    }

    /// Whether the type of `value` is not checked.
    pub(super) fn is_exempt(&self, value: &Value) -> bool {
        self.exempt.is_some_and(|is_exempt| is_exempt(value))
    }

    pub(super) fn count(&self) -> usize {
        self.errors.len()
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Nothing is wrong with the request as long as nobody reaches these.
    pub(super) fn add_deferred_errors(&mut self, items: FaultList) {
        self.deferred_errors.append(items);
    }

    /// This is odd, and worth a word to somebody who asks.
    pub(super) fn hint(&mut self, warning: Warning) {
        self.hints.push(warning);
    }

    pub(super) fn warn_all(&mut self, warnings: FaultList) {
        self.warnings.append(warnings);
    }

    pub(super) fn hint_all(&mut self, hints: FaultList) {
        self.hints.append(hints);
    }

    /// A placeholder leads nowhere in a place that is always reached.
    pub(super) fn refuse_unresolved(&mut self, error: Error) {
        self.errors.extend(error.into_items());
    }

    /// What only a validation tells: errors and warnings.
    pub(super) fn take_deferred(&mut self) -> (FaultList, FaultList) {
        (std::mem::take(&mut self.deferred_errors), std::mem::take(&mut self.hints))
    }

    /// Errors and warnings.
    pub(crate) fn into_parts(self) -> (FaultList, FaultList) {
        (self.errors, self.warnings)
    }
}

/// A place in a request; `Display` gives it as a JSON pointer.
///
/// It is a chain of references, so that a request without faults pays nothing for places that nobody asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Request,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// The request is not well-formed here.
    pub(crate) fn fault(&self, message: impl Into<String>) -> ErrorItem {
        self.locate(ErrorItem::new(ErrorId::INVALID_REQUEST, message))
    }

    /// A value here has the wrong type.
    pub(crate) fn wrong_type(&self, expected: &str, found: &Value) -> ErrorItem {
        self.mismatch(expected, json::type_name(found).into())
    }

    /// A value here has the right type, but is none of those that are allowed.
    pub(crate) fn wrong_value(&self, expected: &str, found: impl Into<Value>) -> ErrorItem {
        self.mismatch(expected, found.into())
    }

    /// What stands here is Q0, but this version does not run it: an error, lest it be ignored silently.
    pub(crate) fn unsupported(&self, what: &str) -> ErrorItem {
        self.name_field(self.fault(format!("{what} is not supported by this version yet")))
    }

    /// Says of a fault that it is here.
    pub(crate) fn locate(&self, item: ErrorItem) -> ErrorItem {
        item.with("pointer", self.to_string())
    }

    fn mismatch(&self, expected: &str, found: Value) -> ErrorItem {
        let subject = self.field().map_or_else(|| "a request".to_owned(), |field| format!("`{field}`"));
        let item = self.fault(format!("{subject}: expected {expected}"));
        self.name_field(item).with("expected", expected).with("found", found)
    }

    /// Says of a fault to which key it belongs.
    pub(crate) fn name_field(&self, item: ErrorItem) -> ErrorItem {
        match self.field() {
            Some(field) => item.with("field", field),
            None => item,
        }
    }

    /// The nearest key: that of an element is its array's.
    fn field(&self) -> Option<&str> {
        match self {
            Self::Request => None,
            Self::Key(_, key) => Some(key),
            Self::Index(array, _) => array.field(),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => Ok(()),
            Self::Key(parent, key) => write!(f, "{parent}{}", PointerToken(key)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_json_pointer() {
        let stack = Place::Key(&Place::Request, "stack");
        let platter = Place::Key(&stack, "a/b~c");
        assert_eq!(Place::Request.to_string(), "");
        assert_eq!(Place::Index(&platter, 3).to_string(), "/stack/a~1b~0c/3");
        assert_eq!(Place::Index(&platter, 3).field(), Some("a/b~c"));
    }
}

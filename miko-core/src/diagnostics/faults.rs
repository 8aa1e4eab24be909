//! Collects the errors and warnings of an input while it is read.

use serde_json::Value;

use super::fault_list::FaultList;
use super::place::Place;
use crate::error::{Error, ErrorItem, Warning};
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
    pub(crate) exempt: Option<fn(&Value) -> bool>,
    /// The regular expressions of the request so far.
    pub(crate) patterns: PatternBudget,
}

impl Faults {
    pub(crate) fn refuse(&mut self, fault: ErrorItem) {
        self.errors.push(fault);
    }

    /// What stands at `place` has the wrong type.
    pub(crate) fn refuse_type(&mut self, place: &Place<'_>, expected: &str, found: &Value) {
        if !self.is_exempt(found) {
            self.refuse(place.wrong_type(expected, found));
        }
    }

    /// Whether the type of `value` is not checked.
    pub(crate) fn is_exempt(&self, value: &Value) -> bool {
        self.exempt.is_some_and(|is_exempt| is_exempt(value))
    }

    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Nothing is wrong with the request as long as nobody reaches these.
    pub(crate) fn add_deferred_errors(&mut self, items: FaultList) {
        self.deferred_errors.append(items);
    }

    /// This is odd, and worth a word to somebody who asks.
    pub(crate) fn hint(&mut self, warning: Warning) {
        self.hints.push(warning);
    }

    pub(crate) fn warn_all(&mut self, warnings: FaultList) {
        self.warnings.append(warnings);
    }

    pub(crate) fn hint_all(&mut self, hints: FaultList) {
        self.hints.append(hints);
    }

    /// A placeholder leads nowhere in a place that is always reached.
    pub(crate) fn refuse_unresolved(&mut self, error: Error) {
        self.errors.extend(error.into_items());
    }

    /// What only a validation tells: errors and warnings.
    pub(crate) fn take_deferred(&mut self) -> (FaultList, FaultList) {
        (std::mem::take(&mut self.deferred_errors), std::mem::take(&mut self.hints))
    }

    /// Errors and warnings.
    pub(crate) fn into_parts(self) -> (FaultList, FaultList) {
        (self.errors, self.warnings)
    }
}

//! Collects the errors and warnings of an input while it is read.

use miko_rpc::{Error, ErrorItem, FaultList, Warning};
use serde_json::Value;

use super::place::Place;
use crate::pattern::PatternBudget;

/// The errors and warnings of an input. All are collected, so that they are reported together.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    errors: FaultList,
    warnings: FaultList,
    /// The errors of faulty parts of a request, for `validate` alone. They do not refuse the request: it
    /// fails only if its evaluation reaches such a part, which has its own copy of the error.
    deferred_errors: FaultList,
    /// Warnings that only `validate` reports.
    hints: FaultList,
    /// Decides which values are exempt from type checks; `None` if no value is exempt. Set while the literal
    /// parts of a value with placeholders are checked: the placeholders are exempt.
    pub(crate) exempt: Option<fn(&Value) -> bool>,
    /// The budget for the regular expressions of the input.
    pub(crate) patterns: PatternBudget,
}

impl Faults {
    /// Adds an error, also for a value that is exempt from type checks.
    pub(crate) fn refuse(&mut self, fault: ErrorItem) {
        self.errors.push(fault);
    }

    /// Adds the error that the value at `place` has the wrong type, unless the value is exempt.
    pub(crate) fn refuse_type(&mut self, place: &Place<'_>, expected: &str, found: &Value) {
        if !self.is_exempt(found) {
            self.refuse(place.wrong_type(expected, found));
        }
    }

    /// Whether `value` is exempt from type checks.
    pub(crate) fn is_exempt(&self, value: &Value) -> bool {
        self.exempt.is_some_and(|is_exempt| is_exempt(value))
    }

    /// The number of errors so far. To detect an error in a part of the input, a caller compares the numbers
    /// before and after it reads the part.
    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Takes the warnings so far.
    pub(crate) fn take_warnings(&mut self) -> FaultList {
        std::mem::take(&mut self.warnings)
    }

    /// Applies `change` to the errors and the warnings so far.
    pub(crate) fn map(&mut self, mut change: impl FnMut(ErrorItem) -> ErrorItem) {
        for list in [&mut self.errors, &mut self.warnings] {
            let items = std::mem::take(list);
            list.append_with(items, &mut change);
        }
    }

    /// Adds errors that occur only if evaluation reaches the faulty part.
    pub(crate) fn add_deferred_errors(&mut self, items: FaultList) {
        self.deferred_errors.append(items);
    }

    /// Adds a warning that only `validate` reports.
    pub(crate) fn hint(&mut self, warning: Warning) {
        self.hints.push(warning);
    }

    pub(crate) fn warn_all(&mut self, warnings: FaultList) {
        self.warnings.append(warnings);
    }

    pub(crate) fn hint_all(&mut self, hints: FaultList) {
        self.hints.append(hints);
    }

    /// Adds the errors of the placeholders in a part of a request, and of the values that they stand for. The
    /// part is one that every evaluation reaches, such as `limit`: its errors need not be deferred.
    pub(crate) fn refuse_undeferred(&mut self, error: Error) {
        self.errors.extend(error.into_items());
    }

    /// Takes what only `validate` reports: the deferred errors, and the hints.
    pub(crate) fn take_for_validate(&mut self) -> (FaultList, FaultList) {
        (std::mem::take(&mut self.deferred_errors), std::mem::take(&mut self.hints))
    }

    /// Returns the errors and the warnings. Drops deferred errors and hints.
    pub(crate) fn into_parts(self) -> (FaultList, FaultList) {
        (self.errors, self.warnings)
    }
}

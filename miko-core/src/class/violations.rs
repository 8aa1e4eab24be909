//! Collects violations of the rules of a class.

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::Value;

use crate::diagnostics::{FaultList, Place, abbreviate};

/// Collects violations. Each names the class against which the value was validated. The rule may be declared
/// by an ancestor of that class.
pub(super) struct Violations<'c> {
    /// The class against which values are validated now.
    pub(super) class: &'c str,
    faults: &'c mut FaultList,
}

impl<'c> Violations<'c> {
    pub(super) fn of(class: &'c str, faults: &'c mut FaultList) -> Self {
        Self { class, faults }
    }

    pub(super) fn push(&mut self, violation: ErrorItem) {
        self.faults.push(violation);
    }

    /// Whether a further violation is only counted, so that its details are not needed.
    pub(super) fn is_full(&self) -> bool {
        self.faults.is_full()
    }

    /// Makes a violation of `rule` by the value at `place`, for [`push`](Self::push).
    pub(super) fn item(&self, place: &Place<'_>, rule: &str, message: impl Into<String>) -> ErrorItem {
        let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", self.class);
        place.with_pointer(place.with_field(item)).with("rule", rule)
    }

    /// Adds a violation of `rule`: the value `found` is not as `expected` describes.
    pub(super) fn push_mismatch(&mut self, place: &Place<'_>, rule: &str, expected: &str, found: &Value) {
        let item = self.item(place, rule, format!("expected {expected}"));
        self.push(item.with("expected", expected).with("found", abbreviate(found)));
    }
}

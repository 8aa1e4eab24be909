//! Tests of a value in a bucket: the `path` of a condition.

use std::fmt;

use serde_json::Value;

use crate::diagnostics::readers::{refuse, refuse_type};
use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::query::lookup::with_value_at;
use crate::query::operator::{self, Operators};
use crate::query::path_value::PathValue;
use crate::query::step::{PathStep, read_steps, write_steps};
use crate::query::value_ref::ValueRef;

/// The `path` of a condition, such as `["name", "family", "Kirk"]`: the steps from the bucket down to a
/// value, and the test of that value.
#[derive(Debug, Clone)]
pub(crate) struct PathTest {
    steps: Vec<PathStep>,
    /// The last element of the path as JSON: a literal, or an object of operators.
    test: Value,
    /// The operators of `test`; `None` if `test` is a literal.
    operators: Option<Operators>,
}

impl PathTest {
    /// Reads the `path` of a condition.
    pub(super) fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str =
            "an array of keys and indices that ends with a literal or an object of operators";
        let mut elements = match value {
            Value::Array(elements) if elements.len() >= 2 => elements,
            Value::Array(elements) => return refuse(faults, place.wrong_value(EXPECTED, elements)),
            other => return refuse_type(faults, place, EXPECTED, &other),
        };
        let test = elements.pop()?;
        // `None` after a fault. Both parts are read before the first `?`, so that the faults of both are
        // reported.
        let read_operators = operator::read_test(&test, &Place::Index(place, elements.len()), faults);
        let steps = read_steps(elements, place, faults);
        Some(Self { steps: steps?, test, operators: read_operators? })
    }

    /// Whether the test holds for the bucket with this JSON text.
    pub(crate) fn holds(&self, bucket: &str) -> bool {
        with_value_at(bucket, &self.steps, |value| self.holds_for_ref(&value))
    }

    /// Whether the test holds for a value at the end of the steps.
    pub(crate) fn holds_for(&self, value: &PathValue) -> bool {
        self.holds_for_ref(&value.view())
    }

    fn holds_for_ref(&self, value: &ValueRef<'_>) -> bool {
        match &self.operators {
            None => value.equals(&self.test),
            Some(operators) => operators.matches(value),
        }
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The accepted values, if the test only compares for equality, and does so without folding texts. `None`
    /// in all other cases.
    pub(crate) fn equality_values(&self) -> Option<&[Value]> {
        match &self.operators {
            None => Some(std::slice::from_ref(&self.test)),
            Some(operators) => operators.equality_values(),
        }
    }

    /// Parses what `Display` has written: a compiled select passes a path to the SQL function `q0_path` as
    /// text. The error is a message.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let value = json::from_text(text).map_err(|fault| fault.to_string())?;
        let mut faults = Faults::default();
        Self::read(value, &Place::Root, &mut faults).ok_or_else(|| format!("this is no path: {text}"))
    }
}

/// Writes the path as JSON, with the test.
impl fmt::Display for PathTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_steps(f, &self.steps, Some(&self.test))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_written_as_it_was_read() {
        let paths = [
            json!(["name", "Kirk"]),
            json!(["a", 0, "0", 18446744073709551615_u64, null]),
            json!(["", "a\"b", "$.x[0]", "\\", "\0", "🖖", -0.0]),
            json!(["a", [1, [true, {"k": 5e-324}]]]),
            json!(["a", {"value": {"placeholder": 1}, "gt": 3, "collapse": true}]),
        ];
        for path in paths {
            let mut faults = Faults::default();
            let read = PathTest::read(path.clone(), &Place::Root, &mut faults).unwrap();
            assert_eq!(read.to_string(), path.to_string());
            assert_eq!(PathTest::from_text(&path.to_string()).unwrap().to_string(), path.to_string());
            assert!(faults.into_parts().0.is_empty());
        }
    }
}

//! A condition on a bucket: where to look, and what must be there.

use std::fmt;

use serde_json::Value;

use crate::json;
use crate::query::faults::{Faults, Place};
use crate::query::fields::{refuse, refuse_type};
use crate::query::lookup::with_value_at;
use crate::query::operator::{self, Operators};
use crate::query::value_ref::ValueRef;

/// `["name", "family", "Kirk"]`: steps down from the bucket, and what must be said of the value there.
#[derive(Debug, Clone)]
pub(crate) struct PathTest {
    steps: Vec<PathStep>,
    /// The literal or the operators, as they are written.
    test: Value,
    /// The same, if these are operators.
    operators: Option<Operators>,
}

/// One step down. Neither kind stands in for the other: `"0"` is a key, `0` is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    Key(String),
    Index(u64),
}

impl PathTest {
    /// Reads the value of a `path` of a request.
    pub(super) fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an array of at least one key or index, and what is asked of the value there";
        let mut elements = match value {
            Value::Array(elements) if elements.len() >= 2 => elements,
            Value::Array(elements) => return refuse(faults, place.wrong_value(EXPECTED, elements)),
            other => return refuse_type(faults, place, EXPECTED, &other),
        };
        let test = elements.pop()?;
        let operators = operator::read_test(&test, &Place::Index(place, elements.len()), faults);
        let steps = read_steps(elements, place, faults);
        Some(Self { steps: steps?, test, operators: operators? })
    }

    /// Does it hold for the bucket with this JSON text?
    pub(crate) fn holds(&self, bucket: &str) -> bool {
        with_value_at(bucket, &self.steps, |value| self.test_holds_for(&value))
    }

    fn test_holds_for(&self, value: &ValueRef<'_>) -> bool {
        match &self.operators {
            None => value.equals(&self.test),
            Some(operators) => operators.match_value(value),
        }
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The values that are asked for, if nothing but equality with one of them is.
    pub(crate) fn equality_values(&self) -> Option<&[Value]> {
        match &self.operators {
            None => Some(std::slice::from_ref(&self.test)),
            Some(operators) => operators.equality_values(),
        }
    }

    /// Reads what `Display` wrote.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let value = json::from_text(text).map_err(|fault| fault.to_string())?;
        let mut faults = Faults::default();
        Self::read(value, &Place::Request, &mut faults).ok_or_else(|| format!("this is no path: {text}"))
    }
}

/// Reads keys and indices; `None` if any is neither.
pub(super) fn read_steps(
    elements: Vec<Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Vec<PathStep>> {
    let mut steps = Some(Vec::with_capacity(elements.len()));
    for (index, element) in elements.into_iter().enumerate() {
        let step = PathStep::read(element, &Place::Index(place, index), faults);
        steps = steps.zip(step).map(|(mut steps, step)| {
            steps.push(step);
            steps
        });
    }
    steps
}

/// Writes steps and what comes after them as a JSON array.
pub(super) fn write_steps(
    f: &mut fmt::Formatter<'_>,
    steps: &[PathStep],
    test: Option<&Value>,
) -> fmt::Result {
    f.write_str("[")?;
    for (index, step) in steps.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        match step {
            PathStep::Key(key) => write!(f, "{comma}{}", Value::from(key.as_str()))?,
            PathStep::Index(index) => write!(f, "{comma}{index}")?,
        }
    }
    test.map_or(Ok(()), |test| write!(f, ",{test}"))?;
    f.write_str("]")
}

/// The path as a request has it.
impl fmt::Display for PathTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_steps(f, &self.steps, Some(&self.test))
    }
}

impl PathStep {
    fn read(element: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an object key (a string) or an array index (a non-negative integer)";
        match element {
            Value::String(key) => Some(Self::Key(key)),
            Value::Number(number) => match json::count(&number) {
                Some(index) => Some(Self::Index(index)),
                None => refuse(faults, place.wrong_value(EXPECTED, number)),
            },
            other => refuse_type(faults, place, EXPECTED, &other),
        }
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
            let read = PathTest::read(path.clone(), &Place::Request, &mut faults).unwrap();
            assert_eq!(read.to_string(), path.to_string());
            assert_eq!(PathTest::from_text(&path.to_string()).unwrap().to_string(), path.to_string());
            assert!(faults.into_parts().0.is_empty());
        }
    }
}

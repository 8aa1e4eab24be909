//! The steps of a path: object keys and array indices.

use std::fmt;

use serde_json::Value;

use crate::diagnostics::readers::{refuse, refuse_type};
use crate::diagnostics::{Faults, Place};
use crate::json;

/// One step down a path. A string is an object key and an integer an array index: `"0"` is not `0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PathStep {
    Key(String),
    Index(u64),
}

impl PathStep {
    fn read(element: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an object key (a string) or an array index (a non-negative integer)";
        match element {
            Value::String(key) => Some(Self::Key(key)),
            Value::Number(number) => match json::non_negative_integer(&number) {
                Some(index) => Some(Self::Index(index)),
                None => refuse(faults, place.wrong_value(EXPECTED, number)),
            },
            other => refuse_type(faults, place, EXPECTED, &other),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Key(key) => key.as_str().into(),
            Self::Index(index) => (*index).into(),
        }
    }
}

/// Reads the steps of a path. `None` if an element is neither a key nor an index. Reading continues after
/// such an element, to report all of them.
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

/// The steps of a path as the text of a JSON array.
pub(crate) fn path_text(steps: &[PathStep]) -> String {
    struct Written<'s>(&'s [PathStep]);
    impl fmt::Display for Written<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_steps(f, self.0, None)
        }
    }
    Written(steps).to_string()
}

/// Writes the steps as a JSON array, followed by the element `last` if there is one. With `last`, `steps`
/// must not be empty, because a comma is always written before `last`.
pub(super) fn write_steps(
    f: &mut fmt::Formatter<'_>,
    steps: &[PathStep],
    last: Option<&Value>,
) -> fmt::Result {
    f.write_str("[")?;
    for (index, step) in steps.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{}", step.to_json())?;
    }
    last.map_or(Ok(()), |last| write!(f, ",{last}"))?;
    f.write_str("]")
}

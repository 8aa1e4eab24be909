//! A condition on a bucket: where to look, and what must be there.

use std::fmt;

use serde_json::Value;

use crate::query::faults::{Faults, Place};
use crate::query::fields::refuse;

/// `["name", "family", "Kirk"]`: steps down from the bucket, and what the value there must equal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(super) steps: Vec<Step>,
    pub(super) literal: Value,
}

/// One step down. Neither kind stands in for the other: `"0"` is a key, `0` is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(u64),
}

impl Path {
    /// Reads the value of a `path` of a request.
    pub(super) fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an array of at least one key or index, and the value looked for";
        let mut elements = match value {
            Value::Array(elements) if elements.len() >= 2 => elements,
            Value::Array(elements) => return refuse(faults, place.wrong_value(EXPECTED, elements)),
            other => return refuse(faults, place.wrong_type(EXPECTED, &other)),
        };
        let literal = elements.pop()?;
        check_literal(&literal, &Place::Index(place, elements.len()), faults);
        let mut steps = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            steps.extend(Step::read(element, &Place::Index(place, index), faults));
        }
        Some(Self { steps, literal })
    }

    /// Where it looks, and for what.
    pub(crate) fn parts(&self) -> (&[Step], &Value) {
        (&self.steps, &self.literal)
    }

    /// Reads what `Display` wrote.
    pub(crate) fn from_text(text: &str) -> serde_json::Result<Self> {
        let mut elements: Vec<Value> = serde_json::from_str(text)?;
        let literal = elements.pop().unwrap_or(Value::Null);
        let step = |element| match element {
            Value::String(key) => Ok(Step::Key(key)),
            other => serde_json::from_value(other).map(Step::Index),
        };
        Ok(Self { steps: elements.into_iter().map(step).collect::<Result<_, _>>()?, literal })
    }
}

/// The path as a request has it.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for step in &self.steps {
            match step {
                Step::Key(key) => write!(f, "{},", Value::from(key.as_str()))?,
                Step::Index(index) => write!(f, "{index},")?,
            }
        }
        write!(f, "{}]", self.literal)
    }
}

impl Step {
    fn read(element: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an object key (a string) or an array index (a non-negative integer)";
        match element {
            Value::String(key) => Some(Self::Key(key)),
            Value::Number(number) => match number.as_u64() {
                Some(index) => Some(Self::Index(index)),
                None => refuse(faults, place.wrong_value(EXPECTED, number)),
            },
            Value::Object(map) if map.contains_key("placeholder") => {
                refuse(faults, place.not_yet("a placeholder in a path"))
            }
            other => refuse(faults, place.wrong_type(EXPECTED, &other)),
        }
    }
}

/// Refuses what this version would misunderstand in last place: operator objects, and placeholders, also those inside
/// an array.
fn check_literal(literal: &Value, place: &Place<'_>, faults: &mut Faults) {
    match literal {
        Value::Object(map) if map.contains_key("placeholder") => {
            faults.refuse(place.not_yet("a placeholder in a path"));
        }
        Value::Object(_) => faults.refuse(place.not_yet("an operator object in a path")),
        Value::Array(elements) => check_elements(elements, place, faults),
        _ => {}
    }
}

fn check_elements(elements: &[Value], place: &Place<'_>, faults: &mut Faults) {
    for (index, element) in elements.iter().enumerate() {
        let place = Place::Index(place, index);
        match element {
            Value::Object(map) if map.contains_key("placeholder") => {
                faults.refuse(place.not_yet("a placeholder in a path"));
            }
            Value::Array(inner) => check_elements(inner, &place, faults),
            _ => {}
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
        ];
        for path in paths {
            let mut faults = Faults::default();
            let read = Path::read(path.clone(), &Place::Request, &mut faults).unwrap();
            assert_eq!(read.to_string(), path.to_string());
            assert_eq!(Path::from_text(&path.to_string()).unwrap(), read);
            assert!(faults.into_parts().0.is_empty());
        }
    }
}

//! Places in an input, and constructors of the faults at them.

use std::fmt;

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::Value;

use crate::json;
use crate::json::pointer::PointerToken;

/// A place in an input. `Display` writes it as a JSON pointer.
///
/// A place is a linked list of borrowed parts, so an input without faults allocates nothing for its places.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The input as a whole.
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
    /// The definition of the placeholder at a place: the value that `placeholders` gives to its name. The
    /// input has the definition elsewhere, so each place inside the definition is written as the JSON pointer
    /// of the placeholder.
    Definition(&'a Place<'a>),
}

impl Place<'_> {
    /// A fault at this place, with the id `invalid_request`.
    pub(crate) fn fault(&self, message: impl Into<String>) -> ErrorItem {
        self.with_pointer(ErrorItem::new(ErrorId::INVALID_REQUEST, message))
    }

    /// The fault that the value has the wrong type. Its detail `found` is the name of the type.
    pub(crate) fn wrong_type(&self, expected: &str, found: &Value) -> ErrorItem {
        self.mismatch(expected, json::type_name(found).into())
    }

    /// The fault that the value has the right type, but is not allowed. Its detail `found` is the value, or
    /// an abbreviation of it.
    pub(crate) fn wrong_value(&self, expected: &str, found: impl Into<Value>) -> ErrorItem {
        self.mismatch(expected, found.into())
    }

    /// Adds this place to a fault, as the detail `pointer`.
    pub(crate) fn with_pointer(&self, item: ErrorItem) -> ErrorItem {
        item.with("pointer", self.to_string())
    }

    fn mismatch(&self, expected: &str, found: Value) -> ErrorItem {
        let subject = self.field().map_or_else(|| "a request".to_owned(), |field| format!("`{field}`"));
        let item = self.fault(format!("{subject}: expected {expected}"));
        self.with_field(item).with("expected", expected).with("found", found)
    }

    /// Adds the nearest key to a fault, as the detail `field`.
    pub(crate) fn with_field(&self, item: ErrorItem) -> ErrorItem {
        match self.field() {
            Some(field) => item.with("field", field),
            None => item,
        }
    }

    /// The last key on the way to this place. An element of an array has the key of the array. `None` if
    /// there is no key.
    fn field(&self) -> Option<&str> {
        match self {
            Self::Root => None,
            Self::Key(_, key) => Some(key),
            Self::Index(array, _) => array.field(),
            Self::Definition(placeholder) => placeholder.field(),
        }
    }

    /// The place of the outermost placeholder in whose definition this place is.
    fn outermost_placeholder(&self) -> Option<&Self> {
        match self {
            Self::Root => None,
            Self::Key(parent, _) | Self::Index(parent, _) => parent.outermost_placeholder(),
            Self::Definition(placeholder) => Some(placeholder.outermost_placeholder().unwrap_or(placeholder)),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outermost_placeholder().unwrap_or(self) {
            Self::Root => Ok(()),
            Self::Key(parent, key) => write!(f, "{parent}{}", PointerToken(key)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
            // Never reached: `outermost_placeholder` has replaced a place inside a definition.
            Self::Definition(placeholder) => write!(f, "{placeholder}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_json_pointer() {
        let stack = Place::Key(&Place::Root, "stack");
        let platter = Place::Key(&stack, "a/b~c");
        assert_eq!(Place::Root.to_string(), "");
        assert_eq!(Place::Index(&platter, 3).to_string(), "/stack/a~1b~0c/3");
        assert_eq!(Place::Index(&platter, 3).field(), Some("a/b~c"));
    }

    #[test]
    fn a_place_in_a_definition_has_the_pointer_of_the_outermost_placeholder() {
        let outer = Place::Key(&Place::Root, "all");
        let outer_definition = Place::Definition(&outer);
        let inner = Place::Index(&outer_definition, 1);
        let inner_definition = Place::Definition(&inner);
        let class = Place::Key(&inner_definition, "class");
        assert_eq!((class.to_string().as_str(), class.field()), ("/all", Some("class")));
        assert_eq!((inner_definition.to_string().as_str(), inner_definition.field()), ("/all", Some("all")));
    }
}

//! The rules for strings, numbers and other single values, as a field definition gives them.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::settings::SettingsReader;
use crate::json::{self, index_key};
use crate::pattern::Pattern;

/// The rules for a string.
#[derive(Debug, Clone, Default)]
pub(super) struct StringRules {
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    /// Whether a create or an update collapses white space.
    pub(super) collapse: bool,
    pub(super) format: Option<Format>,
    pub(super) pattern: Option<Pattern>,
}

/// The formats of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Uuid,
    Identifier,
    Email,
    Date,
}

/// The rules for a number.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberRules {
    pub(super) min: Option<Bound>,
    pub(super) max: Option<Bound>,
    pub(super) gt: Option<Bound>,
    pub(super) lt: Option<Bound>,
    pub(super) integer_only: bool,
    pub(super) multiple_of: Option<Number>,
}

/// A bound of a number.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The key in the definition. `gte` is a synonym of `min`, and `lte` of `max`.
    pub(super) key: &'static str,
    pub(super) number: Number,
}

/// The list of the values that a field may have.
#[derive(Debug)]
pub(super) struct OneOf {
    /// The key in the definition: `one_of` or `enum`.
    pub(super) key: &'static str,
    pub(super) values: Vec<Value>,
    /// The index keys of the values, if there are more than [`LINEAR_SCAN_MAX`]. Two values have the same
    /// index key exactly if they are equal.
    index_keys: Option<HashSet<String>>,
}

/// If the list has at most this number of values, a value is compared with each of them. In a longer list it
/// is looked up by its index key.
const LINEAR_SCAN_MAX: usize = 64;

impl OneOf {
    pub(super) fn of(key: &'static str, values: &[Value]) -> Self {
        let index_keys = (values.len() > LINEAR_SCAN_MAX)
            .then(|| values.iter().map(|value| index_key(&[value])).collect());
        Self { key, values: values.to_vec(), index_keys }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        match &self.index_keys {
            None => self.values.iter().any(|allowed| json::equal(allowed, value)),
            Some(keys) => keys.contains(&index_key(&[value])),
        }
    }

    /// As [`contains`](Self::contains), for a string.
    pub(super) fn contains_text(&self, text: &str) -> bool {
        match &self.index_keys {
            None => self.values.iter().any(|allowed| allowed.as_str() == Some(text)),
            Some(_) => self.contains(&text.into()),
        }
    }
}

impl StringRules {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Self {
        let (min_length, max_length) = (settings.count("min_length"), settings.count("max_length"));
        let format = match settings.text("format") {
            None => None,
            Some("uuid") => Some(Format::Uuid),
            Some("identifier") => Some(Format::Identifier),
            Some("email") => Some(Format::Email),
            Some("date") => Some(Format::Date),
            Some(other) => {
                let known = "known are `uuid`, `identifier`, `email`, `date`";
                settings.refuse("format", format!("there is no format `{other}`; {known}"));
                None
            }
        };
        let pattern = settings.pattern();
        Self { min_length, max_length, collapse: settings.boolean("collapse"), format, pattern }
    }
}

impl NumberRules {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Self {
        let mut multiple_of = settings.number(&["multiple_of"]).map(|(_, step)| step.clone());
        if multiple_of.as_ref().and_then(Number::as_f64).is_some_and(|step| step <= 0.0) {
            settings.refuse("multiple_of", "`multiple_of` must be greater than 0");
            // So that nothing is reported as a contradiction of the refused rule.
            multiple_of = None;
        }
        Self {
            min: Bound::read(settings, &["min", "gte"]),
            max: Bound::read(settings, &["max", "lte"]),
            gt: Bound::read(settings, &["gt"]),
            lt: Bound::read(settings, &["lt"]),
            integer_only: settings.boolean("integer_only"),
            multiple_of,
        }
    }
}

impl Bound {
    fn read(settings: &mut SettingsReader<'_>, spellings: &[&'static str]) -> Option<Self> {
        settings.number(spellings).map(|(key, number)| Self { key, number: number.clone() })
    }
}

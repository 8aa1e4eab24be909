//! The rules for strings and numbers, as a field definition gives them.

use serde_json::Number;

use super::settings::SettingsReader;
use crate::pattern::Pattern;

/// The rules for a string.
#[derive(Debug, Clone, Default)]
pub(super) struct StringRules {
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    /// Whether white space is collapsed by a write.
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
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    pub(super) gt: Option<Number>,
    pub(super) lt: Option<Number>,
    pub(super) integer_only: bool,
    pub(super) multiple_of: Option<Number>,
}

impl StringRules {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Self {
        let (min_length, max_length) = (settings.count("min_length"), settings.count("max_length"));
        if let (Some(min), Some(max)) = (min_length, max_length)
            && min > max
        {
            settings.contradicts(
                "min_length",
                "`min_length` is more than `max_length`: no string satisfies both",
            );
        }
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
        let multiple_of = settings.number(&["multiple_of"]).cloned();
        if multiple_of.as_ref().and_then(Number::as_f64).is_some_and(|step| step <= 0.0) {
            settings.refuse("multiple_of", "`multiple_of` must be greater than 0");
        }
        Self {
            min: settings.number(&["min", "gte"]).cloned(),
            max: settings.number(&["max", "lte"]).cloned(),
            gt: settings.number(&["gt"]).cloned(),
            lt: settings.number(&["lt"]).cloned(),
            integer_only: settings.boolean("integer_only"),
            multiple_of,
        }
    }
}

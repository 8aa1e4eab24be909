//! Reads the settings of a definition and reports their faults.

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::{Map, Number, Value};

use crate::diagnostics::{FaultList, Place};
use crate::json::{self, type_name};
use crate::pattern::{Pattern, PatternBudget};
use crate::uns;

/// The faults of a definition, and the budget for its regular expressions.
#[derive(Default)]
pub(super) struct DefinitionFaults {
    pub(super) faults: FaultList,
    pub(super) patterns: PatternBudget,
}

impl DefinitionFaults {
    pub(super) fn push(&mut self, fault: ErrorItem) {
        self.faults.push(fault);
    }
}

/// Reads the settings of a definition at a place. A setting of another type than the one asked for is a
/// fault, and is then read as if it were absent.
pub(super) struct SettingsReader<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) place: Place<'a>,
    pub(super) faults: &'a mut DefinitionFaults,
}

impl<'a> SettingsReader<'a> {
    /// The value under the first present spelling of a key. A second spelling is a fault.
    pub(super) fn get(&mut self, spellings: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let mut given = spellings.iter().filter_map(|key| Some((*key, self.map.get(*key)?)));
        let first = given.next();
        if let (Some((one, _)), Some((other, _))) = (first, given.next()) {
            self.refuse(other, format!("`{one}` and `{other}` are synonyms: give only one of them"));
        }
        first
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        match self.get(&[key]) {
            None => false,
            Some((_, Value::Bool(flag))) => *flag,
            Some((key, other)) => {
                self.wrong_type(key, "a boolean", other);
                false
            }
        }
    }

    pub(super) fn count(&mut self, key: &'static str) -> Option<u64> {
        let (key, value) = self.get(&[key])?;
        let count = value.as_number().and_then(json::non_negative_integer);
        if count.is_none() {
            self.wrong_type(key, "a non-negative integer", value);
        }
        count
    }

    pub(super) fn number(&mut self, spellings: &[&'static str]) -> Option<&'a Number> {
        match self.get(spellings)? {
            (_, Value::Number(number)) => Some(number),
            (key, other) => {
                self.wrong_type(key, "a number", other);
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        match self.get(&[key])? {
            (_, Value::String(text)) => Some(text),
            (key, other) => {
                self.wrong_type(key, "a string", other);
                None
            }
        }
    }

    /// Reads the regular expression under `pattern`.
    pub(super) fn pattern(&mut self) -> Option<Pattern> {
        const KEY: &str = "pattern";
        let text = self.text(KEY)?;
        let refused = match self.faults.patterns.read(text) {
            Ok(pattern) => return Some(pattern),
            Err(refused) => refused,
        };
        let place = Place::Key(&self.place, KEY);
        let item = fault(&place, refused.to_string());
        self.faults.push(match refused.limit() {
            None => item.with("rule", KEY),
            Some(limit) => item.with("rule", KEY).with("limit", limit),
        });
        None
    }

    pub(super) fn array(&mut self, spellings: &[&'static str]) -> Option<(&'static str, &'a [Value])> {
        match self.get(spellings)? {
            (key, Value::Array(items)) => Some((key, items)),
            (key, other) => {
                self.wrong_type(key, "an array", other);
                None
            }
        }
    }

    pub(super) fn object(&mut self, key: &'static str) -> Option<&'a Map<String, Value>> {
        match self.get(&[key])? {
            (_, Value::Object(map)) => Some(map),
            (key, other) => {
                self.wrong_type(key, "an object", other);
                None
            }
        }
    }

    /// Reads a class name or an array of them, without protocol.
    pub(super) fn classes(&mut self, spellings: &[&'static str]) -> Vec<String> {
        let Some((key, value)) = self.get(spellings) else { return Vec::new() };
        let names = match value {
            Value::Array(names) => names.as_slice(),
            one => std::slice::from_ref(one),
        };
        names.iter().filter_map(|name| self.class(key, name)).collect()
    }

    /// Reads a class name, without protocol.
    pub(super) fn class(&mut self, key: &str, name: &Value) -> Option<String> {
        match name.as_str().map(uns::parse) {
            None => {
                self.wrong_type(key, "a class name", name);
                None
            }
            Some(Ok(name)) => Some(name.to_owned()),
            Some(Err(fault)) => {
                self.refuse(key, fault.message().to_owned());
                None
            }
        }
    }

    /// Reports a fault of the setting `key`.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let place = Place::Key(&self.place, key);
        self.faults.push(fault(&place, message));
    }

    /// Reports that the setting `key` contradicts another one.
    pub(super) fn contradicts(&mut self, key: &str, message: &str) {
        let place = Place::Key(&self.place, key);
        self.faults.push(fault(&place, message).with("rule", key));
    }

    fn wrong_type(&mut self, key: &str, expected: &str, found: &Value) {
        let place = Place::Key(&self.place, key);
        let item = fault(&place, format!("`{key}`: expected {expected}"));
        self.faults.push(item.with("expected", expected).with("found", type_name(found)));
    }
}

/// A fault of a definition.
pub(super) fn fault(place: &Place<'_>, message: impl Into<String>) -> ErrorItem {
    place.with_pointer(ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", uns::CLASS))
}

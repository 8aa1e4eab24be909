//! Reads the settings of a definition and reports their faults.

use miko_rpc::{ErrorId, ErrorItem, MAX_REPORTED_FAULTS};
use serde_json::{Map, Number, Value};

use crate::diagnostics::{FaultList, Place};
use crate::json::{self, type_name};
use crate::pattern::{Pattern, PatternBudget};
use crate::uns;

/// The maximal total size of the settings that the sub-fields of hashes inherit in one definition, in bytes
/// of memory. Each sub-field counts all settings that it may inherit. Without this limit a short definition
/// could have an exponential number of fields, because sub-fields may inherit hashes with sub-fields.
const MAX_INHERITED_SIZE: usize = 16 << 20;

/// The maximal size of a [`Field`](super::field::Field) in memory, without the values that it points to.
pub(super) const FIELD_SIZE: usize = 256;

/// What all fields of a definition share while it is read: its faults, and the budgets for its regular
/// expressions and for inherited settings.
pub(super) struct ReadContext {
    pub(super) faults: FaultList,
    pub(super) patterns: PatternBudget,
    /// The size of the settings that sub-fields have inherited so far.
    inherited_size: usize,
    /// [`MAX_INHERITED_SIZE`], or `usize::MAX` for a stored definition.
    max_inherited_size: usize,
}

impl Default for ReadContext {
    fn default() -> Self {
        let (faults, patterns) = Default::default();
        Self { faults, patterns, inherited_size: 0, max_inherited_size: MAX_INHERITED_SIZE }
    }
}

impl ReadContext {
    /// No faults yet. Sub-fields inherit settings of any size.
    pub(super) fn without_limit() -> Self {
        Self { max_inherited_size: usize::MAX, ..Self::default() }
    }

    /// Adds a fault, unless the fault is listed already: all sub-fields that inherit a faulty setting report
    /// the same fault.
    pub(super) fn push_fault(&mut self, fault: ErrorItem) {
        // Once the list is full, faults are only counted. Comparing them would not pay, so a fault that is
        // reported again is counted again.
        if self.faults.len() >= MAX_REPORTED_FAULTS || !self.faults.listed().contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Adds the size of these settings once for each sub-field. Returns whether the sub-fields may inherit
    /// the settings: `false` beyond the limit. Only the first excess is reported, as a fault at `place`.
    pub(super) fn charge_inherited(
        &mut self,
        inherited: &[Settings<'_>],
        sub_field_count: usize,
        place: &Place<'_>,
    ) -> bool {
        if inherited.is_empty() || sub_field_count == 0 {
            return true;
        }
        let Some(remaining) = self.max_inherited_size.checked_sub(self.inherited_size) else { return false };
        let (mut size, max_size) = (0, remaining / sub_field_count);
        inherited.iter().for_each(|settings| settings.add_size(&mut size, max_size));
        if size > max_size {
            // Beyond the limit, so that later calls return `false` at once and do not report the excess
            // again.
            self.inherited_size = MAX_INHERITED_SIZE + 1;
            let message = format!(
                "the settings that hashes give to their sub-fields take more than {} MiB, counted once for \
                 each sub-field",
                MAX_INHERITED_SIZE >> 20
            );
            self.push_fault(fault(place, message).with("rule", "fields").with("limit", MAX_INHERITED_SIZE));
            return false;
        }
        self.inherited_size = self.inherited_size.saturating_add(size.saturating_mul(sub_field_count));
        true
    }
}

/// The settings at a place of a definition: of a field, of the elements of a field, or of the class.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    source: SettingsSource<'a>,
    pub(super) place: Place<'a>,
}

#[derive(Clone, Copy)]
enum SettingsSource<'a> {
    Object(&'a Map<String, Value>),
    /// The name of a type, which is short for an object with this `class`.
    TypeName(&'a Value),
}

impl<'a> Settings<'a> {
    pub(super) fn of_object(map: &'a Map<String, Value>, place: Place<'a>) -> Self {
        Self { source: SettingsSource::Object(map), place }
    }

    /// The settings of an element: an object, or the name of a type. `None` if the value is neither.
    pub(super) fn of_element(value: &'a Value, place: Place<'a>) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self::of_object(map, place)),
            Value::String(_) => Some(Self { source: SettingsSource::TypeName(value), place }),
            _ => None,
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        match self.source {
            SettingsSource::Object(map) => map.get(key),
            SettingsSource::TypeName(name) => (key == "class").then_some(name),
        }
    }

    /// The place of a setting. A type name has no keys, so its place is also that of its `class`.
    pub(super) fn place_of<'p>(&'p self, key: &'p str) -> Place<'p> {
        match self.source {
            SettingsSource::Object(_) => Place::Key(&self.place, key),
            SettingsSource::TypeName(_) => self.place,
        }
    }

    /// Adds the approximate size of the settings in memory to `size`. Stops once `size` exceeds `max`.
    fn add_size(&self, size: &mut usize, max: usize) {
        match self.source {
            SettingsSource::Object(map) => add_size_of_members(map, size, max),
            SettingsSource::TypeName(name) => add_size(name, size, max),
        }
    }
}

/// Adds the approximate size of a value in memory to `size`. An object counts at least as much as a field,
/// since it may define a field. Stops once `size` exceeds `max`.
fn add_size(value: &Value, size: &mut usize, max: usize) {
    *size += size_of::<Value>();
    match value {
        Value::String(text) => *size += text.len(),
        Value::Array(items) => {
            for item in items {
                if *size > max {
                    return;
                }
                add_size(item, size, max);
            }
        }
        Value::Object(map) => add_size_of_members(map, size, max),
        _ => {}
    }
}

fn add_size_of_members(map: &Map<String, Value>, size: &mut usize, max: usize) {
    *size += FIELD_SIZE;
    for (key, value) in map {
        if *size > max {
            return;
        }
        *size += key.len();
        add_size(value, size, max);
    }
}

/// Reads settings. Each method expects a type. If a setting has another type, the method reports a fault, and
/// returns what it returns for an absent setting.
pub(super) struct SettingsReader<'a> {
    /// The settings of the field, the element or the class that is read.
    pub(super) own: Settings<'a>,
    /// Of a sub-field of a hash: the settings in `default` and in `of` of the hash, in this order. They apply
    /// to keys that `own` lacks, and earlier ones take precedence. Empty for a class or an element: what a
    /// class inherits from its parents is not read here.
    pub(super) inherited: &'a [Settings<'a>],
    pub(super) context: &'a mut ReadContext,
}

impl<'a> SettingsReader<'a> {
    /// The settings that have `key`: those of the definition itself, or else the first inherited ones. `None`
    /// if none have it.
    fn holder(&self, key: &str) -> Option<Settings<'a>> {
        self.position(key).map(|position| self.at(position))
    }

    /// The settings that have `key`; those of the definition itself, if none have it.
    pub(super) fn holder_or_own(&self, key: &str) -> Settings<'a> {
        self.holder(key).unwrap_or(self.own)
    }

    /// The position of the settings that have `key`. `own` is at 0, and `inherited` follows.
    fn position(&self, key: &str) -> Option<usize> {
        (0..=self.inherited.len()).find(|&position| self.at(position).get(key).is_some())
    }

    fn at(&self, position: usize) -> Settings<'a> {
        position.checked_sub(1).map_or(self.own, |position| self.inherited[position])
    }

    /// The value of a setting, own or inherited.
    pub(super) fn find(&self, key: &str) -> Option<&'a Value> {
        self.holder(key)?.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Whether the definition itself has a setting.
    pub(super) fn has_own(&self, key: &str) -> bool {
        self.position(key) == Some(0)
    }

    /// The value under the first present spelling of a key, with this spelling. A second present spelling is
    /// a fault.
    pub(super) fn get(&mut self, spellings: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let mut given = spellings.iter().filter_map(|key| Some((*key, self.find(key)?)));
        let first = given.next();
        let second = given.next();
        if let (Some((one, _)), Some((other, _))) = (first, second) {
            let message = format!("`{one}` and `{other}` are synonyms: give only one of them");
            self.refuse_combination(other, one, message);
        }
        first
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        match self.get(&[key]) {
            None => false,
            Some((_, Value::Bool(flag))) => *flag,
            Some((key, other)) => {
                self.refuse_type(key, "a boolean", other);
                false
            }
        }
    }

    pub(super) fn count(&mut self, key: &'static str) -> Option<u64> {
        let (key, value) = self.get(&[key])?;
        let count = value.as_number().and_then(json::non_negative_integer);
        if count.is_none() {
            self.refuse_type(key, "a non-negative integer", value);
        }
        count
    }

    pub(super) fn number(&mut self, spellings: &[&'static str]) -> Option<(&'static str, &'a Number)> {
        match self.get(spellings)? {
            (key, Value::Number(number)) => Some((key, number)),
            (key, other) => {
                self.refuse_type(key, "a number", other);
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        match self.get(&[key])? {
            (_, Value::String(text)) => Some(text),
            (key, other) => {
                self.refuse_type(key, "a string", other);
                None
            }
        }
    }

    /// Reads the regular expression under `pattern`.
    pub(super) fn pattern(&mut self) -> Option<Pattern> {
        const KEY: &str = "pattern";
        let text = self.text(KEY)?;
        let refused = match self.context.patterns.read(text) {
            Ok(pattern) => return Some(pattern),
            Err(refused) => refused,
        };
        let item = self.fault_of(KEY, refused.to_string());
        self.context.push_fault(match refused.limit() {
            None => item.with("rule", KEY),
            Some(limit) => item.with("rule", KEY).with("limit", limit),
        });
        None
    }

    pub(super) fn array(&mut self, spellings: &[&'static str]) -> Option<(&'static str, &'a [Value])> {
        match self.get(spellings)? {
            (key, Value::Array(items)) => Some((key, items)),
            (key, other) => {
                self.refuse_type(key, "an array", other);
                None
            }
        }
    }

    pub(super) fn object(&mut self, key: &'static str) -> Option<&'a Map<String, Value>> {
        match self.get(&[key])? {
            (_, Value::Object(map)) => Some(map),
            (key, other) => {
                self.refuse_type(key, "an object", other);
                None
            }
        }
    }

    /// Reads a class name or an array of class names. Returns them without protocol, and without invalid
    /// names.
    pub(super) fn classes(&mut self, spellings: &[&'static str]) -> Vec<String> {
        let Some((key, value)) = self.get(spellings) else { return Vec::new() };
        let names = match value {
            Value::Array(names) => names.as_slice(),
            one => std::slice::from_ref(one),
        };
        names.iter().filter_map(|name| self.class(key, name)).collect()
    }

    /// Reads a class name, and returns it without protocol.
    pub(super) fn class(&mut self, key: &str, name: &Value) -> Option<String> {
        match name.as_str().map(uns::parse) {
            None => {
                self.refuse_type(key, "a class name", name);
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
        let item = self.fault_of(key, message);
        self.context.push_fault(item);
    }

    /// Reports that the settings `key` and `other` do not fit together.
    pub(super) fn refuse_combination(&mut self, key: &str, other: &str, message: impl Into<String>) {
        let item = self.fault_of_combination(key, other, message);
        self.context.push_fault(item);
    }

    fn refuse_type(&mut self, key: &str, expected: &str, found: &Value) {
        let item = self.fault_of(key, format!("`{key}`: expected {expected}"));
        self.context.push_fault(item.with("expected", expected).with("found", type_name(found)));
    }

    /// A fault of the setting `key`, at the place of the setting. A missing setting has the place that it
    /// would have in the definition itself.
    fn fault_of(&self, key: &str, message: impl Into<String>) -> ErrorItem {
        fault(&self.holder_or_own(key).place_of(key), message)
    }

    /// A fault of `key` together with `other`, at the place of `key`. If `key` is inherited, and `other` is
    /// in other settings than `key`, the place is that of the definition, which combines both settings.
    fn fault_of_combination(&self, key: &str, other: &str, message: impl Into<String>) -> ErrorItem {
        let (position, other_position) = (self.position(key), self.position(other));
        if position == Some(0) || other_position.is_none() || other_position == position {
            self.fault_of(key, message)
        } else {
            fault(&self.own.place, message)
        }
    }
}

/// A fault of a definition.
pub(super) fn fault(place: &Place<'_>, message: impl Into<String>) -> ErrorItem {
    place.with_pointer(ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", uns::CLASS))
}

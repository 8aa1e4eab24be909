//! Calls of methods by name with JSON params, as HTTP and `miko call` make them.

use std::fmt;

use miko_surface::Method;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::bounds::Wire;
use crate::codec;
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::fault_list::FaultList;
use crate::json::{TextFault, type_name};
use crate::json_text::JsonText;
use crate::travel::{Missing, NIL_LEVEL, Nil};

/// The reason why a call by name returned no result.
#[derive(Debug)]
pub enum DispatchError {
    /// The call was not run, since the method does not exist or the params do not fit it; or its result has
    /// no JSON form, which is `internal`.
    Request(Error),
    /// The method itself failed; its error as JSON.
    Failed(Box<RawValue>),
}

impl DispatchError {
    /// The error as JSON: a list of items, or the JSON form of the interface's own error type.
    pub fn to_json(&self) -> Box<RawValue> {
        match self {
            Self::Request(error) => to_raw_value(error).unwrap_or_default(),
            Self::Failed(error) => error.clone(),
        }
    }
}

/// Where the result of a call with JSON params is put, once there is one.
pub type JsonResult = Option<Result<JsonText, DispatchError>>;

impl From<Error> for DispatchError {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

impl fmt::Display for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Failed(error) => error.get().fmt(f),
        }
    }
}

impl std::error::Error for DispatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => error.source(),
            Self::Failed(_) => None,
        }
    }
}

/// The params of one call, deserialized one by one. Faults are collected.
pub(crate) struct Params {
    method: &'static Method,
    values: Vec<Option<Given>>,
    faults: FaultList,
}

/// A param as it was given.
enum Given {
    Value(Value),
    /// A nil inside so many options: its name has `?` at its end, its value is their number.
    Nil(u32),
}

impl Params {
    /// Orders `params` by the parameters of the method. They are an object by name, an array by position, or
    /// `null` for none.
    pub(crate) fn new(method: &'static Method, params: Value) -> Self {
        let mut sorted = Self {
            method,
            values: method.params.iter().map(|_| None).collect(),
            faults: FaultList::default(),
        };
        match params {
            Value::Null => {}
            Value::Object(named) => sorted.sort_named(named),
            Value::Array(positional) => sorted.sort_positional(positional),
            other => sorted.fault("params are an object by name or an array by position", |item| {
                item.with("found", type_name(&other))
            }),
        }
        sorted
    }

    /// Deserializes all params. A missing param is `None` where its type is an option.
    ///
    /// # Errors
    /// `invalid_request`, an item per fault, each with the signature of the method.
    pub(crate) fn decode<A: Arguments>(mut self) -> Result<A> {
        let mut slots = A::Slots::default();
        for (index, param) in self.method.params.iter().enumerate() {
            match self.values[index].take() {
                Some(given) => {
                    let read = match given {
                        Given::Value(value) => read_value::<A>(&mut slots, index, value),
                        Given::Nil(level) => Nil::<serde_json::Error>::received(level)
                            .and_then(|nil| A::read(&mut slots, index, nil)),
                    };
                    if let Err(fault) = read {
                        self.fault(&format!("the param `{}` does not fit: {fault}", param.name), |item| {
                            item.with("field", &*param.name).with("expected", &*param.ty)
                        });
                    }
                }
                None => {
                    if A::read(&mut slots, index, Missing::<serde_json::Error>::new(&param.name)).is_err() {
                        self.fault(&format!("the param `{}` is missing", param.name), |item| {
                            item.with("missing_fields", vec![&*param.name]).with("expected", &*param.ty)
                        });
                    }
                }
            }
        }
        let method = self.method;
        self.faults.check().map_err(|error| error.with_all("method", method.to_string()))?;
        A::complete(slots).ok_or_else(|| Error::new(ErrorId::INTERNAL, "a param was read and is missing"))
    }

    fn sort_named(&mut self, named: Map<String, Value>) {
        let index_of = |name: &str| self.method.params.iter().position(|param| param.name == name);
        for (name, value) in named {
            let nil = name.strip_suffix(NIL_LEVEL).map(index_of).zip(level_of(&value));
            match (index_of(&name), nil) {
                (Some(index), _) => self.give(index, Given::Value(value)),
                (None, Some((Some(index), level))) => self.give(index, Given::Nil(level)),
                // A client may have more params that are options. Without a value they say nothing.
                (None, Some((None, 0))) => {}
                (None, _) => self.fault(&format!("the method has no param `{name}`"), |item| {
                    item.with("unknown_fields", vec![name])
                }),
            }
        }
    }

    fn give(&mut self, index: usize, given: Given) {
        if self.values[index].replace(given).is_some() {
            let name = &*self.method.params[index].name;
            let message =
                format!("the param `{name}` is given twice: as `{name}` and as `{name}{NIL_LEVEL}`");
            self.fault(&message, |item| item.with("field", name));
        }
    }

    fn sort_positional(&mut self, positional: Vec<Value>) {
        let (found, expected) = (positional.len(), self.values.len());
        if found > expected {
            self.fault("there are more params than the method has", |item| {
                item.with("expected", expected).with("found", found)
            });
        }
        for (slot, value) in self.values.iter_mut().zip(positional) {
            *slot = Some(Given::Value(value));
        }
    }

    fn fault(&mut self, message: &str, details: impl FnOnce(ErrorItem) -> ErrorItem) {
        self.faults.push(details(ErrorItem::new(ErrorId::INVALID_REQUEST, message)));
    }
}

/// The result of a method as JSON of at most `limit` bytes.
///
/// # Errors
/// [`DispatchError::Failed`] with the method's own error; `internal`, if the result cannot be represented in
/// JSON: NaN, infinity, an integer beyond 64 bits, a map whose keys are no strings; `request-too-large`.
pub(crate) fn render<T: Wire, E: Wire>(
    method: &str,
    result: &Result<T, E>,
    limit: usize,
) -> Result<JsonText, DispatchError> {
    let written = match result {
        Ok(value) => JsonText::of_within(value, limit),
        Err(error) => JsonText::of_within(error, limit),
    };
    let text = written.map_err(|fault| match fault {
        TextFault::TooLong => codec::answer_too_large(limit).with("method", method),
        TextFault::Unserializable(fault) => unrepresentable(method, fault),
    })?;
    match result {
        Ok(_) => Ok(text),
        Err(_) => {
            let error = text.into_raw().map_err(|fault| unrepresentable(method, fault))?;
            Err(DispatchError::Failed(error))
        }
    }
}

fn unrepresentable(method: &str, fault: serde_json::Error) -> Error {
    Error::caused_by(ErrorId::INTERNAL, "the result cannot be represented in JSON", fault)
        .with("method", method)
}

/// What a served call has written as its result.
///
/// # Errors
/// Those of the call; `internal` if it has written nothing.
pub fn written(result: JsonResult, method: &str) -> Result<JsonText, DispatchError> {
    result.unwrap_or_else(|| {
        let message = "the call was served without a result";
        Err(Error::new(ErrorId::INTERNAL, message).with("method", method).into())
    })
}

/// As [`written`], as `serde_json` passes it on.
///
/// # Errors
/// As [`written`]; `internal` if a type has serialized other text as JSON.
pub(crate) fn written_raw(result: JsonResult, method: &str) -> Result<Box<RawValue>, DispatchError> {
    written(result, method)?.into_raw().map_err(|fault| unrepresentable(method, fault).into())
}

/// How many options are around a nil, as a client says.
fn level_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|level| level.try_into().ok())
}

/// Reads a param. A `null` for an `Option<Option<T>>` or an `Option<Value>` is `Some(None)` or `Some(Null)`;
/// only a missing param is the outer `None`.
fn read_value<A: Arguments>(slots: &mut A::Slots, index: usize, value: Value) -> serde_json::Result<()> {
    if value.is_null() && A::read(slots, index, Nil::<serde_json::Error>::inside(1)).is_ok() {
        return Ok(());
    }
    A::read(slots, index, value)
}

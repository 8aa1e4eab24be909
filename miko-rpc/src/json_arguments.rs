//! The arguments of a call as JSON, as a proxy sends them over a transport that speaks JSON.

use miko_surface::Method;
use serde::Serialize;

use crate::error::{Error, ErrorId, Result};
use crate::travel::NIL_LEVEL;
use crate::{json, travel};

/// Collects the arguments of a call: a JSON object by the names of the parameters.
///
/// A nil is sent as the number of the options around it, under the name with `?` at its end: JSON has one
/// `null` for `None` and `Some(None)`.
pub struct JsonArguments {
    method: &'static Method,
    text: String,
}

impl JsonArguments {
    /// No arguments yet.
    pub(crate) fn new(method: &'static Method) -> Self {
        Self { method, text: String::from("{") }
    }

    /// Adds an argument.
    ///
    /// # Errors
    /// `invalid_request`, if JSON has no form of it: NaN, infinity, an integer beyond 64 bits, a map whose
    /// keys are no strings.
    pub(crate) fn put(&mut self, name: &str, argument: &(impl Serialize + ?Sized)) -> Result<()> {
        let unsayable = |fault: serde_json::Error| {
            let message = format!("the argument `{name}` cannot be represented in JSON, which HTTP carries");
            Error::caused_by(ErrorId::INVALID_REQUEST, message, fault)
                .with("field", name)
                .with("method", &*self.method.name)
        };
        let value = json::to_text(argument).map_err(unsayable)?;
        if self.text.len() > 1 {
            self.text.push(',');
        }
        // The names of parameters are identifiers, and need no escapes.
        if value == "null" {
            let level = travel::nil_level(argument);
            self.text.push_str(&format!("\"{name}{NIL_LEVEL}\":{level}"));
        } else {
            self.text.push_str(&format!("\"{name}\":"));
            self.text.push_str(&value);
        }
        Ok(())
    }

    /// The object as text.
    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

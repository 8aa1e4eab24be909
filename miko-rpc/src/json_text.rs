//! Text that is surely JSON.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json;

/// The JSON text of one value, as it was written: it is sent without being read again.
///
/// ```
/// let text = miko_rpc::JsonText::of(&[1, 2])?;
/// assert_eq!(text.get(), "[1,2]");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text of a value.
    ///
    /// # Errors
    /// Those of [`json::to_text`].
    pub fn of(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        json::to_text(value).map(Self)
    }

    /// As [`of`](Self::of), of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`of`](Self::of), and a text that is too long.
    #[cfg(feature = "interface")]
    pub(crate) fn of_within(
        value: &(impl Serialize + ?Sized),
        limit: usize,
    ) -> Result<Self, json::TextFault> {
        json::to_text_within(value, limit).map(Self)
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// The text for `serde_json`, which reads it again.
    ///
    /// # Errors
    /// None, unless a type has serialized other text as JSON.
    pub fn into_raw(self) -> serde_json::Result<Box<RawValue>> {
        RawValue::from_string(self.0)
    }
}

impl From<JsonText> for String {
    fn from(text: JsonText) -> Self {
        text.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

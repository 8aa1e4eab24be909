//! Errors and warnings.
//!
//! A request can have several faults, so an [`Error`] is a list of [`ErrorItem`]s that is never empty. An
//! item has an id, which programs compare, and details: the place, the violated rule, the found and the
//! allowed value. It has the same shape in Rust, on the wire and in JSON (`{"id", "details"}`).

mod ids;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[cfg(feature = "interface")]
pub use ids::ERROR_MEANINGS;
pub use ids::{ERROR_IDS, ErrorDoc, ErrorId};

/// `Result` with the [`Error`] of Mikobase.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request failed: one [`ErrorItem`] or more, of which the engines list at most
/// [`MAX_REPORTED_FAULTS`](crate::MAX_REPORTED_FAULTS).
///
/// ```
/// use miko_rpc::{Error, ErrorId};
///
/// let error = Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", "42");
/// assert!(error.is(ErrorId::RECORD_NOT_FOUND));
/// assert_eq!(error.to_string(), r#"record_not_found: no record has this pk (pk: "42")"#);
/// ```
///
/// Where it comes from another error, such as one of the file system, [`source`](std::error::Error::source)
/// gives that error in the process in which it arose. It is not sent to other processes.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Error(
    /// Boxed, so that results are small: they are passed on from function to function.
    Box<ErrorContent>,
);

#[derive(Clone, Serialize)]
#[serde(transparent)]
struct ErrorContent {
    items: Vec<ErrorItem>,
    #[serde(skip)]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with one item.
    pub fn new(id: ErrorId, message: impl Into<String>) -> Self {
        ErrorItem::new(id, message).into()
    }

    /// An error with one item, which arose from `cause`. Its message is `what`, a colon and that of the
    /// cause.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use miko_rpc::{Error, ErrorId};
    ///
    /// let cause = std::io::Error::from_raw_os_error(28);
    /// let error = Error::caused_by(ErrorId::STORAGE_FULL, "the file cannot be written", cause);
    /// let cause: &std::io::Error = error.source().unwrap().downcast_ref().unwrap();
    /// assert_eq!(cause.raw_os_error(), Some(28));
    /// ```
    pub fn caused_by(
        id: ErrorId,
        what: impl fmt::Display,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let cause = cause.into();
        Self::new(id, format!("{what}: {cause}")).with_source(cause)
    }

    /// Adds the error that this one arose from.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// All of `items` as one error; `Ok` if there are none.
    ///
    /// # Errors
    /// Whenever `items` is not empty.
    pub fn check(items: Vec<ErrorItem>) -> Result<()> {
        if items.is_empty() { Ok(()) } else { Err(Self::with_items(items)) }
    }

    /// An error of `items`, which must not be empty.
    pub fn of(items: Vec<ErrorItem>) -> Self {
        debug_assert!(!items.is_empty(), "an error says what was wrong");
        Self::with_items(items)
    }

    fn with_items(items: Vec<ErrorItem>) -> Self {
        Self(Box::new(ErrorContent { items, source: None }))
    }

    /// The items, to be combined with others.
    pub fn into_items(self) -> Vec<ErrorItem> {
        self.0.items
    }

    /// Adds a detail to the first item, which is the only one of an error made by [`Error::new`].
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Some(first) = self.0.items.first_mut() {
            first.details.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds a detail to every item.
    #[must_use]
    pub fn with_all(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        for item in &mut self.0.items {
            item.details.insert(key.to_owned(), value.clone());
        }
        self
    }

    /// The error as JSON text, which clients of this package read.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| self.to_string())
    }

    /// The items, at least one.
    pub fn items(&self) -> &[ErrorItem] {
        &self.0.items
    }

    /// The id of the first item.
    pub fn id(&self) -> &ErrorId {
        &self.0.items[0].id
    }

    /// Whether any item has this id.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "ids are named constants: `error.is(ErrorId::CONFLICT)`"
    )]
    pub fn is(&self, id: ErrorId) -> bool {
        self.0.items.iter().any(|item| item.id == id)
    }

    /// Whether trying again can help: any item says so, by the detail `retryable`.
    ///
    /// ```
    /// use miko_rpc::{Error, ErrorId};
    ///
    /// let error = Error::new(ErrorId::CONFLICT, "the record has changed").with("retryable", true);
    /// assert!(error.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        self.0.items.iter().any(|item| item.details.get("retryable").is_some_and(|flag| flag == true))
    }
}

impl From<ErrorItem> for Error {
    fn from(item: ErrorItem) -> Self {
        Self::with_items(vec![item])
    }
}

/// Refuses an empty list: an error always gives a reason.
impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let items = Vec::<ErrorItem>::deserialize(deserializer)?;
        if items.is_empty() {
            return Err(serde::de::Error::custom("an error has at least one item"));
        }
        Ok(Self::with_items(items))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.items.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

/// As `Display`, with one item per line: `Debug` is the form in which an error returned from `main` is
/// printed.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.items.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Errors are equal if their items are.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.0.items == other.0.items
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// One fault or warning: an id for programs, and details for people who correct the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorItem {
    /// The kind of the fault.
    pub id: ErrorId,
    /// The place, the violated rule, the found and the allowed value. `message` is a sentence for people.
    #[serde(default, deserialize_with = "crate::json::reader::object")]
    pub details: Map<String, Value>,
}

/// A finding about a request that did not prevent its success.
pub type Warning = ErrorItem;

impl ErrorItem {
    /// An item with the detail `message`, a sentence for people.
    pub fn new(id: ErrorId, message: impl Into<String>) -> Self {
        let mut details = Map::new();
        details.insert("message".to_owned(), Value::String(message.into()));
        Self { id, details }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// The detail `message`; empty if there is none.
    pub fn message(&self) -> &str {
        self.details.get("message").and_then(Value::as_str).unwrap_or_default()
    }
}

impl fmt::Display for ErrorItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        let mut others = self.details.iter().filter(|(key, _)| *key != "message").peekable();
        if others.peek().is_none() {
            return Ok(());
        }
        f.write_str(" (")?;
        for (i, (key, value)) in others.enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{key}: {value}")?;
        }
        f.write_str(")")
    }
}

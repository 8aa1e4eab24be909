//! What the types of a remote method must be, with messages that say what to write.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A result that can carry a transport error: the return type of every remote method.
///
/// It is implemented for every `Result` whose error type implements `From<Error>`.
#[diagnostic::on_unimplemented(
    message = "a remote method returns a `Result` whose error type can be made from `mikobase::Error`",
    label = "a call can fail in transport, and `{Self}` cannot represent that",
    note = "return `mikobase::Result<T>`, or implement `From<mikobase::Error>` for your error type"
)]
pub trait Fallible: 'static {
    /// The value of a successful call.
    type Value;
    /// The error of a failed call.
    type Error;

    /// The result of a call that failed with `error` before or after the method ran.
    fn failed(error: Error) -> Self;

    /// Converts into a `Result`.
    fn into_result(self) -> Result<Self::Value, Self::Error>;

    /// Converts from a `Result`.
    fn from_result(result: Result<Self::Value, Self::Error>) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: 'static, E: From<Error> + 'static> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;

    fn failed(error: Error) -> Self {
        Err(error.into())
    }

    fn into_result(self) -> Self {
        self
    }

    fn from_result(result: Self) -> Self {
        result
    }
}

/// A value that can be sent between processes: the type of every argument and result of a remote method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent between processes",
    label = "this type must implement `Serialize` and `DeserializeOwned`, be `Send` and borrow nothing",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or pass something that has them"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

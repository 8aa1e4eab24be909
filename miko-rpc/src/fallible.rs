//! What a remote method may return.

use crate::answer::{discard, read_answer};
use crate::bounds::Wire;
use crate::error::{Error, ErrorId};
use crate::later::Later;
use crate::transport::{CallTransport, OutgoingCall};

/// A result that can carry a transport error: the return type of every remote method.
///
/// It is implemented for every `Result` whose error type implements `From<Error>`, and for every [`Later`].
#[diagnostic::on_unimplemented(
    message = "a remote method returns a `Result` whose error type can be made from `mikobase::Error`",
    label = "a call can fail in transport, and `{Self}` cannot represent that",
    note = "return `mikobase::Result<T>`, or implement `From<mikobase::Error>` for your error type"
)]
pub trait Fallible: Sized + 'static {
    /// The value of a successful call.
    type Value: 'static;
    /// The error of a failed call.
    type Error: From<Error> + 'static;

    /// Converts from a `Result`.
    fn from_result(result: Result<Self::Value, Self::Error>) -> Self;

    /// The result, if it is there, or what it will come from.
    fn outcome(self) -> Outcome<Self::Value, Self::Error>;

    /// The error, if the result is there and is one.
    fn failure(&self) -> Option<&Self::Error>;

    /// Makes a call, and waits for its answer, or returns what it will come from.
    fn call(transport: &dyn CallTransport, call: &OutgoingCall<'_>) -> Self
    where
        Self::Value: Wire,
        Self::Error: Wire;

    /// The result of a call that failed with `error` before or after the method ran.
    fn failed(error: Error) -> Self {
        Self::from_result(Err(error.into()))
    }
}

/// What a method returned.
pub enum Outcome<T, E> {
    /// A result.
    Now(Result<T, E>),
    /// What the result will come from.
    Later(Later<T, E>),
}

#[diagnostic::do_not_recommend]
impl<T: 'static, E: From<Error> + 'static> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;

    fn from_result(result: Self) -> Self {
        result
    }

    fn outcome(self) -> Outcome<T, E> {
        Outcome::Now(self)
    }

    fn failure(&self) -> Option<&E> {
        self.as_ref().err()
    }

    fn call(transport: &dyn CallTransport, call: &OutgoingCall<'_>) -> Self
    where
        T: Wire,
        E: Wire,
    {
        let mut returned = None;
        let called = transport.call(call, &mut |answer| {
            returned = Some(read_answer(call.method, answer)?);
            Ok(())
        });
        match (called, returned) {
            (Ok(()), Some(returned)) => returned,
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => {
                Err(Error::new(ErrorId::INTERNAL, "the transport returned without an answer").into())
            }
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: 'static, E: From<Error> + 'static> Fallible for Later<T, E> {
    type Value = T;
    type Error = E;

    fn from_result(result: Result<T, E>) -> Self {
        result.into()
    }

    fn outcome(self) -> Outcome<T, E> {
        Outcome::Later(self)
    }

    fn failure(&self) -> Option<&E> {
        None
    }

    fn call(transport: &dyn CallTransport, call: &OutgoingCall<'_>) -> Self
    where
        T: Wire,
        E: Wire,
    {
        match transport.begin(call) {
            Ok(answer) => Self::elsewhere(answer, call.method),
            Err(error) => Self::failed(error),
        }
    }
}

/// What is done with an answer of a method that returns an `R`, after its caller gave up.
pub(crate) const fn discard_of<R: Fallible<Value: Wire, Error: Wire>>() -> crate::transport::Discard {
    discard::<R::Value, R::Error>
}

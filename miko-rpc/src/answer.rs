//! The answer to a call, as a client reads it.

use miko_surface::Method;

use crate::bounds::Wire;
use crate::codec;
use crate::error::{Error, ErrorId, Result};
#[cfg(feature = "json-transport")]
use crate::json_answer::JsonAnswer;
use crate::result;

/// Reads the answer to a call of `method`.
///
/// # Errors
/// `internal`, for the answer of another method, which only a faulty server sends, and for one that cannot be
/// decoded.
pub(crate) fn read_answer<T: Wire, E: Wire>(method: &Method, answer: &[u8]) -> Result<Result<T, E>> {
    match codec::value_of_variant(answer, &method.name) {
        Some(returned) => result::read(returned),
        None => read_other(method, answer),
    }
}

/// Reads an answer in JSON.
///
/// # Errors
/// As [`read_answer`].
#[cold]
fn read_other<T: Wire, E: Wire>(method: &Method, answer: &[u8]) -> Result<Result<T, E>> {
    #[cfg(feature = "json-transport")]
    if let Some(answer) = JsonAnswer::of_bytes(answer) {
        return answer.read();
    }
    let _ = answer;
    Err(Error::new(ErrorId::INTERNAL, "the server answered with the response of another method")
        .with("method", &*method.name))
}

/// Drops what an answer carries. One that cannot be decoded carries nothing.
pub(crate) fn discard<T: Wire, E: Wire>(method: &'static Method, answer: &[u8]) {
    drop(read_answer::<T, E>(method, answer));
}

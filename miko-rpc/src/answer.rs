//! The answer to a call, as a client reads it.

use miko_surface::Method;

use crate::bounds::Wire;
use crate::codec;
use crate::error::{Error, ErrorId, Result};
use crate::result;

/// Reads the answer to a call of `method`.
///
/// # Errors
/// `internal`, for the answer of another method, which only a faulty server sends, and for one that cannot be
/// decoded.
pub(crate) fn read_answer<T: Wire, E: Wire>(method: &Method, answer: &[u8]) -> Result<Result<T, E>> {
    match codec::value_of_variant(answer, &method.name) {
        Some(returned) => result::read(returned),
        None => Err(Error::new(ErrorId::INTERNAL, "the server answered with the response of another method")
            .with("method", &*method.name)),
    }
}

/// Drops what an answer carries. One that cannot be decoded carries nothing.
pub(crate) fn discard<T: Wire, E: Wire>(method: &'static Method, answer: &[u8]) {
    drop(read_answer::<T, E>(method, answer));
}

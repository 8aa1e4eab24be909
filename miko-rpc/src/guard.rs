//! Catches panics of methods, so that the server survives them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorId};
use crate::fallible::Fallible;
use crate::panics::panic_message;

/// Runs a method. A panic becomes the method's error, `internal` with the panic's message.
///
/// The panic may leave the implementation in an inconsistent state; later calls have to cope with it. The
/// server and the calls of other clients are not affected.
pub fn guard<T: Fallible>(method: &str, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        T::failed(
            Error::new(ErrorId::INTERNAL, format!("the method panicked: {}", panic_message(&*panic)))
                .with("method", method),
        )
    })
}

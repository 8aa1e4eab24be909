//! Keeping a server alive when an implementation panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Fallible;
use crate::error::{Error, ErrorId};

/// Runs a method; a panic inside becomes its error, `internal` with the panic's message.
///
/// The implementation may be left in a state that its author did not foresee. That is a matter between the author
/// and the next call; the server and everybody else's calls go on.
pub fn guard<T: Fallible>(method: &str, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        T::failed(
            Error::new(ErrorId::INTERNAL, format!("the method panicked: {}", panic_message(&*panic)))
                .with("method", method),
        )
    })
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

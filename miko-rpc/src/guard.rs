//! Catches panics of methods and of values that are dropped, so that the server survives them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorId};
use crate::fallible::Fallible;

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

/// The message of a panic.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Drops a value whose `Drop` may be code of a user.
///
/// # Errors
/// The message of its panic.
pub fn drop_guarded<T>(value: T) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(|panic| panic_message(&*panic).to_owned())
}

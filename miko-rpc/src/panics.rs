//! Panics of code of a user: their messages, and those of values that are dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

//! Refusing calls of a thread that would wait for the thread itself.
//!
//! A thread that holds something in a server, such as a transaction, may call the server past it. If the call
//! waits for what the thread holds, it would wait for itself.
//!
//! [`Remote::check_calls_beside`](crate::Remote::check_calls_beside) begins it.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crate::codec::{encode, split_variant};
use crate::error::Result;
use crate::transport::{OutgoingCall, Transport};

thread_local! {
    static REFUSALS: RefCell<Vec<Refusal>> = const { RefCell::new(Vec::new()) };
}

struct Refusal {
    /// The socket of the server.
    server: PathBuf,
    check: Check,
}

/// Refuses a call by its method and its encoded arguments, if it would wait.
pub(crate) type Check = fn(&miko_surface::Method, &[u8]) -> Result<()>;

/// While it exists, calls of this thread are checked. It stays in its thread.
#[must_use = "calls are checked until it is dropped"]
pub struct CheckedCalls {
    is_elsewhere: bool,
    stays_in_thread: PhantomData<*const ()>,
}

impl CheckedCalls {
    /// Checks the blocking calls of this thread to the server with this socket, but for calls on objects.
    /// Without a server nothing is checked.
    pub(crate) fn to(server: Option<&Path>, check: Check) -> Self {
        let is_elsewhere = server.is_some();
        if let Some(server) = server {
            REFUSALS.with_borrow_mut(|refusals| refusals.push(Refusal { server: server.to_owned(), check }));
        }
        Self { is_elsewhere, stays_in_thread: PhantomData }
    }
}

impl Drop for CheckedCalls {
    fn drop(&mut self) {
        if self.is_elsewhere {
            REFUSALS.with_borrow_mut(|refusals| drop(refusals.pop()));
        }
    }
}

/// Refuses a call that would wait for this thread.
pub(crate) fn check(transport: &dyn Transport, call: &OutgoingCall<'_>) -> Result<()> {
    REFUSALS.with_borrow(|refusals| {
        if refusals.is_empty() {
            return Ok(());
        }
        let Some(server) = transport.server().filter(|_| !transport.is_to_object()) else { return Ok(()) };
        refusals.iter().filter(|refusal| refusal.server == server).try_for_each(|refusal| {
            let mut message = Vec::new();
            // What cannot be encoded is refused where it is sent.
            let encoded = encode(&mut message, usize::MAX, |encoder| call.request.write(encoder));
            if encoded.is_err() {
                return Ok(());
            }
            let (_, arguments) = split_variant(&message).unwrap_or_default();
            (refusal.check)(call.method, arguments)
        })
    })
}

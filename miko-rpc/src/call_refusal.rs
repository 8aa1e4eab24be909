//! Refusing calls of a thread that would wait for the thread itself.
//!
//! A thread that holds something in a server, such as a transaction, may call the server past it. If the call
//! waits for what the thread holds, it would wait for itself.
//!
//! [`Remote::check_calls_beside`](crate::Remote::check_calls_beside) begins it.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use miko_surface::Method;

use crate::codec::{encode, split_variant};
use crate::error::Result;
use crate::transport::{CallTransport, OutgoingCall};

thread_local! {
    static CHECKS: RefCell<Vec<Check>> = const { RefCell::new(Vec::new()) };
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

struct Check {
    id: u64,
    /// The socket of the server whose calls it checks.
    server: PathBuf,
    checker: Rc<dyn CallChecker>,
}

/// Decides on the calls of its thread to a server.
pub trait CallChecker {
    /// Refuses a call to the interface of the server, if it would wait. `arguments` are encoded.
    ///
    /// # Errors
    /// The reason why it is refused.
    fn check(&self, method: &Method, arguments: &[u8]) -> Result<()>;

    /// Refuses a call on an object of the server, if it would wait.
    ///
    /// # Errors
    /// The reason why it is refused.
    fn check_object_call(&self, method: &Method) -> Result<()> {
        let _ = method;
        Ok(())
    }

    /// Is told of a call on an object of the server that no checker has refused. Of several checkers the one
    /// that was added last is told.
    fn observe_object_call(&self, method: &Method) {
        let _ = method;
    }
}

/// While it exists, calls of this thread are checked. It stays in its thread.
#[must_use = "calls are checked until it is dropped"]
pub struct CheckedCalls {
    /// `None` if nothing is checked.
    id: Option<u64>,
    stays_in_thread: PhantomData<*const ()>,
}

impl CheckedCalls {
    /// Checks the blocking calls of this thread to the server with this socket. Without a server nothing is
    /// checked.
    pub(crate) fn to(server: Option<&Path>, checker: Rc<dyn CallChecker>) -> Self {
        let id = server.map(|server| {
            let id = LAST_ID.get() + 1;
            LAST_ID.set(id);
            CHECKS.with_borrow_mut(|checks| checks.push(Check { id, server: server.to_owned(), checker }));
            id
        });
        Self { id, stays_in_thread: PhantomData }
    }
}

impl Drop for CheckedCalls {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            CHECKS.with_borrow_mut(|checks| checks.retain(|check| check.id != id));
        }
    }
}

/// Refuses a call that would wait for this thread.
pub(crate) fn check(transport: &dyn CallTransport, call: &OutgoingCall<'_>) -> Result<()> {
    if CHECKS.with_borrow(Vec::is_empty) {
        return Ok(());
    }
    let Some(server) = transport.server() else { return Ok(()) };
    // Called without the list: encoding a request runs code of its types.
    let checkers: Vec<Rc<dyn CallChecker>> = CHECKS.with_borrow(|checks| {
        checks.iter().filter(|check| check.server == server).map(|check| Rc::clone(&check.checker)).collect()
    });
    if transport.is_to_object() {
        checkers.iter().try_for_each(|checker| checker.check_object_call(call.method))?;
        checkers.last().inspect(|checker| checker.observe_object_call(call.method));
        return Ok(());
    }
    let mut message = Vec::new();
    if encode(&mut message, usize::MAX, |encoder| call.request.write(encoder)).is_err() {
        // It is refused where it is sent.
        return Ok(());
    }
    let (_, arguments) = split_variant(&message).unwrap_or_default();
    checkers.iter().try_for_each(|checker| checker.check(call.method, arguments))
}

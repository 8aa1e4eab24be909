//! Refusing calls of a thread that would wait for the thread itself.
//!
//! A thread that holds something in a server, such as a transaction, may call the server past it. If the call
//! waits for what the thread holds, it would wait for itself.
//!
//! [`Remote::check_calls_beside`](crate::Remote::check_calls_beside) begins it.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use miko_surface::Method;

use crate::codec::{encode, split_variant};
use crate::error::{Error, Result};
use crate::transport::OutgoingCall;
use crate::untyped_client::{ObjectId, UntypedClient};

thread_local! {
    static CHECKS: RefCell<Vec<Check>> = const { RefCell::new(Vec::new()) };
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

struct Check {
    id: u64,
    /// The socket of the server whose calls it checks.
    server: PathBuf,
    /// The object beside which it checks calls, or the outermost object around that.
    outermost: Option<ObjectId>,
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
    fn check_object_call(&self, call: &ObjectCall<'_>) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// Is told of a call on an object of the server that no checker has refused, after it has ended. `error`
    /// is that of a call that has failed, if the error type of the method is [`Error`].
    fn observe_object_call(&self, call: &ObjectCall<'_>, error: Option<&Error>) {
        let _ = (call, error);
    }
}

/// A call on an object of a server, as a checker sees it.
#[derive(Debug)]
pub struct ObjectCall<'c> {
    /// The method that is called.
    pub method: &'c Method,
    /// The type `dyn I` of the interface `I` of the proxy.
    pub interface: TypeId,
    /// The object, as seen from the one beside which calls are checked.
    pub relation: Relation,
}

/// How the object of a call is related to the one beside which calls are checked. A lazy call on an object
/// opens an object inside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the outermost object around that one, or that one itself if it is inside of no other.
    Outermost,
    /// It is inside of the outermost object around that one.
    Inside,
    /// None of these.
    Unrelated,
}

/// While it exists, calls of this thread are checked. It stays in its thread.
#[must_use = "calls are checked until it is dropped"]
pub struct CheckedCalls {
    /// `None` if nothing is checked.
    id: Option<u64>,
    stays_in_thread: PhantomData<*const ()>,
}

impl CheckedCalls {
    /// Checks nothing.
    pub(crate) fn none() -> Self {
        Self { id: None, stays_in_thread: PhantomData }
    }

    /// Checks the blocking calls of this thread to the server of this object. Without a server nothing is
    /// checked.
    pub(crate) fn beside(object: &UntypedClient, checker: Rc<dyn CallChecker>) -> Self {
        let Some(server) = object.transport.server().map(Path::to_owned) else { return Self::none() };
        let id = LAST_ID.get() + 1;
        LAST_ID.set(id);
        let outermost = object.outermost_object();
        CHECKS.with_borrow_mut(|checks| checks.push(Check { id, server, outermost, checker }));
        Self { id: Some(id), stays_in_thread: PhantomData }
    }
}

impl Drop for CheckedCalls {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            CHECKS.with_borrow_mut(|checks| checks.retain(|check| check.id != id));
        }
    }
}

/// Refuses a call that would wait for this thread. Returns whether [`observe`] is to be told of its end.
pub(crate) fn check(proxy: &UntypedClient, call: &OutgoingCall<'_>) -> Result<bool> {
    if CHECKS.with_borrow(Vec::is_empty) {
        return Ok(false);
    }
    let checkers = checkers_of(proxy);
    if checkers.is_empty() {
        return Ok(false);
    }
    if proxy.transport.is_to_object() {
        let mut calls = checkers.iter().map(|(checker, relation)| {
            checker.check_object_call(&ObjectCall {
                method: call.method,
                interface: proxy.interface,
                relation: *relation,
            })
        });
        return calls.try_for_each(|checked| checked).map(|()| true);
    }
    let mut message = Vec::new();
    if encode(&mut message, usize::MAX, |encoder| call.request.write(encoder)).is_err() {
        // It is refused where it is sent.
        return Ok(false);
    }
    let (_, arguments) = split_variant(&message).unwrap_or_default();
    checkers.iter().try_for_each(|(checker, _)| checker.check(call.method, arguments)).map(|()| false)
}

/// Tells the checkers of this thread that a call on an object has ended.
pub(crate) fn observe(proxy: &UntypedClient, method: &Method, error: Option<&Error>) {
    for (checker, relation) in checkers_of(proxy) {
        let call = ObjectCall { method, interface: proxy.interface, relation };
        checker.observe_object_call(&call, error);
    }
}

/// The checkers of the calls to the server of this proxy, each with its relation to the object of the proxy.
/// They are called without the list: encoding a request runs code of its types.
fn checkers_of(proxy: &UntypedClient) -> Vec<(Rc<dyn CallChecker>, Relation)> {
    let Some(server) = proxy.transport.server() else { return Vec::new() };
    let (object, outermost) = (proxy.object(), proxy.outermost_object());
    let relation_to = |check: &Check| match check.outermost {
        None => Relation::Unrelated,
        Some(_) if check.outermost == object => Relation::Outermost,
        Some(_) if check.outermost == outermost => Relation::Inside,
        Some(_) => Relation::Unrelated,
    };
    CHECKS.with_borrow(|checks| {
        let of_server = checks.iter().filter(|check| check.server == server);
        of_server.map(|check| (Rc::clone(&check.checker), relation_to(check))).collect()
    })
}

//! The call on a server that this thread runs: its deadline, the gates that it has entered, and what is kept
//! for its connection.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorId, Result};
use crate::gate::{Gate, GateId, GateMode, ParkedCall, Pass, Status, not_in_time};

/// What a call on a server has entered, what it waits for, and what is kept for its connection.
#[derive(Default)]
pub struct CallGates {
    /// What it has entered. The server drops them when the call has ended.
    pub passes: Vec<Pass>,
    /// The gate that it waits for. The server then discards its result, and makes the call again later.
    pub parked: Option<ParkedCall>,
    /// What is kept for the connection. The server drops it with the connection.
    pub locals: ConnectionLocals,
}

/// What implementations keep for a connection, a value of each type.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "it is moved at each call, and most connections keep nothing")]
pub struct ConnectionLocals(Option<Box<HashMap<TypeId, Box<dyn Any + Send>>>>);

impl ConnectionLocals {
    /// Whether nothing is kept.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Those of a caller whose connection ends with its call, as a request over HTTP without a session:
    /// [`check_connection_lasts`] refuses what would live with it.
    pub fn of_single_call() -> Self {
        let marker: Box<dyn Any + Send> = Box::new(SingleCall);
        Self(Some(Box::new(HashMap::from([(TypeId::of::<SingleCall>(), marker)]))))
    }

    fn get<T: Clone + Default + Send + 'static>(&mut self) -> Option<T> {
        let values = self.0.get_or_insert_default();
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        value.downcast_ref().cloned()
    }
}

/// Marks the connection of a single call.
struct SingleCall;

impl fmt::Debug for ConnectionLocals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionLocals").field(&self.0.as_ref().map_or(0, |values| values.len())).finish()
    }
}

/// The call that this thread serves.
struct ServedCall {
    deadline: Option<Instant>,
    gates: CallGates,
}

thread_local! {
    static CALL: RefCell<Option<ServedCall>> = const { RefCell::new(None) };
}

/// Runs a call on a server, in which gates park instead of waiting. `entered` has the passes of an earlier
/// attempt and of the gate that it waited for, and what is kept for the connection.
///
/// Returns what the call has returned, and its gates.
pub fn serve_call<R>(
    deadline: Option<Instant>,
    entered: CallGates,
    run: impl FnOnce() -> R,
) -> (R, CallGates) {
    /// Puts the outer call back, also after a panic.
    struct Restore(Option<ServedCall>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let served = CALL.replace(self.0.take());
            drop(served);
        }
    }
    let restore = Restore(CALL.replace(Some(ServedCall { deadline, gates: entered })));
    let returned = run();
    let served = CALL.take();
    drop(restore);
    (returned, served.map(|call| call.gates).unwrap_or_default())
}

/// Whether this thread runs a call of [`serve_call`], in which gates park instead of waiting.
pub fn serves_a_call() -> bool {
    CALL.with_borrow(Option::is_some)
}

/// What is kept for the connection whose call this thread runs: a value of type `T`, whose clones share their
/// content. At first it is the default. `None` outside of a call on a server.
///
/// It is dropped at the end of the connection. So `T` may have what lives with a connection and is named by
/// ids in arguments, as handles are not.
pub fn connection_local<T: Clone + Default + Send + 'static>() -> Option<T> {
    with_call(|call| call.gates.locals.get()).flatten()
}

/// Refuses to begin what lives with the connection of the call that this thread runs, if that connection ends
/// with the call. `what` names it.
///
/// # Errors
/// `session-required`.
pub fn check_connection_lasts(what: &str) -> Result<()> {
    let is_single = |call: &mut ServedCall| {
        call.gates.locals.0.as_ref().is_some_and(|values| values.contains_key(&TypeId::of::<SingleCall>()))
    };
    if !with_call(is_single).unwrap_or(false) {
        return Ok(());
    }
    let message = format!("{what} lives with a session, and the call came without one");
    Err(Error::new(ErrorId::SESSION_REQUIRED, message))
}

impl Gate {
    /// Enters the gate. Waits at most for `limit`, and not beyond the deadline of the call.
    ///
    /// # Errors
    /// `lock-timeout`, if its turn did not come in time; `parked` inside a call on a server, which is then
    /// made again; `internal`, if the call is inside the gate as [`GateMode::Shared`] and wants to be alone.
    pub fn enter(&self, mode: GateMode, limit: Duration) -> Result<Pass> {
        let in_call = with_call(|call| self.enter_in_call(mode, limit, call));
        in_call.unwrap_or_else(|| {
            let ticket = self.queue_up(mode, Instant::now().checked_add(limit));
            ticket.wait()?;
            Ok(Pass(ticket))
        })
    }

    /// The gates that the call which this thread serves has entered, or at which it has waited without
    /// success.
    pub fn passed_by_call() -> Vec<GateId> {
        with_call(|call| call.gates.passes.iter().map(|pass| pass.0.gate_id()).collect()).unwrap_or_default()
    }

    /// Gives up what the call that this thread serves has entered, before the call ends. It must not have
    /// changed anything inside. The passes that the caller itself holds are not affected.
    pub fn leave_in_call(&self) {
        let left = with_call(|call| {
            let is_here = |pass: &mut Pass| pass.0.is_at(self);
            call.gates.passes.extract_if(.., is_here).collect::<Vec<_>>()
        });
        // Leaving wakes others, which may need to know of the call.
        drop(left);
    }

    fn enter_in_call(&self, mode: GateMode, limit: Duration, call: &mut ServedCall) -> Result<Pass> {
        let is_here = |pass: &&Pass| pass.0.is_at(self);
        let ticket = match call.gates.passes.iter().find(is_here) {
            Some(pass) => Arc::clone(&pass.0),
            None => {
                let until = Instant::now().checked_add(limit);
                self.queue_up(mode, [until, call.deadline].into_iter().flatten().min())
            }
        };
        match ticket.status() {
            Status::Inside if mode == GateMode::Exclusive && ticket.mode() == GateMode::Shared => {
                let message = "the call is inside the gate together with others, and wants to be alone: \
                               enter it as `Exclusive` at first";
                Err(Error::new(ErrorId::INTERNAL, message))
            }
            Status::Inside => {
                if !call.gates.passes.iter().any(|pass| is_here(&pass)) {
                    call.gates.passes.push(Pass(Arc::clone(&ticket)));
                }
                Ok(Pass(ticket))
            }
            Status::TimedOut => Err(not_in_time()),
            Status::Waits => {
                call.gates.parked = Some(ParkedCall(ticket));
                Err(Error::new(ErrorId::PARKED, "the call is made again when it is its turn"))
            }
        }
    }
}

/// Gives the call that this thread serves; `None` if it serves none.
fn with_call<R>(work: impl FnOnce(&mut ServedCall) -> R) -> Option<R> {
    CALL.with_borrow_mut(|call| call.as_mut().map(work))
}

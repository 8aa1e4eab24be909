//! What stands under a proxy: a connection that is renewed where that is right.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{process, thread};

use miko_core::rpc::{Interface, Method, Surface, Transport};
use miko_core::{Error, ErrorId, Result};

use super::Address;
use super::address::{CONNECT_RETRY, is_not_listening};
use super::connection::{Connection, ConnectionFault};

/// How many calls a transport has carried.
#[derive(Clone, Default)]
pub(crate) struct CallCounter(Arc<AtomicU64>);

impl CallCounter {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Carries the calls of a proxy over a Unix socket, one at a time.
///
/// A connection that was lost is opened anew. The call that lost it is sent once more if it cannot have been run, since
/// not all of it was sent, or if it may be repeated; otherwise it fails, because nobody knows whether it was run. A
/// process that inherited the proxy by a fork gets a connection of its own: two processes on one stream would read each
/// other's answers.
pub(crate) struct SocketTransport {
    address: Address,
    calls: CallCounter,
    connection: Mutex<Option<OwnedConnection>>,
}

/// A connection and the process that opened it.
struct OwnedConnection {
    pid: u32,
    connection: Connection,
}

impl SocketTransport {
    /// A transport that connects at its first call.
    pub(crate) fn new(address: Address) -> Self {
        Self { address, calls: CallCounter::default(), connection: Mutex::new(None) }
    }

    /// A transport that is connected already. A server that is coming up is waited for, within `spin`.
    pub(crate) fn connect(address: Address, surface: &Surface, spin: Duration) -> Result<Self> {
        refuse_in_runtime()?;
        let deadline = Instant::now() + spin;
        let stream = loop {
            match UnixStream::connect(&address.path) {
                Ok(stream) => break stream,
                Err(fault) if is_not_listening(&fault) && Instant::now() < deadline => {
                    thread::sleep(CONNECT_RETRY)
                }
                Err(fault) => return Err(address.unreachable(&fault)),
            }
        };
        let connection = Connection::open(stream, &address, surface)?;
        let transport = Self::new(address);
        *transport.lock() = Some(OwnedConnection { pid: process::id(), connection });
        Ok(transport)
    }

    /// The count of its calls, to be read while it is in use.
    pub(crate) fn calls(&self) -> CallCounter {
        self.calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedConnection>> {
        // A panic while a call was under way leaves a connection in an unknown state: it is dropped.
        self.connection.lock().unwrap_or_else(|poisoned| {
            self.connection.clear_poison();
            let mut slot = poisoned.into_inner();
            *slot = None;
            slot
        })
    }
}

impl<I: Interface + ?Sized> Transport<I> for SocketTransport {
    fn call(&self, method: &'static Method, request: I::Request) -> Result<I::Response> {
        refuse_in_runtime()?;
        let mut slot = self.lock();
        self.calls.0.fetch_add(1, Ordering::Relaxed);
        let deadline = method.deadline_or(self.address.limits.call_deadline);
        let begun = Instant::now();
        let mut repeated = false;
        loop {
            let connection = connected(&mut slot, &self.address, I::surface())?;
            let left = if repeated { deadline.saturating_sub(begun.elapsed()) } else { deadline };
            let (error, may_repeat) = match connection.call::<I>(&request, left) {
                Ok(response) => return Ok(response),
                Err(ConnectionFault::OfCall(error)) => return Err(error),
                Err(ConnectionFault::OfConnection(error)) => (error, false),
                Err(ConnectionFault::Unsent(error)) => (error, true),
                Err(ConnectionFault::Unanswered(error)) => (error, method.is_repeatable()),
            };
            *slot = None;
            if repeated || !may_repeat {
                return Err(error);
            }
            repeated = true;
        }
    }
}

/// The connection in `slot`, opened anew if there is none or another process opened it.
fn connected<'s>(
    slot: &'s mut Option<OwnedConnection>,
    address: &Address,
    surface: &Surface,
) -> Result<&'s mut Connection> {
    let pid = process::id();
    let owned = match slot.take_if(|owned| owned.pid == pid) {
        Some(owned) => owned,
        None => {
            let stream = UnixStream::connect(&address.path).map_err(|fault| address.unreachable(&fault))?;
            OwnedConnection { pid, connection: Connection::open(stream, address, surface)? }
        }
    };
    Ok(&mut slot.insert(owned).connection)
}

/// A blocking call would stop all tasks of the runtime it is made in.
pub(crate) fn refuse_in_runtime() -> Result<()> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorId::INSIDE_RUNTIME,
            "a blocking call would stop the async runtime it was made in: use the async client, or call from a plain \
             thread (`std::thread::spawn`), or before the runtime starts",
        )),
    }
}

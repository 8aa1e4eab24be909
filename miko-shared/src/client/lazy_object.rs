//! An object that is opened lazily: the opening call, which returns the object, is sent together with the
//! first call on the object.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use miko_rpc::codec::{Encoded, Encoder, Message, encode};
use miko_rpc::{
    CallTransport, Discard, Error, ErrorId, Method, OutgoingCall, PendingAnswer, ReadOpened, Result,
};
use serde_json::Value;

use super::exclusive::{Exclusive, ExclusiveGuard};
use super::fault::{ConnectionFault, session_gone};
use super::later::BegunCall;
use super::reconnecting::Reconnecting;
use super::runtime::check_may_wait_for;
use crate::wire::extension;

/// Carries the calls on an object. The opening call and the first call on the object are sent together, and
/// their answers arrive together, unless the opening call waits at a gate. If the caller of the first call
/// waits for its answer only later ([`CallTransport::begin`]), the object is opened before that call. An
/// object that is never called is never opened.
///
/// ```text
/// worker                                server
///   call 7: begin                  ──▶    opens an object, which gets the handle 3
///   call 8: record_by_pk, on the
///           object of call 7       ──▶    finds the object by the call that opened it
///                                  ◀──  answer 7: handle 3
///                                  ◀──  answer 8: the record
///   call 9: update, on object 3    ──▶
/// ```
pub(super) struct LazyObject {
    connection: Arc<Reconnecting>,
    opening: OpeningCall,
    /// The object, once it is open.
    object: OnceLock<Box<dyn CallTransport>>,
    /// Why the object cannot be used any more: its opening call was sent together with another call, and the
    /// answer to the opening call was lost or did not arrive in time. The object is not opened again, since a
    /// new object would lack the effects of earlier calls.
    lost: OnceLock<Error>,
    /// The right to open the object: only the thread that has it may send the opening call. The value is the
    /// opening call, if it was sent with an earlier call on the object and its answer has not arrived yet.
    /// Otherwise there is no value.
    pending_opening: Exclusive<BegunCall>,
}

/// The call that returns the object.
struct OpeningCall {
    method: &'static Method,
    /// The method and its arguments, encoded.
    request: Vec<u8>,
    /// Releases the object if the answer arrives after the caller has given up.
    discard: Discard,
    /// Makes the object from the answer.
    read_opened: ReadOpened,
}

impl LazyObject {
    /// The object that `call` will return. `read_opened` makes it from the answer to `call`.
    ///
    /// # Errors
    /// `request-too-large`, and the error of an argument that cannot be serialized.
    pub(super) fn new(
        connection: Arc<Reconnecting>,
        call: &OutgoingCall<'_>,
        read_opened: ReadOpened,
    ) -> Result<Self> {
        let mut request = Vec::new();
        let limit = connection.frame_limit();
        encode(&mut request, limit, |encoder| call.request.write(encoder))
            .map_err(|fault| fault.into_error(limit))?;
        let opening = OpeningCall { method: call.method, request, discard: call.discard, read_opened };
        let (object, lost) = (OnceLock::new(), OnceLock::new());
        Ok(Self { connection, opening, object, lost, pending_opening: Exclusive::new(None) })
    }

    /// Makes a call on the object, which was not open when the call began. Sends the opening call together
    /// with `call`, unless an earlier call has opened the object meanwhile, or has sent the opening call.
    fn call_first(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut pending = self.wait_to_open(call.method)?;
        if let Some(object) = self.finish_earlier_opening(&mut pending)? {
            // The object is open, so other threads need not wait for the end of this call.
            drop(pending);
            return object.call(call, read);
        }
        // The opening call, once it is about to be sent.
        let mut begun_opening = None;
        let opening_deadline = self.connection.deadline(self.opening.method);
        let called = self.connection.with_connection(call.method, |connection, remaining, until| {
            let request = EncodedMessage(&self.opening.request);
            let opening_call = self.opening.as_call(&request);
            // The time for the opening call begins at the deadline of `call`: while `call` waits in the
            // server, the server may hold back the answer to the opening call. It sends this answer when it
            // answers `call`, or when it refuses `call` because this client has given `call` up.
            let opening_until = until.and_then(|until| until.checked_add(opening_deadline));
            let on_begin = |id| {
                begun_opening =
                    Some(BegunCall::new(connection, id, &opening_call, opening_until, session_gone));
            };
            let opening_call = (&opening_call, opening_deadline);
            match connection.call_on_opened(opening_call, call, remaining, until, on_begin, read) {
                Err(ConnectionFault::Unsent(error)) => {
                    // `with_connection` may send both calls once more, over another connection.
                    begun_opening = None;
                    Err(ConnectionFault::Unsent(error))
                }
                Err(ConnectionFault::NotBegun(error)) => {
                    // Neither call was sent, so the next call opens the object.
                    begun_opening.take().into_iter().for_each(BegunCall::forget);
                    Err(ConnectionFault::NotBegun(error))
                }
                // `with_connection` sends both calls once more if `call` may be repeated. Here the opening
                // call may not be repeated, so the fault becomes one after which it never retries.
                Err(ConnectionFault::Unanswered(error)) if !self.opening.method.is_repeatable() => {
                    Err(ConnectionFault::OfConnection(error))
                }
                called => called,
            }
        });
        // If the opening call was not begun, or counts as not sent, the next call on the object sends it.
        let Some(mut begun_opening) = begun_opening else { return called };
        // If `call` was answered, the opening call was answered before it, unless the opening call waits at a
        // gate. So this takes an answer that has arrived, and does not wait for it. If the opening call
        // failed, its error is returned: it is the reason why the server found no object for `call`.
        let is_open = self.wait_for_object(&mut begun_opening, Some(Instant::now()))?;
        if called.as_ref().is_err_and(|error| is_refusal_without_object(error, begun_opening.id())) {
            // The opening call did not fail, and yet the server found no object for `call`, so it did not run
            // `call`. The reason is that the opening call waited at a gate, where it may still wait. `call`
            // is sent again once the object is open, with a new deadline: it has not run yet.
            if (is_open || self.wait_for_object(&mut begun_opening, None)?)
                && let Some(object) = self.object()
            {
                drop(pending);
                return object.call(call, read);
            }
            return Err(not_opened());
        }
        if !is_open {
            // The next call on the object waits for the answer to the opening call.
            pending.value = Some(begun_opening);
        }
        called
    }

    /// Returns the object. Opens it without a call on it, if it is not open.
    fn open(&self, method: &'static Method) -> Result<&dyn CallTransport> {
        let mut pending = self.wait_to_open(method)?;
        if let Some(object) = self.finish_earlier_opening(&mut pending)? {
            return Ok(object);
        }
        let request = EncodedMessage(&self.opening.request);
        let call = self.opening.as_call(&request);
        self.connection.with_connection(self.opening.method, |connection, remaining, until| {
            let on_interface = None;
            connection.call(&call, on_interface, remaining, until, &mut |answer| self.set_object(answer))
        })?;
        self.object().ok_or_else(not_opened)
    }

    /// Waits while another thread opens the object, at most for the deadline of `method`. While a thread
    /// holds the returned guard, only that thread may open the object.
    fn wait_to_open(&self, method: &Method) -> Result<ExclusiveGuard<'_, BegunCall>> {
        check_may_wait_for(self.connection.path())?;
        self.pending_opening.wait(self.connection.deadline(method)).ok_or_else(|| {
            let message = "the first call on the object, by another thread, did not end in time";
            Error::new(ErrorId::DEADLINE_EXCEEDED, message)
        })
    }

    /// Returns the object if an earlier call has opened it. If the opening call was sent and is not answered
    /// yet, waits for its answer. Returns `None` if the opening call is still to be sent.
    fn finish_earlier_opening(
        &self,
        pending: &mut ExclusiveGuard<'_, BegunCall>,
    ) -> Result<Option<&dyn CallTransport>> {
        if let Some(mut opening) = pending.value.take()
            && !self.wait_for_object(&mut opening, None)?
        {
            return Err(not_opened());
        }
        match self.lost.get() {
            Some(error) => Err(error.clone()),
            None => Ok(self.object()),
        }
    }

    /// Waits for the answer to the opening call, and stores the object. Returns `false` if the answer has not
    /// arrived at `until`. If `until` is `None`, waits up to the deadline of the opening call.
    fn wait_for_object(&self, opening: &mut BegunCall, until: Option<Instant>) -> Result<bool> {
        opening.wait(until, &mut |answer| self.set_object(answer)).inspect_err(|error| {
            // If the connection was lost, or the answer did not arrive in time, it is unknown whether the
            // server has opened the object. After any other error, such as the refusal of a call that has
            // waited at a gate until its deadline, the server has opened nothing, and the next call on the
            // object sends the opening call again.
            if opening.is_connection_lost() {
                let _ = self.lost.set(error.clone());
            } else if opening.is_unanswered() {
                let message = "the answer to the call that opens the object did not arrive in time";
                let _ = self.lost.set(Error::caused_by(ErrorId::SESSION_GONE, message, error.clone()));
            }
        })
    }

    /// Stores the object that the answer to the opening call carries.
    fn set_object(&self, answer: &[u8]) -> Result<()> {
        let object = (self.opening.read_opened)(self.opening.method, answer)?;
        // The object was not set before: one thread at a time opens it, and no thread opens an object that is
        // open.
        let _ = self.object.set(object);
        Ok(())
    }

    fn object(&self) -> Option<&dyn CallTransport> {
        self.object.get().map(|object| &**object)
    }
}

impl CallTransport for LazyObject {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match self.object() {
            Some(object) => object.call(call, read),
            None => self.call_first(call, read),
        }
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        match self.object() {
            Some(object) => object.begin(call),
            None => self.open(call.method)?.begin(call),
        }
    }

    fn server(&self) -> Option<&Path> {
        Some(self.connection.path())
    }

    fn is_to_object(&self) -> bool {
        true
    }
}

impl OpeningCall {
    fn as_call<'c>(&self, request: &'c EncodedMessage<'_>) -> OutgoingCall<'c> {
        // The call is on the interface, so it settles no object.
        OutgoingCall { method: self.method, request, discard: self.discard, settles: false }
    }
}

/// A message that is already encoded.
struct EncodedMessage<'m>(&'m [u8]);

impl Message for EncodedMessage<'_> {
    fn write(&self, encoder: &mut Encoder) -> Encoded {
        encoder.raw(self.0)
    }
}

/// Whether the server has refused a call with this error because it found no object of the opening call. The
/// server names what it has not found. An error with the same id that a hook or the connection has caused
/// does not name that, and the call may have run.
fn is_refusal_without_object(error: &Error, opening_id: u64) -> bool {
    let named = error.items().first().and_then(|item| item.details.get("handle"));
    error.is(ErrorId::SESSION_GONE) && named.and_then(Value::as_u64) == Some(extension::opened_by(opening_id))
}

/// The error if the answer to the opening call has not arrived or carries no object.
fn not_opened() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not open the object in time")
}

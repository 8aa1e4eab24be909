//! An object whose opening call is sent with the first call on it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use miko_rpc::codec::{Encoded, Encoder, Message, encode};
use miko_rpc::{
    CallTransport, Discard, Error, ErrorId, Method, OutgoingCall, PendingAnswer, ReadOpened, Result,
};

use super::exclusive::{Exclusive, InUse};
use super::fault::{ConnectionFault, session_gone};
use super::later::LaterAnswer;
use super::reconnecting::Reconnecting;
use super::runtime::refuse_where_it_cannot_wait;

/// Carries the calls on an object that is opened by the first of them: both calls are sent at once, and
/// answered at once. An object that is never called is never opened.
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
    /// Why the object cannot be used any more, if its opening call was sent, and its answer was lost. It is
    /// not opened again: what earlier calls did in it would be missing.
    lost: OnceLock<Error>,
    /// Lets one thread open it. The answer to the opening call, if that was sent and the first call on the
    /// object was not answered in time.
    first: Exclusive<LaterAnswer>,
}

/// The call that returns the object, encoded.
struct OpeningCall {
    method: &'static Method,
    request: Vec<u8>,
    discard: Discard,
    /// Reads its answer.
    opened: ReadOpened,
}

impl LazyObject {
    /// The object that `call` returns. Its answer will be read by `opened`.
    ///
    /// # Errors
    /// `request-too-large`, and what cannot be serialized.
    pub(super) fn new(
        connection: Arc<Reconnecting>,
        call: &OutgoingCall<'_>,
        opened: ReadOpened,
    ) -> Result<Self> {
        let mut request = Vec::new();
        let limit = connection.frame_limit();
        encode(&mut request, limit, |encoder| call.request.write(encoder))
            .map_err(|fault| fault.into_error(limit))?;
        let opening = OpeningCall { method: call.method, request, discard: call.discard, opened };
        let (object, lost) = (OnceLock::new(), OnceLock::new());
        Ok(Self { connection, opening, object, lost, first: Exclusive::new(None) })
    }

    /// Makes a call while the object is not known to be open.
    fn call_first(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut turn = self.wait_for_turn(call.method)?;
        if let Some(object) = self.opened_before(&mut turn)? {
            drop(turn);
            return object.call(call, read);
        }
        let mut opening = None;
        let opening_deadline = self.connection.deadline(self.opening.method);
        let called = self.connection.on_a_connection(call.method, |connection, remaining, until| {
            let request = EncodedMessage(&self.opening.request);
            let opening_call = self.opening.as_call(&request);
            let opened_by = Instant::now().checked_add(opening_deadline);
            let began = |id| {
                opening = Some(LaterAnswer::new(connection, id, &opening_call, opened_by, session_gone));
            };
            let opening_call = (&opening_call, opening_deadline);
            match connection.call_on_opened(opening_call, call, remaining, until, began, read) {
                Err(ConnectionFault::Unsent(error)) => {
                    opening = None;
                    Err(ConnectionFault::Unsent(error))
                }
                Err(ConnectionFault::NotBegun(error)) => {
                    // Neither call was sent, so the next call opens the object.
                    opening.take().into_iter().for_each(LaterAnswer::forget);
                    Err(ConnectionFault::NotBegun(error))
                }
                // A call that may be repeated must not repeat the opening.
                Err(ConnectionFault::Unanswered(error)) if !self.opening.method.is_repeatable() => {
                    Err(ConnectionFault::OfConnection(error))
                }
                called => called,
            }
        });
        let Some(mut opening) = opening else { return called };
        // It arrives before the answer to the call. If the opening failed, that has no object to go to: the
        // error of the opening says why.
        let is_open = self.read_opened(&mut opening, Some(Instant::now()))?;
        if called.as_ref().is_err_and(|error| error.is(ErrorId::SESSION_GONE)) {
            // The opening call has waited at a gate, or waits. So the server found no object, and has not run
            // the call.
            if (is_open || self.read_opened(&mut opening, None)?)
                && let Some(object) = self.object()
            {
                drop(turn);
                return object.call(call, read);
            }
            return Err(not_opened());
        }
        if !is_open {
            turn.value = Some(opening);
        }
        called
    }

    /// Opens the object without a call on it, if it is not open.
    fn open(&self, method: &'static Method) -> Result<&dyn CallTransport> {
        let mut turn = self.wait_for_turn(method)?;
        if let Some(object) = self.opened_before(&mut turn)? {
            return Ok(object);
        }
        let request = EncodedMessage(&self.opening.request);
        let call = self.opening.as_call(&request);
        self.connection.on_a_connection(self.opening.method, |connection, remaining, until| {
            connection.call(&call, None, remaining, until, &mut |answer| self.keep(answer))
        })?;
        self.object().ok_or_else(not_opened)
    }

    /// Waits while another thread opens the object.
    fn wait_for_turn(&self, method: &Method) -> Result<InUse<'_, LaterAnswer>> {
        refuse_where_it_cannot_wait(self.connection.path())?;
        self.first.wait(self.connection.deadline(method)).ok_or_else(|| {
            let message = "the first call on the object, by another thread, did not end in time";
            Error::new(ErrorId::DEADLINE_EXCEEDED, message)
        })
    }

    /// The object, if it is open by now, or its opening call was sent with an earlier call on it.
    fn opened_before(&self, turn: &mut InUse<'_, LaterAnswer>) -> Result<Option<&dyn CallTransport>> {
        if let Some(mut opening) = turn.value.take()
            && !self.read_opened(&mut opening, None)?
        {
            return Err(not_opened());
        }
        match self.lost.get() {
            Some(error) => Err(error.clone()),
            None => Ok(self.object()),
        }
    }

    /// Waits until this time for the answer to the opening call, and keeps the object; `false` if it was not
    /// there in time.
    fn read_opened(&self, opening: &mut LaterAnswer, until: Option<Instant>) -> Result<bool> {
        opening.wait(until, &mut |answer| self.keep(answer)).inspect_err(|error| {
            // A server that refuses the opening call has opened nothing, and may be asked again.
            if error.is(ErrorId::SESSION_GONE) || error.is(ErrorId::DEADLINE_EXCEEDED) {
                let _ = self.lost.set(session_gone(error.clone()));
            }
        })
    }

    fn keep(&self, answer: &[u8]) -> Result<()> {
        let object = (self.opening.opened)(self.opening.method, answer)?;
        // The thread whose turn it is sets it once.
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
        OutgoingCall { method: self.method, request, discard: self.discard, settles: false }
    }
}

/// A message that was encoded before.
struct EncodedMessage<'m>(&'m [u8]);

impl Message for EncodedMessage<'_> {
    fn write(&self, encoder: &mut Encoder) -> Encoded {
        encoder.raw(self.0)
    }
}

/// The error if the answer to the opening call did not bring the object.
fn not_opened() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not open the object in time")
}

//! One call on the side of the server: its arguments, in whatever form they came, and the place of its
//! answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use miko_surface::{Method, Surface};
use serde_json::Value;

use crate::arguments::{self, Arguments};
use crate::bounds::Wire;
use crate::codec::decoder::Decoder;
use crate::codec::{self, EncodeFault};
use crate::dispatch::{self, DispatchError, JsonResult, Params};
use crate::error::{Error, ErrorId, Result};
use crate::fallible::{Fallible, Outcome};
use crate::guard::guard;
use crate::json_text::JsonText;
use crate::later::Later;
use crate::panics::panic_message;
use crate::{memory, result, travel};

/// A call that an [`Interface`](crate::Interface) serves.
pub struct Call<'c> {
    method: &'c str,
    form: Form<'c>,
}

enum Form<'c> {
    /// The arguments as MessagePack, and where the answer is appended.
    Message {
        arguments: &'c [u8],
        answer: &'c mut Vec<u8>,
        limit: usize,
        scope: Option<&'c mut dyn AnswerScope>,
    },
    /// The arguments as JSON, and where the result is put.
    Json {
        params: Value,
        result: &'c mut JsonResult,
        limit: usize,
        scope: Option<&'c mut dyn AnswerScope>,
        /// Whether a later answer is waited for.
        waits: bool,
    },
}

/// Collects the objects and streams of an answer while it is encoded.
pub trait AnswerScope {
    /// Calls `write`, which encodes an answer and returns whether it succeeded. If it did not, what the
    /// answer would have carried is dropped.
    fn encode(&mut self, write: &mut dyn FnMut() -> bool);

    /// Keeps a call whose answer comes later.
    fn keep(&mut self, answer: Box<dyn LaterAnswer>);

    /// Records that the answer is a nil inside so many options, which JSON cannot say.
    fn note_nil(&mut self, level: u32) {
        let _ = level;
    }
}

/// The answer to a call whose method has returned a [`Later`](crate::Later). Dropping it tells the method
/// that it is no longer wanted.
pub trait LaterAnswer: Send {
    /// Whether the answer is there, or registers the waker for it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Appends the answer, which is there, to `answer`. `limit` and `scope` are as those of the call.
    ///
    /// # Errors
    /// As [`Call::run`], after the method ran.
    fn write(
        self: Box<Self>,
        answer: &mut Vec<u8>,
        limit: usize,
        scope: &mut dyn AnswerScope,
    ) -> Result<Served>;

    /// As [`write`](Self::write), as JSON of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Interface::dispatch`](crate::Interface::dispatch), after the method ran.
    fn write_json(
        self: Box<Self>,
        limit: usize,
        scope: &mut dyn AnswerScope,
    ) -> Result<JsonText, DispatchError>;
}

/// The outcome of a call whose method ran, and whose answer was written or comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Served {
    /// The method returned `Ok`.
    Succeeded,
    /// The method returned an error. Its id, if it is an [`Error`].
    Failed(Option<ErrorId>),
    /// The method returned; its answer comes later.
    Pending,
}

impl Served {
    fn of<T, E: Any>(returned: &Result<T, E>) -> Self {
        match returned {
            Ok(_) => Self::Succeeded,
            Err(error) => {
                let error = (error as &dyn Any).downcast_ref::<Error>();
                Self::Failed(error.map(|error| error.id().clone()))
            }
        }
    }
}

impl<'c> Call<'c> {
    /// A call of `method` whose `arguments` are MessagePack. Its answer is appended to `answer`. `limit` is
    /// the largest size of an answer in bytes; it also bounds the memory of large arguments, to 12 times as
    /// much.
    pub fn message(method: &'c str, arguments: &'c [u8], answer: &'c mut Vec<u8>, limit: usize) -> Self {
        Self { method, form: Form::Message { arguments, answer, limit, scope: None } }
    }

    /// Lets the answer carry objects and streams, which `scope` collects. Without it they cannot be encoded.
    #[must_use]
    pub fn within(mut self, answer_scope: &'c mut dyn AnswerScope) -> Self {
        match &mut self.form {
            Form::Message { scope, .. } | Form::Json { scope, .. } => *scope = Some(answer_scope),
        }
        self
    }

    /// A call of `method` whose params are JSON: an object by name, or an array by position. Its result is
    /// put into `result`, and may have any size. A later answer is waited for.
    pub fn json(method: &'c str, params: Value, result: &'c mut JsonResult) -> Self {
        let form = Form::Json { params, result, limit: usize::MAX, scope: None, waits: true };
        Self { method, form }
    }

    /// As [`json`](Self::json), with a result of at most `limit` bytes, and a later answer is given to
    /// `scope`: [`Served::Pending`].
    pub fn json_within(
        method: &'c str,
        params: Value,
        result: &'c mut JsonResult,
        limit: usize,
        scope: &'c mut dyn AnswerScope,
    ) -> Self {
        Self { method, form: Form::Json { params, result, limit, scope: Some(scope), waits: false } }
    }

    /// The wire name of the method.
    pub fn method(&self) -> &'c str {
        self.method
    }

    /// Reads the arguments, runs the method and writes its answer.
    ///
    /// # Errors
    /// Before the method runs: `invalid_request`, if the arguments do not fit it; `request-too-large` or
    /// `storage-full`, if they need too much memory. After it ran: `request-too-large`, if the answer exceeds
    /// the limit; `internal`, if it cannot be serialized, or a type of the method panics.
    pub fn run<A, R>(self, method: &'static Method, run: impl FnOnce(A) -> R) -> Result<Served>
    where
        A: Arguments,
        R: Fallible<Value: Wire, Error: Wire>,
    {
        guard_types(method, || self.run_unguarded(method, run))
    }

    /// As [`run`](Self::run). Reading and writing the types of the method may panic.
    fn run_unguarded<A, R>(self, method: &'static Method, run: impl FnOnce(A) -> R) -> Result<Served>
    where
        A: Arguments,
        R: Fallible<Value: Wire, Error: Wire>,
    {
        match self.form {
            Form::Message { arguments, answer, limit, scope } => {
                let arguments = read_message(method, arguments, limit)?;
                let (returned, scope) = match (guard(&method.name, || run(arguments)).outcome(), scope) {
                    (Outcome::Now(returned), scope) => (returned, scope),
                    (Outcome::Later(later), Some(scope)) if later.is_local() => {
                        match keep_pending(method, later, scope) {
                            Some(returned) => (returned, Some(scope)),
                            None => return Ok(Served::Pending),
                        }
                    }
                    // That of another server is waited for, as an ordinary call to it would be.
                    (Outcome::Later(later), scope) => (later.wait(), scope),
                };
                Returned { method, returned, answer, limit, scope }.write()
            }
            Form::Json { params, result, limit, scope, waits } => {
                let arguments = Params::new(method, params).decode()?;
                let (returned, scope) = match (guard(&method.name, || run(arguments)).outcome(), scope) {
                    (Outcome::Now(returned), scope) => (returned, scope),
                    (Outcome::Later(later), Some(scope)) if !waits && later.is_local() => {
                        match keep_pending(method, later, scope) {
                            Some(returned) => (returned, Some(scope)),
                            None => return Ok(Served::Pending),
                        }
                    }
                    (Outcome::Later(later), scope) => (later.wait(), scope),
                };
                write_json(method, &returned, result, limit, scope)
            }
        }
    }

    /// Refuses a call of a method that is not in `surface`.
    ///
    /// # Errors
    /// `invalid_request`, with the known methods.
    pub fn unknown(self, surface: &Surface) -> Result<Served> {
        let known: Vec<&str> = surface.methods.iter().map(|method| &*method.name).collect();
        let message = format!("{} has no method `{}`", surface.interface, self.method);
        Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", self.method).with("known", known))
    }
}

/// Reads and writes types of a method, which may panic.
fn guard_types(method: &Method, run: impl FnOnce() -> Result<Served>) -> Result<Served> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = format!("a type of the method panicked: {}", panic_message(&*panic));
        Err(Error::new(ErrorId::INTERNAL, message).with("method", &*method.name))
    })
}

/// The result of a method, and where it is written as MessagePack.
struct Returned<'c, T, E> {
    method: &'static Method,
    returned: Result<T, E>,
    answer: &'c mut Vec<u8>,
    limit: usize,
    scope: Option<&'c mut dyn AnswerScope>,
}

impl<T: Wire, E: Wire> Returned<'_, T, E> {
    fn write(self) -> Result<Served> {
        let Self { method, returned, answer, limit, scope } = self;
        encode_within(scope, || {
            write_answer(method, answer, limit, |encoder| {
                encoder.variant(&method.name)?;
                result::write(&returned, encoder)
            })
        })?;
        Ok(Served::of(&returned))
    }
}

/// The result of a method, if it is there already. Otherwise `scope` keeps what it will come from.
fn keep_pending<T: Wire, E: Wire + From<Error>>(
    method: &'static Method,
    mut later: Later<T, E>,
    scope: &mut dyn AnswerScope,
) -> Option<Result<T, E>> {
    let Poll::Ready(returned) = later.wait_timeout(Duration::ZERO) else {
        scope.keep(Box::new(PendingResult { method, later, result: None }));
        return None;
    };
    Some(returned)
}

/// The result of a method that comes later.
struct PendingResult<T, E> {
    method: &'static Method,
    later: Later<T, E>,
    result: Option<Result<T, E>>,
}

impl<T: Wire, E: Wire + From<Error>> LaterAnswer for PendingResult<T, E> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.result.is_some() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.later).poll(context).map(|result| self.result = Some(result))
    }

    fn write(
        self: Box<Self>,
        answer: &mut Vec<u8>,
        limit: usize,
        scope: &mut dyn AnswerScope,
    ) -> Result<Served> {
        let method = self.method;
        let returned = self.returned()?;
        guard_types(method, || Returned { method, returned, answer, limit, scope: Some(scope) }.write())
    }

    fn write_json(
        self: Box<Self>,
        limit: usize,
        scope: &mut dyn AnswerScope,
    ) -> Result<JsonText, DispatchError> {
        let method = self.method;
        let returned = self.returned()?;
        let mut result = None;
        guard_types(method, || write_json(method, &returned, &mut result, limit, Some(scope)))?;
        dispatch::written(result, &method.name)
    }
}

impl<T, E> PendingResult<T, E> {
    fn returned(self) -> Result<Result<T, E>> {
        let early = || Error::new(ErrorId::INTERNAL, "a later answer was written before it was there");
        self.result.ok_or_else(early)
    }
}

/// Decodes arguments, with a bound on the memory of their values.
fn read_message<A: Arguments>(method: &Method, bytes: &[u8], limit: usize) -> Result<A> {
    let read = || arguments::read(&method.params, &mut Decoder::new(bytes));
    memory::read_frame(bytes.len(), limit, read)
        .map_err(|fault| unreadable(&fault.to_string()).with("method", &*method.name))
}

/// The error of a call that cannot be decoded.
pub fn unreadable(fault: &str) -> Error {
    let message = format!("the call cannot be read: {fault}");
    memory::take_limit_error(&message).unwrap_or_else(|| Error::new(ErrorId::INVALID_REQUEST, message))
}

/// Puts the result of a method into `result` as JSON, within a scope, if there is one.
///
/// # Errors
/// `internal`, if JSON has no form of it; `request-too-large`, if that is larger than `limit`. Then `result`
/// is as it was.
fn write_json<T: Wire, E: Wire>(
    method: &Method,
    returned: &Result<T, E>,
    result: &mut JsonResult,
    limit: usize,
    mut scope: Option<&mut dyn AnswerScope>,
) -> Result<Served> {
    if let (Some(scope), Ok(value)) = (&mut scope, returned) {
        scope.note_nil(travel::nil_level(value));
    }
    match encode_within(scope, || dispatch::render(&method.name, returned, limit)) {
        Err(DispatchError::Request(error)) => Err(error),
        written => {
            *result = Some(written);
            Ok(Served::of(returned))
        }
    }
}

/// Encodes an answer within a scope, if there is one.
fn encode_within<T, E: From<Error>>(
    scope: Option<&mut dyn AnswerScope>,
    write: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let Some(scope) = scope else { return write() };
    let (mut write, mut written) = (Some(write), None);
    scope.encode(&mut || {
        written = write.take().map(|write| write());
        matches!(written, Some(Ok(_)))
    });
    written.unwrap_or_else(|| Err(Error::new(ErrorId::INTERNAL, "the answer was not encoded").into()))
}

fn write_answer(
    method: &Method,
    answer: &mut Vec<u8>,
    limit: usize,
    write: impl FnOnce(&mut codec::Encoder) -> codec::Encoded,
) -> Result<()> {
    let end = answer.len().saturating_add(limit);
    codec::encode(answer, end, write).map_err(|fault| {
        let error = match fault {
            EncodeFault::TooLong => codec::answer_too_large(limit),
            EncodeFault::Unserializable(fault) => {
                Error::caused_by(ErrorId::INTERNAL, "the answer of the method cannot be sent", fault)
            }
        };
        error.with("method", &*method.name)
    })
}

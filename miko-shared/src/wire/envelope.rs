//! A fast codec for the envelope: the fields around a call and around its response. It knows only the byte
//! form that this package writes.
//!
//! Calls and responses are messages of tarpc's protocol. The envelope of a call has a deadline, an unused
//! trace context and an id. The envelope of a response has the id and the fact that the call was served. All
//! bytes of an envelope except for a few numbers are constant. So this codec compares bytes instead of
//! parsing them, which takes a fraction of the instructions. Messages in another valid form are decoded by
//! serde, in [`message`](super::message).

use std::time::Duration;

use miko_rpc::Result;
use miko_rpc::codec::Message;
use rmp::decode::read_int;
use rmp::encode::write_uint;

use super::frame;

/// The bytes of a call before the whole seconds of its deadline.
const BEGIN: &[u8] = b"\x81\xa7Request\x83\xa7context\x82\xa8deadline\x82\xa4secs";

/// The bytes between the seconds and the nanoseconds of the deadline.
const NANOS: &[u8] = b"\xa5nanos";

/// The bytes between the deadline and the id of the call: an unsampled trace whose id is sixteen zeros.
const TRACE: &[u8] = b"\xadtrace_context\x83\xa8trace_id\xdc\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
                       \xa7span_id\0\xb1sampling_decision\xa9Unsampled\xa2id";

/// The bytes between the id of a call and its message. The message is the method with its arguments.
const MESSAGE: &[u8] = b"\xa7message";

/// The bytes of an answer before the id of its call.
const ANSWER: &[u8] = b"\x82\xaarequest_id";

/// The bytes of an answer between the id and the response, if the call was served.
const SERVED: &[u8] = b"\xa7message\x81\xa2Ok";

/// The fields around a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// How long the client waits, from the time it sent the call.
    pub deadline: Duration,
    /// The id that the answer must carry.
    pub id: u64,
}

impl Envelope {
    /// Appends a call in this envelope to `out`, as one frame of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`frame::encode`].
    pub fn enclose(&self, call: &dyn Message, limit: usize, out: &mut Vec<u8>) -> Result<()> {
        frame::encode_after(|out| self.write(out), call, limit, out)
    }

    /// Appends the envelope to `out`. The call has to follow.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_number(out, BEGIN, self.deadline.as_secs());
        put_number(out, NANOS, self.deadline.subsec_nanos().into());
        put_number(out, TRACE, self.id);
        out.extend_from_slice(MESSAGE);
    }

    /// Splits the content of a frame into its envelope and its call. Returns `None` if the envelope does not
    /// have the form that this package writes. The call is not read, so the end of the call may be missing.
    pub fn open(frame: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = frame;
        let secs = take_number(&mut rest, BEGIN)?;
        let nanos = take_number(&mut rest, NANOS)?;
        let id = take_number(&mut rest, TRACE)?;
        let call = rest.strip_prefix(MESSAGE)?;
        // With more nanoseconds, `Duration::new` could overflow and panic.
        let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        Some((Self { deadline: Duration::new(secs, nanos), id }, call))
    }
}

/// Appends the response to the call `id`, in its envelope, to `out`, as one frame of at most `limit` bytes.
/// `serve` appends the response. The second argument of `serve` is the most bytes that the response may have.
/// If `serve` needs more, it must fail.
///
/// # Errors
/// The errors of `serve`. After an error `out` is unchanged.
pub fn enclose_response(
    id: u64,
    limit: usize,
    out: &mut Vec<u8>,
    serve: impl FnOnce(&mut Vec<u8>, usize) -> Result<()>,
) -> Result<()> {
    frame::append(limit, out, |out, end| {
        put_number(out, ANSWER, id);
        out.extend_from_slice(SERVED);
        let room = end.saturating_sub(out.len());
        serve(out, room)
    })
}

/// Splits the content of a frame of [`enclose_response`] into the id of the call and the response. Returns
/// `None` for any other frame, such as a refusal.
pub fn open_response(frame: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = frame;
    let id = take_number(&mut rest, ANSWER)?;
    Some((id, rest.strip_prefix(SERVED)?))
}

/// Appends `before`, then a number.
fn put_number(out: &mut Vec<u8>, before: &[u8], number: u64) {
    out.extend_from_slice(before);
    // Writing to a vector cannot fail.
    let _ = write_uint(out, number);
}

/// Removes `before` and the number after it from the front of `rest`, and returns the number. Returns `None`
/// if `rest` begins with anything else.
fn take_number(rest: &mut &[u8], before: &[u8]) -> Option<u64> {
    *rest = rest.strip_prefix(before)?;
    read_int(rest).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use miko_rpc::codec::SerdeMessage;
    use miko_rpc::{Error, ErrorId};
    use tarpc::trace;
    use tarpc::{ClientMessage, Request, context};

    use super::*;
    use crate::wire::frame::HEADER_SIZE;
    use crate::wire::message::{Incoming, encode_refusal};

    /// A call as a tarpc client encodes it, with this trace id and without the frame header.
    fn sent_by_tarpc(trace: u128, id: u64, message: &str) -> Vec<u8> {
        let mut context = context::current();
        context.deadline = Instant::now() + Duration::from_secs(1000);
        context.trace_context = trace::Context {
            trace_id: trace.into(),
            span_id: 0.into(),
            sampling_decision: trace::SamplingDecision::Unsampled,
        };
        let call = ClientMessage::Request(Request { context, id, message: message.to_owned() });
        rmp_serde::to_vec_named(&call).unwrap()
    }

    #[test]
    fn a_call_has_the_encoding_of_tarpc() {
        for id in [0, 127, 128, 255, 256, 65_536, u64::MAX] {
            let sent = sent_by_tarpc(0, id, "Engage!");
            let (envelope, call) = Envelope::open(&sent).unwrap();
            assert_eq!(envelope.id, id);
            assert!((990..=1000).contains(&envelope.deadline.as_secs()), "{:?}", envelope.deadline);
            assert_eq!(rmp_serde::from_slice::<String>(call).unwrap(), "Engage!");

            let mut enclosed = Vec::new();
            envelope.enclose(&SerdeMessage(&"Engage!"), 1 << 10, &mut enclosed).unwrap();
            assert_eq!(enclosed[HEADER_SIZE..], sent);
        }
    }

    #[test]
    fn a_response_has_the_encoding_of_tarpc() {
        for id in [0, 127, 128, u64::MAX] {
            let answer = tarpc::Response { request_id: id, message: Ok("Aye!") };
            let sent = rmp_serde::to_vec_named(&answer).unwrap();
            let (request_id, response) = open_response(&sent).unwrap();
            assert_eq!(
                (request_id, rmp_serde::from_slice::<String>(response).unwrap()),
                (id, "Aye!".to_owned())
            );

            let mut enclosed = Vec::new();
            let write = |out: &mut Vec<u8>, _| {
                out.extend(rmp_serde::to_vec("Aye!").unwrap());
                Ok(())
            };
            enclose_response(id, 1 << 10, &mut enclosed, write).unwrap();
            assert_eq!(enclosed[HEADER_SIZE..], sent);
        }
        let mut refused = Vec::new();
        encode_refusal(1, &Error::new(ErrorId::INTERNAL, "no"), &mut refused);
        assert_eq!(open_response(&refused[HEADER_SIZE..]), None);
    }

    #[test]
    fn an_envelope_in_another_form_is_left_to_serde() {
        let traced = sent_by_tarpc(7, 1, "Engage!");
        assert_eq!(Envelope::open(&traced), None);
        assert!(matches!(Incoming::read(&traced), Ok(Incoming::Call(call)) if call.id == 1));
        let plain = sent_by_tarpc(0, 1, "Engage!");
        for end in 0..plain.len() - b"\xa7Engage!".len() {
            assert_eq!(Envelope::open(&plain[..end]), None, "the first {end} bytes");
        }
    }

    #[test]
    fn a_deadline_beyond_the_range_of_durations_is_refused() {
        let mut frame = BEGIN.to_vec();
        write_uint(&mut frame, u64::MAX).unwrap();
        frame.extend_from_slice(NANOS);
        write_uint(&mut frame, 1_000_000_000).unwrap();
        frame.extend_from_slice(TRACE);
        write_uint(&mut frame, 1).unwrap();
        frame.extend_from_slice(MESSAGE);
        assert_eq!(Envelope::open(&frame), None);
        assert!(Incoming::read(&frame).is_err());
    }
}

//! The result of a call on the wire: a map of one entry, `Ok` or `Err`.

use crate::bounds::Wire;
use crate::codec::{self, Encoded, Encoder, split_variant};
use crate::error::{Error, ErrorId, Result};
use crate::travel::{self, Nil, Received, Sent};

/// A map of one entry up to its key `Ok`.
const OK: &[u8] = b"\x81\xa2Ok";

/// The key of a result that is a nil inside options, such as `Ok(Some(None))`. Its value is the number of the
/// options.
const NIL_LEVEL: &str = "Ok?";

/// Writes a result.
///
/// # Errors
/// As [`Encoder::value`].
#[inline]
pub(crate) fn write<T: Wire, E: Wire>(result: &Result<T, E>, encoder: &mut Encoder) -> Encoded {
    match result {
        Ok(value) => match travel::nil_level(value) {
            0 => {
                encoder.raw(OK)?;
                encoder.value(&Sent(value))
            }
            level => {
                encoder.variant(NIL_LEVEL)?;
                encoder.value(&level)
            }
        },
        Err(error) => {
            encoder.raw(b"\x81\xa3Err")?;
            encoder.value(&Sent(error))
        }
    }
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `internal`, if the bytes are not such a result.
pub(crate) fn read<T: Wire, E: Wire>(bytes: &[u8]) -> Result<Result<T, E>> {
    // The fast path: most results are `Ok`.
    if let Some(value) = bytes.strip_prefix(OK) {
        return codec::decode(value).map(|Received(value)| Ok(value));
    }
    match split_variant(bytes) {
        Some(("Ok", value)) => codec::decode(value).map(|Received(value)| Ok(value)),
        Some(("Err", error)) => codec::decode(error).map(|Received(error)| Err(error)),
        Some((NIL_LEVEL, level)) => {
            let nil = Nil::received(codec::decode(level)?);
            nil.and_then(Received::read).map(Ok).map_err(codec::unreadable)
        }
        _ => Err(Error::new(ErrorId::INTERNAL, "the server's answer cannot be read: it is not a result")),
    }
}

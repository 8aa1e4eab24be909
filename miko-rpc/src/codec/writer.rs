//! Writes the parts of MessagePack: heads, texts and numbers.

use std::io::{self, Write};

use rmp_serde::encode::Error;

use crate::bounded::BoundedVec;

/// The result of writing a part of a message.
pub type Encoded = Result<(), Error>;

/// Appends MessagePack to a vector up to a maximum length.
pub(super) struct MessageWriter(BoundedVec);

/// The two forms with entries.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Array,
    Map,
}

/// The head of a map of one entry.
const MAP_OF_ONE: u8 = 0x81;

impl Form {
    /// Calls `write` with the head of this many entries.
    #[inline]
    fn head<R>(self, len: u32, write: impl FnOnce(&[u8]) -> R) -> R {
        let (fixed, of_16_bits, of_32_bits) = match self {
            Self::Array => (0x90, 0xdc, 0xdd),
            Self::Map => (0x80, 0xde, 0xdf),
        };
        let [a, b, c, d] = len.to_be_bytes();
        match len {
            0..=0xf => write(&[fixed | d]),
            0x10..=0xffff => write(&[of_16_bits, c, d]),
            _ => write(&[of_32_bits, a, b, c, d]),
        }
    }
}

/// The error of bytes for which there is no room.
#[cold]
fn unwritten(fault: io::Error) -> Error {
    Error::InvalidValueWrite(rmp::encode::ValueWriteError::InvalidDataWrite(fault))
}

/// The head of a text, where it is one byte.
#[inline]
fn short_head(text: &str) -> Option<u8> {
    u8::try_from(text.len()).ok().filter(|length| *length < 32).map(|length| 0xa0 | length)
}

impl MessageWriter {
    pub(super) fn new(out: Vec<u8>, end: usize) -> Self {
        Self(BoundedVec::new(out, end))
    }

    /// Whether a write was refused.
    pub(super) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Takes the vector, as far as it was written.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.take()
    }

    /// The number of bytes that were written, with those that the vector had before.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes can still be written.
    pub(super) fn left(&self) -> usize {
        self.0.left()
    }

    /// Refuses what is too long.
    #[cold]
    pub(super) fn refuse(&mut self) -> Error {
        unwritten(self.0.refuse())
    }

    /// A length, as a head has it. Refuses a longer one: no frame has as many bytes.
    #[inline]
    fn length(&mut self, len: usize) -> Result<u32, Error> {
        u32::try_from(len).map_err(|_| self.refuse())
    }

    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Encoded {
        self.0.write_all(bytes).map_err(unwritten)
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) -> Encoded {
        match short_head(text) {
            Some(head) => self.0.write_two(&[head], text.as_bytes()).map_err(unwritten),
            None => self.with_length(text.as_bytes(), [0xd9, 0xda, 0xdb]),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Encoded {
        self.with_length(bytes, [0xc4, 0xc5, 0xc6])
    }

    /// Appends content after its length, which has 8, 16 or 32 bits: each has its marker.
    fn with_length(&mut self, content: &[u8], markers: [u8; 3]) -> Encoded {
        let len = self.length(content.len())?;
        let ([a, b, c, d], [of_8_bits, of_16_bits, of_32_bits]) = (len.to_be_bytes(), markers);
        match len {
            0..=0xff => self.0.write_two(&[of_8_bits, d], content),
            0x100..=0xffff => self.0.write_two(&[of_16_bits, c, d], content),
            _ => self.0.write_two(&[of_32_bits, a, b, c, d], content),
        }
        .map_err(unwritten)
    }

    /// Appends a map of one entry up to its key.
    #[inline]
    pub(super) fn variant(&mut self, key: &str) -> Encoded {
        match short_head(key) {
            Some(head) => self.0.write_two(&[MAP_OF_ONE, head], key.as_bytes()).map_err(unwritten),
            None => self.raw(&[MAP_OF_ONE]).and_then(|()| self.text(key)),
        }
    }

    /// Appends the head of an array or a map.
    #[inline]
    pub(super) fn head(&mut self, form: Form, len: usize) -> Encoded {
        let len = self.length(len)?;
        form.head(len, |head| self.raw(head))
    }

    /// Inserts the head of an array or a map at the place where its entries begin.
    #[cold]
    pub(super) fn insert_head(&mut self, place: usize, form: Form, len: usize) -> Encoded {
        let len = self.length(len)?;
        form.head(len, |head| self.0.insert(place, head)).map_err(unwritten)
    }

    #[inline]
    pub(super) fn unsigned(&mut self, number: u64) -> Encoded {
        let [_, _, _, _, e, f, g, h] = number.to_be_bytes();
        match number {
            0..=0x7f => self.raw(&[h]),
            0x80..=0xff => self.raw(&[0xcc, h]),
            0x100..=0xffff => self.raw(&[0xcd, g, h]),
            0x1_0000..=0xffff_ffff => self.raw(&[0xce, e, f, g, h]),
            _ => self.eight_bytes(0xcf, number.to_be_bytes()),
        }
    }

    #[inline]
    pub(super) fn signed(&mut self, number: i64) -> Encoded {
        let [_, _, _, _, e, f, g, h] = number.to_be_bytes();
        match number {
            0.. => self.unsigned(number.cast_unsigned()),
            -0x20..0 => self.raw(&[h]),
            -0x80..-0x20 => self.raw(&[0xd0, h]),
            -0x8000..-0x80 => self.raw(&[0xd1, g, h]),
            -0x8000_0000..-0x8000 => self.raw(&[0xd2, e, f, g, h]),
            _ => self.eight_bytes(0xd3, number.to_be_bytes()),
        }
    }

    pub(super) fn float32(&mut self, number: f32) -> Encoded {
        let [a, b, c, d] = number.to_be_bytes();
        self.raw(&[0xca, a, b, c, d])
    }

    pub(super) fn float64(&mut self, number: f64) -> Encoded {
        self.eight_bytes(0xcb, number.to_be_bytes())
    }

    /// Appends a number of eight bytes.
    #[inline]
    fn eight_bytes(&mut self, marker: u8, bytes: [u8; 8]) -> Encoded {
        let mut whole = [marker; 9];
        whole[1..].copy_from_slice(&bytes);
        self.raw(&whole)
    }

    #[inline]
    pub(super) fn boolean(&mut self, value: bool) -> Encoded {
        self.raw(&[0xc2 | u8::from(value)])
    }

    #[inline]
    pub(super) fn nil(&mut self) -> Encoded {
        self.raw(&[0xc0])
    }

    /// Appends an extension of this type.
    pub(super) fn extension(&mut self, kind: i8, data: &[u8]) -> Encoded {
        let len = self.length(data.len())?;
        rmp::encode::write_ext_meta(&mut self.0, len, kind)?;
        self.raw(data)
    }
}

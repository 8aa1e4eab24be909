//! A window: the part of the text of a worldlet that was read, but was not taken yet. serde_json takes bytes
//! out of the window one by one. A record in the form of an export is taken as a whole, in a twentieth of the
//! time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};

use crate::json::{CheckedObject, TextChecker};

/// If fewer than this number of bytes are left in the window, [`Window::fill`] fills it up to twice this
/// number.
const REFILL_THRESHOLD: usize = 64 << 10;

/// The number of bytes of the longest character in UTF-8.
const MAX_CHARACTER: usize = 4;

/// A part of a text that is being read.
pub(super) struct Window<'r> {
    reader: &'r mut dyn Read,
    text: String,
    /// The number of bytes of `text` that were taken.
    taken: usize,
    /// The bytes that were read after `text`. They begin with an incomplete character, or are not UTF-8 from
    /// their first byte on.
    rest: VecDeque<u8>,
    /// Whether the reader has no more bytes.
    has_ended: bool,
    /// The error of the reader; it is returned after all bytes before it were taken. `None` without an error.
    failure: Option<io::Error>,
    /// The end of the bytes that were taken.
    position: Positions,
    /// The end of the last entry that was taken as a whole.
    last_entry: Positions,
}

/// One place in the text, counted in two ways.
#[derive(Debug, Clone, Copy)]
struct Positions {
    /// As serde_json counts: without the entries that were taken as a whole, which it has not seen.
    by_serde: Position,
    /// In the whole text.
    in_text: Position,
}

impl Positions {
    const START: Self = Self { by_serde: Position::START, in_text: Position::START };
}

/// A position in a text, by the convention of serde_json: the line, from 1, and the number of bytes between
/// the start of the line and the position.
#[derive(Debug, Clone, Copy)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    const START: Self = Self { line: 1, column: 0 };

    fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            None => self.column += bytes.len(),
            Some(last) => {
                self.line += bytes.iter().filter(|byte| **byte == b'\n').count();
                self.column = bytes.len() - last - 1;
            }
        }
    }
}

/// The next entry of an object, as it is in the window.
pub(super) struct Entry<'w> {
    /// The key without its quotes. It has no escapes.
    pub(super) key: &'w str,
    pub(super) value: CheckedObject<'w>,
    /// The number of bytes of the entry, with the comma before it.
    length: usize,
}

impl<'r> Window<'r> {
    pub(super) fn of(reader: &'r mut dyn Read) -> Self {
        Self {
            reader,
            text: String::new(),
            taken: 0,
            rest: VecDeque::new(),
            has_ended: false,
            failure: None,
            position: Positions::START,
            last_entry: Positions::START,
        }
    }

    /// Converts a line and column, as serde_json counts them, to those in the text. The line and column are
    /// those of an error, which serde_json finds after the last entry that was taken as a whole.
    pub(super) fn position_of(&self, line: usize, column: usize) -> (usize, usize) {
        let Positions { by_serde, in_text } = self.last_entry;
        match line.checked_sub(by_serde.line) {
            Some(0) => (in_text.line, in_text.column + column.saturating_sub(by_serde.column)),
            Some(lines) => (in_text.line + lines, column),
            // Not expected: serde_json has read up to the last entry.
            None => (line, column),
        }
    }

    /// The entry `,"key":{…}` at the start of the window: the next one of an object, after an entry that was
    /// taken. `None` if the text has another form, if the object does not pass `checker`, or if the window
    /// does not have the whole entry.
    pub(super) fn entry<'w>(&'w self, checker: &'w mut TextChecker) -> Option<Entry<'w>> {
        let text = &self.text[self.taken..];
        let bytes = text.as_bytes();
        // `skip_spaces` and `expect` take a position in `bytes`, and return the position after the spaces, or
        // after the expected byte.
        let skip_spaces = |at: usize| {
            let is_space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            at + bytes[at..].iter().take_while(is_space).count()
        };
        let expect = |at: usize, byte: u8| (bytes.get(at) == Some(&byte)).then_some(at + 1);
        let key_start = expect(skip_spaces(expect(skip_spaces(0), b',')?), b'"')?;
        let key_length = bytes[key_start..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        let key_end = key_start + key_length;
        let value_start = skip_spaces(expect(skip_spaces(expect(key_end, b'"')?), b':')?);
        let (value, value_length) = checker.check_start(&text[value_start..])?;
        Some(Entry { key: &text[key_start..key_end], value, length: value_start + value_length })
    }

    /// Takes an entry of this length as a whole.
    pub(super) fn take(&mut self, length: usize) {
        self.position.in_text.advance(&self.text.as_bytes()[self.taken..self.taken + length]);
        self.taken += length;
        self.last_entry = self.position;
    }

    /// Reads more text if fewer than [`REFILL_THRESHOLD`] bytes are left. Returns whether the window has more
    /// text than before.
    pub(super) fn fill(&mut self) -> bool {
        let left = self.text.len() - self.taken;
        // An incomplete character has fewer bytes than this. If `rest` has as many, it begins with bytes that
        // are not UTF-8. Nothing is read until serde_json has taken them.
        let is_not_utf8 = self.rest.len() >= MAX_CHARACTER;
        if left >= REFILL_THRESHOLD || self.has_ended || is_not_utf8 {
            return false;
        }
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.drain(..self.taken);
        self.taken = 0;
        bytes.extend(self.rest.drain(..));
        let wanted = (2 * REFILL_THRESHOLD - bytes.len()) as u64;
        match (&mut self.reader).take(wanted).read_to_end(&mut bytes) {
            Ok(read) => self.has_ended = (read as u64) < wanted,
            Err(fault) => {
                self.failure = Some(fault);
                self.has_ended = true;
            }
        }
        let valid = std::str::from_utf8(&bytes).map_or_else(|fault| fault.valid_up_to(), str::len);
        self.rest.extend(bytes.drain(valid..));
        // The bytes are UTF-8. The fallback is unreachable.
        self.text = String::from_utf8(bytes).unwrap_or_default();
        self.text.len() > left
    }

    /// Takes bytes for serde_json: as many as there are and fit into `out`. Returns their number.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = if self.taken < self.text.len() || self.fill() {
            let count = out.len().min(self.text.len() - self.taken);
            out[..count].copy_from_slice(&self.text.as_bytes()[self.taken..self.taken + count]);
            self.taken += count;
            count
        } else {
            // `rest` has bytes that are not UTF-8. They are passed on one by one; serde_json reports them.
            let (Some(slot), Some(byte)) = (out.first_mut(), self.rest.pop_front()) else {
                return self.failure.take().map_or(Ok(0), Err);
            };
            *slot = byte;
            1
        };
        self.position.by_serde.advance(&out[..count]);
        self.position.in_text.advance(&out[..count]);
        Ok(count)
    }
}

impl Entry<'_> {
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// The reader from which serde_json reads. The window is shared, because entries are also taken out of it as
/// a whole.
pub(super) struct WindowReader<'w, 'r>(pub(super) &'w RefCell<Window<'r>>);

impl Read for WindowReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(out)
    }
}

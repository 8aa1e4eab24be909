//! The text of a worldlet, as it is read. serde_json takes it byte by byte; entries of the usual form are
//! taken as a whole, which takes a twentieth of the time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};

use crate::json::{CheckedObject, TextChecker};

/// At least as many bytes are read at once, as long as there are any.
const MIN_FILL: usize = 64 << 10;

/// More bytes than a character has.
const MAX_CHARACTER: usize = 4;

/// A part of a text that is being read.
pub(super) struct Window<'r> {
    reader: &'r mut dyn Read,
    text: String,
    /// The number of bytes of `text` that were taken.
    taken: usize,
    /// The bytes after the text: an incomplete character, or bytes that are not UTF-8.
    rest: VecDeque<u8>,
    /// Whether the reader has no more bytes.
    has_ended: bool,
    /// The error of the reader, until the bytes before it are taken.
    failure: Option<io::Error>,
    /// The position of serde_json, which has not seen the entries that were taken as a whole.
    read: Position,
    /// The position with these entries.
    all: Position,
    /// Both after the last of those entries.
    last_entry: (Position, Position),
}

/// A position in a text, as serde_json counts it.
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
    /// Without its quotes. It has no escapes.
    pub(super) key: &'w str,
    pub(super) value: CheckedObject<'w>,
    /// With the comma before it.
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
            read: Position::START,
            all: Position::START,
            last_entry: (Position::START, Position::START),
        }
    }

    /// The line and column in the text of a place that serde_json has counted without the entries that were
    /// taken as a whole.
    pub(super) fn position_of(&self, line: usize, column: usize) -> (usize, usize) {
        let (read, all) = self.last_entry;
        match line.checked_sub(read.line) {
            Some(0) => (all.line, all.column + column.saturating_sub(read.column)),
            Some(lines) => (all.line + lines, column),
            None => (line, column),
        }
    }

    /// The next entry of an object, after another one: `,"key":{…}`. `None`, if it has another form, or is
    /// not in the window as a whole.
    pub(super) fn entry<'w>(&'w self, checker: &'w mut TextChecker) -> Option<Entry<'w>> {
        let text = &self.text[self.taken..];
        let bytes = text.as_bytes();
        let skip = |at: usize| {
            let is_space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            at + bytes[at..].iter().take_while(is_space).count()
        };
        let expect = |at: usize, byte: u8| (bytes.get(at) == Some(&byte)).then_some(at + 1);
        let key = expect(skip(expect(skip(0), b',')?), b'"')?;
        let key_length = bytes[key..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        let value = skip(expect(skip(expect(key + key_length, b'"')?), b':')?);
        let (checked, length) = checker.check_start(&text[value..])?;
        Some(Entry { key: &text[key..key + key_length], value: checked, length: value + length })
    }

    /// Takes an entry, by its length.
    pub(super) fn take(&mut self, length: usize) {
        self.all.advance(&self.text.as_bytes()[self.taken..self.taken + length]);
        self.taken += length;
        self.last_entry = (self.read, self.all);
    }

    /// Reads more, if little is left. Whether there is more text than before.
    pub(super) fn fill(&mut self) -> bool {
        let left = self.text.len() - self.taken;
        if left >= MIN_FILL || self.has_ended || self.rest.len() >= MAX_CHARACTER {
            return false;
        }
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.drain(..self.taken);
        self.taken = 0;
        bytes.extend(self.rest.drain(..));
        let wanted = (2 * MIN_FILL - bytes.len()) as u64;
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

    /// Takes as many bytes as there are, and fit into `out`. Returns their number.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = if self.taken < self.text.len() || self.fill() {
            let count = out.len().min(self.text.len() - self.taken);
            out[..count].copy_from_slice(&self.text.as_bytes()[self.taken..self.taken + count]);
            self.taken += count;
            count
        } else {
            let (Some(slot), Some(byte)) = (out.first_mut(), self.rest.pop_front()) else {
                return self.failure.take().map_or(Ok(0), Err);
            };
            *slot = byte;
            1
        };
        self.read.advance(&out[..count]);
        self.all.advance(&out[..count]);
        Ok(count)
    }
}

impl Entry<'_> {
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// Reads a window that others read as well.
pub(super) struct WindowReader<'w, 'r>(pub(super) &'w RefCell<Window<'r>>);

impl Read for WindowReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(out)
    }
}

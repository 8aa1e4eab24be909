//! Answers on standard output: one per line in a pipe, indented and coloured on a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use colored_json::{ColorMode, to_colored_json};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::Failure;

/// Writes JSON answers. Each is flushed, since the sender of the request may wait for it.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Indent the answers, also when standard output is not a terminal.
    #[arg(long)]
    pretty: bool,
}

impl Output {
    /// Writes one answer.
    pub(crate) fn write(&self, answer: &RawValue) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let is_interactive = stdout.is_terminal();
        if self.pretty || is_interactive {
            let value = mikobase::json::from_text(answer.get())?;
            if is_interactive {
                let colors = if allows_color() { ColorMode::On } else { ColorMode::Off };
                stdout.write_all(escape_in_json(&to_colored_json(&value, colors)?).as_bytes())?;
            } else {
                serde_json::to_writer_pretty(&mut stdout, &value)?;
            }
        } else {
            stdout.write_all(answer.get().as_bytes())?;
        }
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Serializes a value and writes it as an answer.
    pub(crate) fn write_value(&self, value: &impl Serialize) -> io::Result<()> {
        self.write(&to_raw_value(value)?)
    }
}

/// Standard output for a whole document, whose reader may close the pipe early: `miko export crew.db | head`.
pub(crate) struct Stdout {
    writer: BufWriter<StdoutLock<'static>>,
    /// Whether the reader has closed the pipe, which an error of the engine does not say.
    closed: bool,
}

impl Stdout {
    /// Writes a document with `write` and flushes it.
    ///
    /// # Errors
    /// The failure of `write`; for a broken pipe always [`Failure::Io`].
    pub(crate) fn write_whole(write: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut stdout = Self { writer: BufWriter::new(io::stdout().lock()), closed: false };
        let written = write(&mut stdout).and_then(|()| Ok(stdout.flush()?));
        if stdout.closed { Err(Failure::Io(ErrorKind::BrokenPipe.into())) } else { written }
    }

    fn note_closed<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        self.closed |= outcome.as_ref().is_err_and(|fault| fault.kind() == ErrorKind::BrokenPipe);
        outcome
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes);
        self.note_closed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.note_closed(flushed)
    }
}

/// Text from outside as it may be printed to a terminal: control characters, which a terminal obeys, are
/// replaced by their escapes.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control, |character| character.escape_default().to_string())
}

/// JSON as it may be printed to a terminal. JSON itself escapes only the control characters of ASCII, but for
/// the last; the others can only be in strings.
fn escape_in_json(text: &str) -> Cow<'_, str> {
    escape(
        text,
        |character| ('\u{7f}'..='\u{9f}').contains(&character),
        |character| format!("\\u{:04x}", u32::from(character)),
    )
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool, escape_of: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return text.into();
    }
    text.chars()
        .map(|character| if is_escaped(character) { escape_of(character) } else { character.to_string() })
        .collect::<String>()
        .into()
}

/// Whether colours are allowed, by the convention of <https://no-color.org>.
fn allows_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

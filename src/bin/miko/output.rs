//! Answers on standard output: one per line for programs, indented and coloured for people.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use colored_json::{ColorMode, ToColoredJson};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::Failure;

/// Writes JSON answers, each flushed at once: whoever sent the request may be waiting for it.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Indent the answers, as on a terminal.
    #[arg(long)]
    pretty: bool,
}

impl Output {
    /// Writes one answer.
    pub(crate) fn write(&self, answer: &RawValue) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let for_people = stdout.is_terminal();
        if for_people && is_colour_welcome() {
            stdout.write_all(
                answer.get().to_colored_json(ColorMode::On).map_err(io::Error::other)?.as_bytes(),
            )?;
        } else if self.pretty || for_people {
            let value = mikobase::json::from_text(answer.get())?;
            serde_json::to_writer_pretty(&mut stdout, &value)?;
        } else {
            stdout.write_all(answer.get().as_bytes())?;
        }
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Writes anything as an answer.
    pub(crate) fn write_value(&self, value: &impl Serialize) -> io::Result<()> {
        self.write(&to_raw_value(value)?)
    }
}

/// Standard output for a whole document, which a reader may leave early: `miko export crew.db | head`.
pub(crate) struct Stdout {
    writer: BufWriter<StdoutLock<'static>>,
    /// Whether the reader has closed its end. An error of the engine no longer says so.
    closed: bool,
}

impl Stdout {
    /// Writes a document by `write`, and flushes it.
    ///
    /// # Errors
    /// What `write` fails with; a broken pipe as [`Failure::Io`], whatever `write` made of it.
    pub(crate) fn write_whole(write: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut stdout = Self { writer: BufWriter::new(io::stdout().lock()), closed: false };
        let written = write(&mut stdout).and_then(|()| Ok(stdout.flush()?));
        if stdout.closed { Err(Failure::Io(ErrorKind::BrokenPipe.into())) } else { written }
    }

    fn note<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        self.closed |= outcome.as_ref().is_err_and(|fault| fault.kind() == ErrorKind::BrokenPipe);
        outcome
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.note(flushed)
    }
}

/// By the convention of <https://no-color.org>.
fn is_colour_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

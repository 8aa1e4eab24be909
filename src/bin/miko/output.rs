//! Answers on standard output: one per line for programs, indented for people.

use std::io::{self, IsTerminal, Write};

use serde_json::value::RawValue;

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
        if self.pretty || stdout.is_terminal() {
            let value: serde_json::Value = serde_json::from_str(answer.get())?;
            serde_json::to_writer_pretty(&mut stdout, &value)?;
        } else {
            stdout.write_all(answer.get().as_bytes())?;
        }
        stdout.write_all(b"\n")?;
        stdout.flush()
    }
}

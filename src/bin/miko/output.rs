//! Answers on standard output: one per line for programs, indented and coloured for people.

use std::io::{self, IsTerminal, Write};

use colored_json::{ColorMode, ToColoredJson};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

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

/// By the convention of <https://no-color.org>.
fn is_colour_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

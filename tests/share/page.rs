//! Pages of the documentation whose commands are run, and what they print is compared.

use std::path::Path;
use std::process::{Command, Stdio};

/// A command of the page, and the output that follows it.
pub struct Example {
    pub command: String,
    pub output: String,
}

/// The commands of the page with their outputs: each block `sh` is followed by a block `json` or `text`.
pub fn examples(page: &str) -> Vec<Example> {
    let mut blocks = page.split("```").skip(1).step_by(2);
    let mut examples = Vec::new();
    while let Some(block) = blocks.next() {
        if let Some(command) = block.strip_prefix("sh\n") {
            let output = blocks.next().unwrap();
            let output = output.strip_prefix("json\n").or_else(|| output.strip_prefix("text\n")).unwrap();
            examples.push(Example { command: command.to_owned(), output: output.trim_end().to_owned() });
        }
    }
    examples
}

/// Whether `text` is `pattern`, in which each `…` stands for any text.
pub fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, inner)) = parts.split_last() else { return rest.trim_end().is_empty() };
    for part in inner {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.trim_end().ends_with(last)
}

/// A command line in `folder`, in which `miko` is the program under test. Without a token.
pub fn shell(folder: &Path, line: &str) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_miko")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.env_remove("MIKOBASE_TOKEN").env_remove("MIKOBASE_SOCKET");
    command
}

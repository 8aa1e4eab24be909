//! `miko completions` and `miko man`: generated from the definition of the command.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Stdout;

/// The arguments of `miko completions`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  miko completions bash > ~/.local/share/bash-completion/completions/miko
  miko completions zsh > ~/.zfunc/_miko")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(crate) fn complete(args: &Completions) -> Result<Exit, Failure> {
    // The generator panics if its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "miko", &mut script);
    Stdout::write_whole(|stdout| Ok(stdout.write_all(&script)?))?;
    Ok(Exit::Success)
}

/// The arguments of `miko man`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  miko man | man -l -
  miko man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write a page per subcommand into this folder, which is created if it is missing.
    folder: Option<PathBuf>,
}

pub(crate) fn man(args: &Man) -> Result<Exit, Failure> {
    match &args.folder {
        None => Stdout::write_whole(|stdout| Ok(clap_mangen::Man::new(Cli::command()).render(stdout)?))?,
        Some(folder) => {
            fs::create_dir_all(folder).map_err(Failure::file(folder))?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(Failure::file(folder))?;
        }
    }
    Ok(Exit::Success)
}

//! `miko bench` of a program that was built without the benchmarks.

use crate::exit::{Exit, Failure};

/// Any arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<String>,
}

/// Says how to get the benchmarks.
pub(crate) fn run(_: &Args) -> Result<Exit, Failure> {
    let message = "bench: this program was built without the benchmarks, which bring the clients of the \
                   peers. Build it by `cargo build --release --features bench`, or install it by \
                   `cargo install --path . --features bench`";
    Err(Failure::Usage(message.to_owned()))
}

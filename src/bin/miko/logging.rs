//! Logs the events of the library to standard error.

use clap::ArgAction;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(clap::Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct Args {
    /// Log to standard error: -v shares, recovery, and what went wrong; -vv also workers and connections.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Log by this filter, without -v: a level, or TARGET=LEVEL pairs such as miko_shared::server=debug.
    #[arg(long, value_name = "FILTER", env = "MIKOBASE_LOG", global = true)]
    log: Option<Targets>,
}

/// Starts logging, if it is asked for. Forked processes inherit it; each event is one line.
pub(crate) fn start(args: &Args) {
    let level = match args.verbose {
        0 => None,
        1 => Some(LevelFilter::INFO),
        _ => Some(LevelFilter::DEBUG),
    };
    // A target is matched by its prefix: the packages of the project are `mikobase` and `miko_…`.
    let of_level = level.map(|level| Targets::new().with_target("miko", level));
    // What is said on the command line counts more than the environment.
    let Some(targets) = of_level.or_else(|| args.log.clone()) else { return };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

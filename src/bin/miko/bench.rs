//! `miko bench`: benchmarks a shared Mikobase against its peers on this machine.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use miko_bench::{Cpus, Plan, Setting, Workload, chart, markdown};

use mikobase::{Error, ErrorId};

use crate::exit::{Exit, Failure};

/// The arguments of `miko bench`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The number of workers of each peer; several numbers are measured one after the other.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [20], value_parser = positive)]
    workers: Vec<usize>,
    /// Run each server and its workers on one CPU instead of all.
    #[arg(long)]
    one_cpu: bool,
    /// The peers to measure: by default all that are installed, with `none` only Mikobase.
    #[arg(long, value_name = "PEER,…", value_delimiter = ',', value_parser = peers())]
    peers: Option<Vec<String>>,
    /// The workloads to measure; by default all.
    #[arg(long, value_name = "WORKLOAD,…", value_delimiter = ',', value_parser = workloads())]
    workloads: Option<Vec<String>>,
    /// The number of measured rounds.
    #[arg(long, value_name = "N", default_value_t = Plan::brief().rounds, value_parser = positive)]
    rounds: usize,
    /// The duration of each workload of a peer in a round, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = Plan::brief().slice.as_millis() as u64)]
    slice: u64,
    /// How long a worker computes after each call, in microseconds, to simulate other work.
    #[arg(long, value_name = "US", default_value_t = 0)]
    compute: u64,
    /// The number of records before the first round.
    #[arg(long, value_name = "N", default_value_t = Plan::brief().records, value_parser = positive)]
    records: usize,
    /// The number of other processes that compute all the time, to simulate a machine that is busy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    beside: usize,
    /// Also measure the memory of the server per record, and its growth over this many updates.
    #[arg(long, value_name = "UPDATES", value_parser = positive)]
    memory: Option<usize>,
    /// Also write all rounds of all peers to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the rates of the first setting as an SVG chart.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  miko bench
  miko bench --workers 1,20 --peers redis --workloads read,create --rounds 7
  miko bench --peers none --svg chart.svg
  miko bench --peers hyper --workloads http-read --rounds 9
  miko bench --peers postgresql --workloads find,scan --records 1000000

The tables are Markdown. In each round all peers run in turn, so that noise of the machine affects
all of them: compare the ratios of one run, not the rates of two. Peers that are not installed are
left out.";

/// The smallest number of records with which the workload `find` finds as many as it asks for.
const MIN_RECORDS: usize = 1000;

fn positive(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 is expected".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn peers() -> clap::builder::PossibleValuesParser {
    miko_bench::peers().chain([NO_PEERS]).collect::<Vec<_>>().into()
}

fn workloads() -> clap::builder::PossibleValuesParser {
    Workload::ALL.iter().map(|workload| workload.name()).collect::<Vec<_>>().into()
}

const NO_PEERS: &str = "none";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let plan = plan(args)?;
    let report = miko_bench::run(&plan, &mut |now| eprintln!("miko bench: {now}"));
    let report = report.map_err(|failed| Error::new(ErrorId::INTERNAL, failed.to_string()))?;
    io::stdout().write_all(markdown::write(&report).as_bytes())?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
        fs::write(path, json + "\n").map_err(Failure::file(path))?;
    }
    if let Some((path, &setting)) = args.svg.as_ref().zip(plan.settings.first()) {
        fs::write(path, chart::draw(&report, setting)).map_err(Failure::file(path))?;
    }
    Ok(Exit::Success)
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    if args.records < MIN_RECORDS {
        return Err(Failure::Usage(format!("--records: at least {MIN_RECORDS} are needed")));
    }
    let cpus = if args.one_cpu { Cpus::One } else { Cpus::All };
    let brief = Plan::brief();
    Ok(Plan {
        settings: args.workers.iter().map(|&workers| Setting { workers, cpus }).collect(),
        peers: args.peers.clone().unwrap_or(brief.peers),
        workloads: match &args.workloads {
            // clap has checked that each word is the name of a workload.
            Some(words) => words.iter().filter_map(|word| word.parse().ok()).collect(),
            None => brief.workloads,
        },
        rounds: args.rounds,
        slice: Duration::from_millis(args.slice.max(1)),
        compute: Duration::from_micros(args.compute),
        records: args.records,
        beside: args.beside,
        updates: args.memory,
    })
}

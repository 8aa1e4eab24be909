//! Mikobase beside its peers, in depth: `cargo bench --features bench --bench peers`, some six minutes once
//! it is built.
//!
//! It prints the tables and writes `docs/measurements/peers.{json,md,svg}`. `miko-bench/peers/install.sh`
//! installs the peers. A look takes less: `miko bench`.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use miko_bench::{Plan, chart, markdown};
use mikobase::BoxError;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/measurements");

fn main() -> Result<(), BoxError> {
    if !support::wanted() {
        return Ok(());
    }
    let plan = Plan::thorough();
    let report = miko_bench::run(&plan, &mut |now| eprintln!("{now}"))?;
    let tables = markdown::write(&report);
    println!("{tables}");
    fs::create_dir_all(RESULTS)?;
    let write = |name: &str, text: String| fs::write(Path::new(RESULTS).join(name), text + "\n");
    write("peers.json", serde_json::to_string(&report)?)?;
    let head = "# Mikobase beside its peers\n\n\
                Written by `cargo bench --features bench --bench peers`.\n\n![](peers.svg)\n\n";
    write("peers.md", head.to_owned() + tables.trim_end())?;
    write("peers.svg", chart::draw(&report, plan.settings[0]))?;
    Ok(())
}

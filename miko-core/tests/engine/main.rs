//! What a Mikobase does, asked of the engine on SQLite in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agreement;
mod batch;
mod classed;
mod classes;
mod conditions;
mod errors_page;
mod export;
mod faults;
mod file;
mod hostile;
mod import;
mod indexes;
mod placeholders;
mod property;
mod q0_page;
mod references;
mod regressions;
mod schema;
mod schemas;
mod select;
mod sorting;
mod support;
mod together;
mod uniqueness;
mod validation;
mod wire;
mod worldlets_page;
mod writes;

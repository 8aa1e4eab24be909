//! What a Mikobase does, asked of every engine in this process: SQLite in memory here, the others by `engines.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agreement;
mod batch;
mod classed;
mod classes;
mod conditions;
mod engines;
mod errors_page;
mod export;
mod faults;
mod file;
mod files;
mod history;
mod hostile;
mod import;
mod indexes;
mod markers;
mod merging;
mod name_history;
mod pages;
mod patterns;
mod placeholders;
mod platters;
mod property;
mod q0_page;
mod references;
mod regressions;
mod reserved_keys;
mod schema;
mod schema_agreement;
mod schemas;
mod scripts;
mod select;
mod sorting;
mod streams;
mod support;
mod together;
mod uniqueness;
mod unwritable;
mod validation;
mod wire;
mod worldlet_file;
mod worldlet_forms;
mod worldlets_page;
mod writes;

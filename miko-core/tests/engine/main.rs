//! What a Mikobase does, asked of the engine on SQLite in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod batch;
mod errors_page;
mod export;
mod faults;
mod hostile;
mod property;
mod select;
mod support;
mod wire;
mod writes;

//! Faults and warnings of an input: collects them, names their places, and reads values that report them.
//!
//! Requests, class definitions, records and worldlets are read with these. An input is read to its end, so that one
//! error lists all its faults.

mod abbreviate;
mod fault_list;
mod faults;
mod place;
pub(crate) mod readers;

pub(crate) use abbreviate::abbreviate;
pub(crate) use fault_list::FaultList;
pub use fault_list::MAX_REPORTED_FAULTS;
pub(crate) use faults::Faults;
pub(crate) use place::Place;

//! Collects the faults and warnings of an input, locates them, and reads typed values.
//!
//! Requests, class definitions, records and worldlets are read with this module. Reading continues after a
//! fault, so that one error lists all faults of an input.

mod abbreviate;
mod faults;
mod place;
pub(crate) mod readers;

pub(crate) use abbreviate::abbreviate;
pub(crate) use faults::Faults;
pub(crate) use miko_rpc::FaultList;
pub(crate) use place::Place;

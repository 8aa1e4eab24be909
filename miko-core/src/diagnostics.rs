//! Collects the faults and warnings of an input, names their places, and reads typed values from JSON.
//!
//! Requests, class definitions, records and worldlets are read with this module. Reading continues after a
//! fault, so that one error lists all faults of an input.
//!
//! | subject | module |
//! | --- | --- |
//! | collects faults and warnings | [`faults`] |
//! | the place of a fault, and the messages of faults | [`place`] |
//! | reads a value of a type, or reports a fault | [`readers`] |
//! | shortens values that a fault quotes | [`abbreviate`](mod@abbreviate) |

mod abbreviate;
mod faults;
mod place;
pub(crate) mod readers;

pub(crate) use abbreviate::abbreviate;
pub(crate) use faults::Faults;
pub(crate) use miko_rpc::FaultList;
pub(crate) use place::Place;

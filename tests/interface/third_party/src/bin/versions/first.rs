//! The first version of a program.

use mikobase::prelude::*;

#[mikobase_interface]
trait Abacus {
    fn slide(&self, wire: &str, beads: i64) -> Result<i64>;
}

struct Frame;

impl Abacus for Frame {
    fn slide(&self, _: &str, beads: i64) -> Result<i64> {
        Ok(beads)
    }
}

include!("../../program.rs");

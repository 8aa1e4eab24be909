//! A version in which a method has changed.

use mikobase::prelude::*;

#[mikobase_interface]
trait Abacus {
    fn slide(&self, wire: &str, beads: u8) -> Result<u8>;
}

struct Frame;

impl Abacus for Frame {
    fn slide(&self, _: &str, beads: u8) -> Result<u8> {
        Ok(beads)
    }
}

include!("../../program.rs");

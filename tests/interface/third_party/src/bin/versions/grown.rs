//! A version with another method.

use mikobase::prelude::*;

#[mikobase_interface]
trait Abacus {
    fn reset(&self) -> Result<()>;
    #[interface(idempotent)]
    fn slide(&self, wire: &str, beads: i64) -> Result<i64>;
}

struct Frame;

impl Abacus for Frame {
    fn reset(&self) -> Result<()> {
        Ok(())
    }

    fn slide(&self, _: &str, beads: i64) -> Result<i64> {
        Ok(beads)
    }
}

include!("../../program.rs");

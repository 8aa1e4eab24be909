//! The record was never made, or the path is wrong.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface(surface = "counter.surface.json")]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

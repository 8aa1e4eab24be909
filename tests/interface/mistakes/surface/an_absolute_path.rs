//! A path of one machine would not be found on another.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface(surface = "/counter.surface.json")]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

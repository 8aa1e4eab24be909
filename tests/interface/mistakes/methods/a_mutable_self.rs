//! Many workers hold the object at once, so none of them holds it alone.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&mut self, by: i64) -> Result<i64>;
}

fn main() {}

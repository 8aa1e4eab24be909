//! A constant would have one value in the server and another in a proxy.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    const ZERO: i64;

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

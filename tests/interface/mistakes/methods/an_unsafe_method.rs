//! A caller in another process cannot keep the promises of an unsafe method.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    unsafe fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

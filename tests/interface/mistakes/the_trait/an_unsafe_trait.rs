//! A caller in another process cannot keep the promises of an unsafe trait.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
unsafe trait Counter {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

//! A type travels if serde can write and read it.

use mikobase::{Result, mikobase_interface};

struct Amount(i64);

#[mikobase_interface]
trait Counter {
    fn add(&self, by: Amount) -> Result<i64>;
}

fn main() {}

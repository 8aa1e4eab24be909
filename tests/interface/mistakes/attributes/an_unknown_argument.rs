//! A misspelt argument would silently do nothing.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface(version = 2)]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

//! A message has to say which type it carries.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, by: impl Into<i64>) -> Result<i64>;
}

fn main() {}

//! A remote method is there for every caller.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>
    where
        Self: Sized;
}

fn main() {}

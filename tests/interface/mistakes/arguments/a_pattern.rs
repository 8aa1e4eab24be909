//! JSON callers name their params, and a pattern has no name.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, (by, times): (i64, i64)) -> Result<i64> {
        Ok(by * times)
    }
}

fn main() {}

//! The method runs elsewhere: how its body uses an argument is not part of its signature.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, mut by: i64) -> Result<i64> {
        by += 1;
        Ok(by)
    }
}

fn main() {}

//! A remote method is called by a message; an ABI of its own means nothing.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    extern "C" fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

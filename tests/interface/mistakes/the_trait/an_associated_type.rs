//! Server and client are built apart, and could choose different types.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    type Number;

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

//! An engine is synchronous, and a worker calls it so.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    async fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

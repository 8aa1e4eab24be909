//! What a proxy must be is fixed: it cannot keep any other promise.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter
where
    Self: Clone,
 {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

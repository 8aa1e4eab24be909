//! Two builds with different features would have different surfaces.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, by: i64, #[cfg(debug_assertions)] times: u8) -> Result<i64>;
}

fn main() {}

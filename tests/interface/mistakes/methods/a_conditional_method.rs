//! Two builds with different features would have different surfaces.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[cfg(debug_assertions)]
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

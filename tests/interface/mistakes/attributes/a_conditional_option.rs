//! Two builds with different features would have different surfaces.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[cfg_attr(debug_assertions, interface(read))]
    fn get(&self) -> Result<i64>;
}

fn main() {}

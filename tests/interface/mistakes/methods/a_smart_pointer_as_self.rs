//! How the server keeps the object is nothing a caller can know.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(self: std::sync::Arc<Self>, by: i64) -> Result<i64>;
}

fn main() {}

//! The name of a method is its name on the wire and in URLs.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn größe(&self) -> Result<u64>;
}

fn main() {}

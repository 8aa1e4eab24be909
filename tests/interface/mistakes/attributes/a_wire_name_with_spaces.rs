//! A wire name is part of URLs and command lines.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(name = "get it")]
    fn get(&self) -> Result<i64>;
}

fn main() {}

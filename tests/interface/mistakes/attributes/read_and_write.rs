//! A method that writes does not only read.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(read, write)]
    fn get(&self) -> Result<i64>;
}

fn main() {}

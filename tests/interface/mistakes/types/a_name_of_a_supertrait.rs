//! The names of an interface and its supertraits are one list on the wire.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn get(&self) -> Result<i64>;
}

#[mikobase_interface]
trait NamedCounter: Counter {
    fn get(&self, name: &str) -> Result<i64>;
}

fn main() {}

//! A call can fail in transport, and a number cannot represent that.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    fn get(&self) -> u64;
}

fn main() {}

//! A call can fail on its way, and a number cannot say so.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    fn get(&self) -> u64;
}

fn main() {}

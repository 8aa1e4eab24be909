//! When a call fails in transport, the caller gets that failure as the error of the method.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    fn get(&self) -> Result<i64, String>;
}

fn main() {}

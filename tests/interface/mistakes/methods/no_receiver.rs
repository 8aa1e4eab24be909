//! A method is called on the shared object; without a receiver there is none.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn new() -> Result<()>;
}

fn main() {}

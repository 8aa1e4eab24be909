//! What a method returns crosses to another process, which cannot borrow from this one.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn name(&self) -> Result<&str>;
}

fn main() {}

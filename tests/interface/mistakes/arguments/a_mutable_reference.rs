//! The caller's value is in the caller's process: nothing can write to it from afar.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn fill(&self, buffer: &mut Vec<u8>) -> Result<()>;
}

fn main() {}

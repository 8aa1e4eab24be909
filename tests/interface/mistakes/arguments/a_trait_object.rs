//! What is behind a trait object cannot be written down.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn log(&self, to: Box<dyn Send>) -> Result<()>;
}

fn main() {}

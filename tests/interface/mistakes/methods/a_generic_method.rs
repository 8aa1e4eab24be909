//! A message has to say which type it carries, and a type parameter leaves that open.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add<N>(&self, by: N) -> Result<()>;
}

fn main() {}

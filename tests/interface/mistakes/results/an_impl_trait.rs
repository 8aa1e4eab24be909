//! A message has to say which type it carries.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn all(&self) -> Result<impl Iterator<Item = i64>>;
}

fn main() {}

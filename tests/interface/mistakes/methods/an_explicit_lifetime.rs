//! Nothing that is borrowed crosses to another process, so there is no lifetime to name.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn name<'a>(&'a self, of: &'a str) -> Result<String>;
}

fn main() {}

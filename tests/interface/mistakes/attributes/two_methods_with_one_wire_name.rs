//! A message names its method, and only one can be meant.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(name = "add")]
    fn add_amount(&self, by: i64) -> Result<i64>;

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

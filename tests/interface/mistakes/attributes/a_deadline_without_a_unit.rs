//! A number without a unit is read differently by everybody.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(deadline = "30")]
    fn get(&self) -> Result<i64>;

    #[interface(deadline = "0s")]
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

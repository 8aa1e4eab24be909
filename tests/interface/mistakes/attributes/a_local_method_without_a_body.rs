//! A proxy has nothing to run for it.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(local)]
    fn add_two(&self) -> Result<i64>;

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

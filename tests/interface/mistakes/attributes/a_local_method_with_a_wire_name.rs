//! A local method is never called over the wire.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(local, name = "plus")]
    fn add_two(&self) -> Result<i64> {
        self.add(2)
    }

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

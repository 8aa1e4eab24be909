//! A generic method keeps `dyn Trait`, which is what is shared, from existing.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(local)]
    fn add_all<N: Into<i64>>(&self, amounts: Vec<N>) -> Result<()> {
        amounts.into_iter().try_for_each(|by| self.add(by.into()).map(drop))
    }

    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

//! A method added to the trait is missing in its engines, and the compiler says in which.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;

    fn added_later(&self) -> Result<i64>;
}

struct Engine;

impl Counter for Engine {
    fn add(&self, by: i64) -> Result<i64> {
        Ok(by)
    }
}

fn main() {}

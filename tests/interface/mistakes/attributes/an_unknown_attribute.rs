//! A misspelt attribute would silently do nothing.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(readonly)]
    fn get(&self) -> Result<i64>;

    #[interface(retries = 3)]
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

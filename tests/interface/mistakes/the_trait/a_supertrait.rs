//! The generated proxy implements the trait, and would have to implement its supertraits.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter: std::fmt::Display + Send {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

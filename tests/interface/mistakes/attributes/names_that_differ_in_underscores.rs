//! The generated messages have a variant per method: `AddOne` for both of these.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
#[allow(non_snake_case)]
trait Counter {
    fn add_one(&self) -> Result<i64>;

    fn add__one(&self) -> Result<i64>;
}

fn main() {}

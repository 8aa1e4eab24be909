//! `&str` travels as a `String`; how a reference further inside would travel, nobody knows.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn find(&self, name: Option<&str>, all: Vec<&str>) -> Result<i64>;
}

fn main() {}

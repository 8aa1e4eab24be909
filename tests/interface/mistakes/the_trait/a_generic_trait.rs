//! Server and client are built apart, and could fill in different types.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter<T> {
    fn add(&self, by: T) -> Result<()>;
}

fn main() {}

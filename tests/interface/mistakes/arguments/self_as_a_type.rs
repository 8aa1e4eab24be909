//! `Self` is an engine in the server and a proxy in the worker.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn merge(&self, other: &Self) -> Result<()>;
}

fn main() {}

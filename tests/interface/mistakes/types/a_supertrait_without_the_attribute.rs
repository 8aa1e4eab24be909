//! A supertrait is another interface: the proxy implements it by calling the server.

use mikobase::{Result, mikobase_interface};

trait Named {
    fn name(&self) -> String;
}

#[mikobase_interface]
trait Counter: Named {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

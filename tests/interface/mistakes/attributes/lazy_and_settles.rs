//! One is about the object that a method returns, the other about the object of the method.

use mikobase::{Remote, Result, mikobase_interface};

#[mikobase_interface]
trait Desk: Send + Sync {
    #[interface(lazy, settles)]
    fn drawer(&self) -> Result<Remote<dyn Desk>>;
}

fn main() {}

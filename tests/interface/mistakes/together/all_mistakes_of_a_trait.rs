//! All mistakes of a trait are reported at once, and the trait is still there for those who use it.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter: Clone {
    const ZERO: u64;

    fn change(&mut self) -> Result<()>;

    #[interface(readonly)]
    fn find(&self, name: Option<&str>) -> u64;
}

fn zero_of<C: Counter>(_: &C) -> u64 {
    C::ZERO
}

fn main() {}

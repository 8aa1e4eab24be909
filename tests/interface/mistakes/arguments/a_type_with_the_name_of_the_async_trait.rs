//! The async trait has its own module, which imports the names around the trait. Its own name is taken there.

use mikobase::{Result, mikobase_interface};

type CounterAsync = bool;

#[mikobase_interface]
trait Counter {
    fn set_mode(&self, mode: CounterAsync) -> Result<()>;
}

fn main() {}

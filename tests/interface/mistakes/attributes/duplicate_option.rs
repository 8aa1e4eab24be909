//! Of two deadlines one would be ignored.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    #[interface(deadline = "1s", deadline = "2s")]
    fn get(&self) -> Result<i64>;
}

fn main() {}

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;
    #[interface(name = "add")]
    fn increase(&self, by: i64) -> Result<i64>;
}

fn main() {}

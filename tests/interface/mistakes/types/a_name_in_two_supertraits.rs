//! Two interfaces of the same name are two interfaces.

use mikobase::{Result, mikobase_interface};

mod a {
    #[mikobase::mikobase_interface]
    pub trait Part {
        fn get(&self) -> mikobase::Result<i64>;
    }
}

mod b {
    #[mikobase::mikobase_interface]
    pub trait Part {
        fn get(&self) -> mikobase::Result<i64>;
    }
}

#[mikobase_interface]
trait Both: a::Part + b::Part {
    fn add(&self, by: i64) -> Result<i64>;
}

fn main() {}

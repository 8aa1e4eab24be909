//! The attribute sees a macro before it is expanded, and cannot look inside.

use mikobase::{Result, mikobase_interface};

macro_rules! methods {
    () => {
        fn subtract(&self, by: i64) -> Result<i64>;
    };
}

#[mikobase_interface]
trait Counter {
    fn add(&self, by: i64) -> Result<i64>;

    methods!();
}

fn main() {}

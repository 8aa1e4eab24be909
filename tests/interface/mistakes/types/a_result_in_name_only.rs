//! The attribute sees names only; whether a type is a `Result` is for the type checker.

use mikobase::mikobase_interface;

type LookupResult = Option<i64>;

#[mikobase_interface]
trait Counter {
    fn get(&self) -> LookupResult;
}

fn main() {}

//! Only a trait says what can be called.

use mikobase::mikobase_interface;

#[mikobase_interface]
struct Counter {
    value: u64,
}

fn main() {
    let _ = Counter { value: 1 };
}

//! A call can fail on its way, and nothing could say so.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    fn reset(&self);
}

fn main() {}

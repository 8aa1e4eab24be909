//! A call can fail in transport, and nothing could represent that.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    fn reset(&self);
}

fn main() {}

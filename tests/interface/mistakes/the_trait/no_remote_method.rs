//! An interface of local methods only leaves nothing to share.

use mikobase::mikobase_interface;

#[mikobase_interface]
trait Counter {
    #[interface(local)]
    fn zero(&self) -> u64 {
        0
    }
}

fn main() {}

//! The object stays in its server: nobody can take it out.

use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter {
    fn close(self) -> Result<()>;
}

fn main() {}

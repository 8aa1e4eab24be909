//! A lazy call is sent with the first call on the object that it returns, and that call has its error.

use mikobase::{Remote, Result, mikobase_interface};

#[mikobase_interface]
trait Desk: Send + Sync {
    fn note(&self) -> Result<()>;
}

#[mikobase_interface]
trait Office {
    #[interface(lazy)]
    fn desk(&self) -> Result<Option<Remote<dyn Desk>>>;

    #[interface(lazy)]
    fn name(&self) -> Result<String>;

    #[interface(lazy)]
    fn own_error(&self) -> std::result::Result<Remote<dyn Desk>, mikobase::Error>;
}

fn main() {}

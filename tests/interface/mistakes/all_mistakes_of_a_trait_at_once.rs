use mikobase::{Result, mikobase_interface};

#[mikobase_interface]
trait Counter: Clone {
    type Number;
    const ZERO: u64;
    async fn wait(&self) -> Result<()>;
    fn change(&mut self) -> Result<()>;
    fn consume(self) -> Result<()>;
    fn new() -> Result<()>;
    fn generic<T>(&self, value: T) -> Result<()>;
    fn lifetime<'a>(&'a self, name: &'a str) -> Result<()>;
    fn some(&self, value: impl ToString) -> Result<()>;
    fn exclusive(&self, value: &mut u64) -> Result<()>;
    fn inside(&self, values: Vec<&str>) -> Result<()>;
    fn returned(&self) -> Result<&str>;
    fn pattern(&self, (a, b): (u64, u64)) -> Result<()>;
    fn nothing(&self);
    fn no_result(&self) -> u64;
    #[interface(local)]
    fn local_without_body(&self) -> u64;
}

// The trait itself is still there: that it is used is no second mistake.
fn use_it(_: &impl Counter) {}

fn main() {}

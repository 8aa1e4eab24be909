use mikobase::{Result, mikobase_interface};

#[mikobase_interface(color = "red")]
trait Counter {
    #[interface(fast)]
    fn add(&self, by: i64) -> Result<i64>;
    #[interface(read, write)]
    fn both(&self) -> Result<i64>;
    #[interface(local, idempotent)]
    fn local(&self) -> Result<i64> {
        self.both()
    }
    #[interface(deadline = "soon")]
    fn deadline(&self) -> Result<i64>;
    #[interface(name = "")]
    fn named(&self) -> Result<i64>;
}

fn main() {}

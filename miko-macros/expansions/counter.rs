use mikobase::{Result, mikobase_interface};

/// Counts.
#[mikobase_interface(surface = "schema/counter.surface.json")]
pub trait Counter {
    /// Adds `by` to the counter called `name`, and gives its new value.
    #[interface(deadline = "5s")]
    fn add(&self, name: &str, by: i64) -> Result<i64>;

    /// The value of the counter called `name`.
    #[interface(read)]
    fn get(&self, name: &str) -> Result<Option<i64>>;

    /// Adds one.
    #[interface(local)]
    fn increment(&self, name: &str) -> Result<i64> {
        self.add(name, 1)
    }
}

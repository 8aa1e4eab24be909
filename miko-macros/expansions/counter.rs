use mikobase::{Result, mikobase_interface};

/// Counts.
#[mikobase_interface]
pub trait Counter {
    /// Adds `by` and gives the new value.
    #[interface(write, deadline = "5s")]
    fn add(&self, name: &str, by: i64) -> Result<i64>;

    /// All values by name.
    #[interface(read)]
    fn all(&self) -> Result<Vec<(String, i64)>>;

    /// Adds one.
    #[interface(local)]
    fn increment(&self, name: &str) -> Result<i64> {
        self.add(name, 1)
    }
}

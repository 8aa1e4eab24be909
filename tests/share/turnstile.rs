//! An interface that counts how often its methods were run, for cases in which that is in doubt.

use std::cell::Cell;
use std::sync::OnceLock;

use mikobase::prelude::*;
use mikobase::{Result, Share};

use crate::support::Signal;

/// A turnstile that counts. What its methods promise is not true, so that a test sees what is repeated.
#[mikobase_interface]
pub trait Turnstile {
    /// Counts, and claims that doing it twice is doing it once.
    #[interface(idempotent)]
    fn push(&self) -> Result<u64>;

    /// Counts.
    fn pass(&self) -> Result<u64>;

    /// How often it has counted.
    #[interface(read)]
    fn count(&self) -> Result<u64>;

    /// Counts once the test lets it go on; nobody waits long for it.
    #[interface(idempotent, deadline = "300ms")]
    fn queue(&self) -> Result<u64>;

    /// Gives back what it was given.
    #[interface(read)]
    fn echo(&self, bytes: Vec<u8>) -> Result<Vec<u8>>;

    /// Fails.
    fn jam(&self) -> Result<()>;
}

/// Lets `queue` go on. It reaches the server process by the fork.
pub static LET_GO: OnceLock<Signal> = OnceLock::new();

#[derive(Default)]
pub struct Counting(Cell<u64>);

impl Turnstile for Counting {
    fn push(&self) -> Result<u64> {
        self.0.set(self.0.get() + 1);
        Ok(self.0.get())
    }

    fn pass(&self) -> Result<u64> {
        self.push()
    }

    fn count(&self) -> Result<u64> {
        Ok(self.0.get())
    }

    fn queue(&self) -> Result<u64> {
        LET_GO.get().unwrap().hear();
        self.push()
    }

    fn echo(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn jam(&self) -> Result<()> {
        Err(Error::new(ErrorId::CONFLICT, "it is jammed"))
    }
}

/// A server of a turnstile, without workers.
pub fn turnstile(uds: &Uds) -> Share<'_, dyn Turnstile, ()> {
    LET_GO.get_or_init(Signal::new);
    uds.spawn_share::<dyn Turnstile, ()>(0, || Ok(Box::new(Counting::default())), |_, _| Ok(())).unwrap()
}

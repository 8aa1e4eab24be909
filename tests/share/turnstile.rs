//! An interface that counts how often its methods were run, for cases with repeated calls.

use std::cell::Cell;
use std::sync::OnceLock;

use mikobase::prelude::*;
use mikobase::{Result, Share};

use crate::support::Event;

/// A turnstile that counts. The attributes of its methods are not true, so that a test sees which calls are
/// repeated.
#[mikobase_interface]
pub trait Turnstile {
    /// Counts, and claims to be idempotent.
    #[interface(idempotent)]
    fn push(&self) -> Result<u64>;

    /// Counts.
    fn pass(&self) -> Result<u64>;

    /// How often it has counted.
    #[interface(read)]
    fn count(&self) -> Result<u64>;

    /// Counts when the test releases it; has a short deadline.
    #[interface(idempotent, deadline = "300ms")]
    fn queue(&self) -> Result<u64>;

    /// Returns its argument.
    #[interface(read)]
    fn echo(&self, bytes: Vec<u8>) -> Result<Vec<u8>>;

    /// Fails.
    fn jam(&self) -> Result<()>;
}

/// Releases `queue`. The server process inherits it by the fork.
pub static RELEASE: OnceLock<Event> = OnceLock::new();

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
        RELEASE.get().unwrap().wait();
        self.push()
    }

    fn echo(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn jam(&self) -> Result<()> {
        Err(Error::new(ErrorId::CONFLICT, "it is jammed"))
    }
}

/// A share of a turnstile, without workers.
pub fn turnstile(uds: &Uds) -> Share<'_, dyn Turnstile, ()> {
    RELEASE.get_or_init(Event::new);
    uds.spawn_share::<dyn Turnstile, ()>(0, || Ok(Box::new(Counting::default())), |_, _| Ok(())).unwrap()
}

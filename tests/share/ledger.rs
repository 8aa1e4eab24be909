//! An interface whose methods wait at a gate.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mikobase::prelude::*;
use mikobase::{Gate, GateMode, Pass, Remote, Share};

/// A list that is written by one at a time.
#[mikobase_interface]
pub trait Ledger {
    /// Takes the gate until the object is dropped.
    fn hold(&self) -> Result<Remote<dyn Hold>>;

    /// Adds an entry. Waits at most this many milliseconds.
    fn write(&self, entry: &str, limit: u64) -> Result<()>;

    /// As `write`, together with others.
    #[interface(deadline = "200ms")]
    fn write_shared(&self, entry: &str) -> Result<()>;

    /// Panics inside the gate.
    fn fail(&self) -> Result<()>;

    /// Adds an entry by a thread of the server, which waits like everybody.
    fn write_by_thread(&self, entry: &str) -> Result<()>;

    /// How many wait.
    fn waiting(&self) -> Result<usize>;

    /// The entries in order, and how often a write was attempted.
    fn entries(&self) -> Result<(Vec<String>, u64)>;
}

/// The gate is entered.
#[mikobase_interface]
pub trait Hold: Send + Sync {
    /// Adds an entry inside the gate.
    fn write(&self, entry: &str) -> Result<()>;
}

const LONG: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Book {
    gate: Gate,
    entries: Arc<Mutex<Vec<String>>>,
    attempts: Cell<u64>,
}

struct Held {
    entries: Arc<Mutex<Vec<String>>>,
    _pass: Pass,
}

impl Hold for Held {
    fn write(&self, entry: &str) -> Result<()> {
        self.entries.lock().unwrap().push(entry.to_owned());
        Ok(())
    }
}

impl Book {
    fn write_as(&self, mode: GateMode, entry: &str, limit: Duration) -> Result<()> {
        self.attempts.set(self.attempts.get() + 1);
        let _pass = self.gate.enter(mode, limit)?;
        self.entries.lock().unwrap().push(entry.to_owned());
        Ok(())
    }
}

impl Ledger for Book {
    fn hold(&self) -> Result<Remote<dyn Hold>> {
        let _pass = self.gate.enter(GateMode::Exclusive, LONG)?;
        Ok(Remote::local(Box::new(Held { entries: Arc::clone(&self.entries), _pass })))
    }

    fn write(&self, entry: &str, limit: u64) -> Result<()> {
        self.write_as(GateMode::Exclusive, entry, Duration::from_millis(limit))
    }

    fn write_shared(&self, entry: &str) -> Result<()> {
        self.write_as(GateMode::Shared, entry, LONG)
    }

    fn fail(&self) -> Result<()> {
        let _pass = self.gate.enter(GateMode::Exclusive, LONG)?;
        panic!("inside the gate");
    }

    fn write_by_thread(&self, entry: &str) -> Result<()> {
        let (gate, entries, entry) = (self.gate.clone(), Arc::clone(&self.entries), entry.to_owned());
        thread::spawn(move || {
            let _pass = gate.enter(GateMode::Exclusive, LONG).unwrap();
            entries.lock().unwrap().push(entry);
        });
        Ok(())
    }

    fn waiting(&self) -> Result<usize> {
        Ok(self.gate.waiting())
    }

    fn entries(&self) -> Result<(Vec<String>, u64)> {
        Ok((self.entries.lock().unwrap().clone(), self.attempts.get()))
    }
}

/// A share of a ledger, without workers.
pub fn ledger(uds: &Uds) -> Share<'_, dyn Ledger, ()> {
    uds.spawn_share::<dyn Ledger, ()>(0, || Ok(Box::new(Book::default())), |_, _| Ok(())).unwrap()
}

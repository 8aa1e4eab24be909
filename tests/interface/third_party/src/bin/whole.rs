//! All features of an interface, with `mikobase` as the only dependency.

use std::sync::Mutex;

use mikobase::prelude::*;

/// Beads on wires.
#[mikobase_interface(surface = "abacus.surface.json")]
pub trait Abacus {
    /// Moves beads on a wire and returns their number.
    fn slide(&self, wire: &str, beads: i64) -> Result<i64>;

    /// All wires.
    #[interface(read)]
    fn wires(&self) -> Result<Vec<(String, i64)>>;

    /// The sum of all wires.
    #[interface(local)]
    fn sum(&self) -> Result<i64> {
        Ok(self.wires()?.iter().map(|(_, beads)| beads).sum())
    }
}

#[derive(Default)]
struct Frame(Mutex<Vec<(String, i64)>>);

impl Abacus for Frame {
    fn slide(&self, wire: &str, beads: i64) -> Result<i64> {
        let mut wires = self.0.lock().unwrap();
        if let Some((_, there)) = wires.iter_mut().find(|(name, _)| name == wire) {
            *there += beads;
            return Ok(*there);
        }
        wires.push((wire.to_owned(), beads));
        Ok(beads)
    }

    fn wires(&self) -> Result<Vec<(String, i64)>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Takes an implementation and a proxy alike.
fn slide_twice(abacus: &dyn Abacus, wire: &str) -> Result<i64> {
    abacus.slide(wire, 1)?;
    abacus.slide(wire, 1)
}

fn main() {
    let engine: &dyn Abacus = &Frame::default();
    println!("an engine: {}", slide_twice(engine, "units").unwrap());

    let report = Uds::new()
        .unwrap()
        .share::<dyn Abacus, i64>(
            4,
            || Ok(Box::new(Frame::default())),
            |abacus, worker| {
                slide_twice(abacus, if worker.index() % 2 == 0 { "even" } else { "odd" })?;
                let by_name: &dyn Abacus = abacus;
                let dispatched = by_name.dispatch("slide", json!({"wire": "tens", "beads": 10}))?;
                assert!(dispatched.get().parse::<i64>()? >= 10);
                Ok(abacus.sum()?)
            },
        )
        .unwrap();
    println!("four workers: {}", report.into_returned().unwrap().into_iter().max().unwrap());

    let surface = <dyn Abacus as Interface>::surface();
    println!("the surface: {} {}", surface.version, surface.methods[0]);
}

//! What lives with a connection, against plain calls in the same run: `cargo bench --bench sessions`.
//!
//! Each row is the median of several rounds, which are interleaved.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Gate, GateMode, Pass, Remote, Stream, Token};
use store_rpc::{StoreAsync, StoreAsyncClient, StoreClient};

/// How often everything is measured.
const ROUNDS: usize = 5;

const CALLS: u32 = 20_000;
const ITEMS: u64 = 1_000_000;

#[mikobase_interface]
trait Store {
    fn ping(&self, number: u64) -> Result<u64>;
    fn numbers(&self, count: u64) -> Result<Stream<u64>>;
    fn open(&self) -> Result<Remote<dyn Object>>;
    fn hold(&self) -> Result<Remote<dyn Object>>;
    fn write(&self) -> Result<()>;
    fn waiting(&self) -> Result<usize>;
}

#[mikobase_interface]
trait Object: Send + Sync {
    fn ping(&self, number: u64) -> Result<u64>;
}

#[derive(Default)]
struct Served(Gate);

struct Held(#[allow(dead_code, reason = "it is held")] Option<Pass>);

const LONG: Duration = Duration::from_secs(60);

impl Store for Served {
    fn ping(&self, number: u64) -> Result<u64> {
        Ok(number)
    }

    fn numbers(&self, count: u64) -> Result<Stream<u64>> {
        Ok(Stream::of(0..count))
    }

    fn open(&self) -> Result<Remote<dyn Object>> {
        Ok(Remote::local(Box::new(Held(None))))
    }

    fn hold(&self) -> Result<Remote<dyn Object>> {
        Ok(Remote::local(Box::new(Held(Some(self.0.enter(GateMode::Exclusive, LONG)?)))))
    }

    fn write(&self) -> Result<()> {
        self.0.enter(GateMode::Shared, LONG).map(drop)
    }

    fn waiting(&self) -> Result<usize> {
        Ok(self.0.waiting())
    }
}

impl Object for Held {
    fn ping(&self, number: u64) -> Result<u64> {
        Ok(number)
    }
}

/// Nanoseconds per operation, of the rows in their order.
type Round = Vec<(&'static str, f64)>;

fn main() -> Result<(), BoxError> {
    let uds = Uds::new()?;
    let share = uds.spawn_share::<dyn Store, ()>(0, || Ok(Box::<Served>::default()), |_, _| Ok(()))?;
    let rounds: Vec<Round> =
        (0..ROUNDS).map(|_| round(share.path(), share.token())).collect::<Result<_>>()?;
    println!("| operation | µs each | ratio to a plain call |\n| --- | --- | --- |");
    let median = |row: usize| {
        let mut times: Vec<f64> = rounds.iter().map(|round| round[row].1).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    for (row, (name, _)) in rounds[0].iter().enumerate() {
        println!("| {name} | {:.2} | {:.2}× |", median(row) / 1000.0, median(row) / median(0));
    }
    share.join()?;
    Ok(())
}

fn round(path: &Path, token: &Token) -> Result<Round> {
    let store = Arc::new(StoreClient::connect(path, token)?);
    let mut round = Round::new();
    round.push(("plain call", per_call(|| store.ping(1))?));
    let begun = Instant::now();
    let mut items = store.numbers(ITEMS)?;
    while let Some(item) = items.recv() {
        item?;
    }
    round.push(("item of a stream of a million", nanoseconds(begun) / ITEMS as f64));
    let object = store.open()?;
    round.push(("call on an object", per_call(|| object.ping(1))?));
    let mut idle = store.numbers(ITEMS)?;
    idle.recv();
    let objects: Vec<_> = (0..100).map(|_| store.open()).collect::<Result<_>>()?;
    round.push(("plain call beside an idle stream and 100 objects", per_call(|| store.ping(1))?));
    drop((idle, objects, object));
    for threads in [2, 8] {
        let begun = Instant::now();
        let callers: Vec<_> = (0..threads)
            .map(|_| {
                let store = Arc::clone(&store);
                thread::spawn(move || (0..CALLS / threads).try_for_each(|_| store.ping(1).map(drop)))
            })
            .collect();
        for caller in callers {
            caller.join().map_err(|_| Error::new(ErrorId::INTERNAL, "a thread panicked"))??;
        }
        let name =
            if threads == 2 { "call of 2 threads on one proxy" } else { "call of 8 threads on one proxy" };
        round.push((name, nanoseconds(begun) / f64::from(CALLS)));
    }
    round.push((
        "a writer goes on after a holder has ended",
        hand_over(&store, &StoreClient::connect(path, token)?)?,
    ));
    round.push(("async call", async_call(path, token)?));
    Ok(round)
}

fn per_call<R>(mut call: impl FnMut() -> Result<R>) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call()?;
    }
    Ok(nanoseconds(begun) / f64::from(CALLS))
}

/// From the drop of an object that is alone at a gate to the answer of the write behind it.
fn hand_over(store: &StoreClient, other: &StoreClient) -> Result<f64> {
    const TIMES: u32 = 200;
    let mut total = 0.0;
    for _ in 0..TIMES {
        let held = store.hold()?;
        total += thread::scope(|scope| {
            let writer = scope.spawn(|| other.write().map(|()| Instant::now()));
            while store.waiting()? == 0 {}
            let begun = Instant::now();
            drop(held);
            let ended = writer.join().map_err(|_| Error::new(ErrorId::INTERNAL, "a thread panicked"))??;
            Ok::<f64, Error>((ended - begun).as_nanos() as f64)
        })?;
    }
    Ok(total / f64::from(TIMES))
}

/// An async call, one at a time.
fn async_call(path: &Path, token: &Token) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no runtime", fault))?;
    runtime.block_on(async {
        let store = StoreAsyncClient::connect(path, token).await?;
        let begun = Instant::now();
        for _ in 0..CALLS {
            store.ping(1).await?;
        }
        Ok(nanoseconds(begun) / f64::from(CALLS))
    })
}

fn nanoseconds(begun: Instant) -> f64 {
    begun.elapsed().as_nanos() as f64
}

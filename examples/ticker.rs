//! A feed: `cargo run --example ticker`.
//!
//! One worker publishes prices, others read them as they come. A reader that is too slow for the feed is told
//! how many it missed, and goes on; the server does not wait for it.
#![allow(clippy::print_stdout, reason = "an example")]

use std::thread::sleep;
use std::time::Duration;

use mikobase::{BoxError, ErrorId, Hub, Overflow, Result, Stream, Uds, mikobase_interface};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Price {
    share: String,
    cents: u64,
}

#[mikobase_interface]
trait Ticker {
    /// The prices from now on.
    fn prices(&self) -> Result<Stream<Price>>;
    fn publish(&self, price: Price) -> Result<u64>;
    /// How many read the prices.
    fn readers(&self) -> Result<usize>;
}

impl Ticker for Hub<Price> {
    fn prices(&self) -> Result<Stream<Price>> {
        Ok(self.subscribe())
    }

    fn publish(&self, price: Price) -> Result<u64> {
        Ok(Hub::publish(self, price))
    }

    fn readers(&self) -> Result<usize> {
        Ok(self.subscribers())
    }
}

const PRICES: u64 = 10_000;

fn main() -> Result<(), BoxError> {
    let open = || Ok(Box::new(Hub::new(1000, Overflow::DropOldest)) as _);
    let report = Uds::new()?.share::<dyn Ticker, (u64, u64)>(3, open, |ticker, worker| {
        if worker.index() == 0 {
            while ticker.readers()? < 2 {
                sleep(Duration::from_millis(1));
            }
            for cents in 1..=PRICES {
                Ticker::publish(ticker, Price { share: "ACME".to_owned(), cents })?;
            }
            return Ok((0, 0));
        }
        let mut prices = ticker.prices()?;
        let (mut read, mut missed) = (0, 0);
        while prices.last_seq() < PRICES {
            match prices.recv().transpose() {
                Ok(_) => read += 1,
                Err(lag) if lag.is(ErrorId::LAGGED) => {
                    missed += lag.items()[0].details["count"].as_u64().unwrap_or_default()
                }
                Err(error) => return Err(error.into()),
            }
            if worker.index() == 2 && read % 100 == 0 {
                sleep(Duration::from_millis(20)); // A slow reader.
            }
        }
        Ok((read, missed))
    })?;
    for worker in &report.workers()[1..] {
        let (read, missed) = worker.returned()?;
        println!("worker {} read {read} prices and missed {missed}", worker.index);
        assert_eq!(read + missed, PRICES);
    }
    Ok(())
}

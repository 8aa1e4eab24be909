//! A crew: the workers of one peer, and the socket by which each is given orders.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use miko_shared::BoxError;

use crate::peer::Size;
use crate::process::Forked;
use crate::sample::Choice;
use crate::worker::{self, Order, Outcome, attend};
use crate::workload::{Client, Workload};

/// Between the order and the agreed start: every worker has woken up and sleeps again by then.
const NOTICE: Duration = Duration::from_millis(8);

/// How long a worker may take to answer: to connect, or to carry out an order.
const PATIENCE: Duration = Duration::from_secs(120);

/// Workers that wait for orders. They end when this is dropped.
pub(crate) struct Crew {
    seats: Vec<BufReader<UnixStream>>,
    processes: Vec<Forked>,
}

/// The workers' ends of a crew's sockets.
pub(crate) type Orders = Vec<UnixStream>;

impl Crew {
    /// A crew of forked workers, each with a client of its own.
    pub(crate) fn fork<C: Client>(
        Size { workers, records }: Size,
        connect: impl Fn(usize) -> Result<C, BoxError>,
    ) -> Result<Self, BoxError> {
        let (seats, orders) = seats(workers)?;
        let mut processes = Vec::with_capacity(workers);
        for (index, orders) in orders.into_iter().enumerate() {
            let connect = &connect;
            processes.push(Forked::start(|| {
                let mut client = connect(index)?;
                attend(orders, &mut client, &mut Choice::new(index, workers, records))
            })?);
        }
        Self::ready(seats, processes)
    }

    /// A crew whose workers are the business of one process: that is given their ends of the sockets.
    pub(crate) fn keep(
        workers: usize,
        keeper: impl FnOnce(Orders) -> Result<(), BoxError>,
    ) -> Result<Self, BoxError> {
        let (seats, orders) = seats(workers)?;
        let processes = vec![Forked::start(|| keeper(orders))?];
        Self::ready(seats, processes)
    }

    /// Waits until every worker has connected.
    fn ready(mut seats: Vec<UnixStream>, processes: Vec<Forked>) -> Result<Self, BoxError> {
        seats.iter_mut().try_for_each(|seat| seat.set_read_timeout(Some(PATIENCE)))?;
        let mut crew = Self { seats: seats.into_iter().map(BufReader::new).collect(), processes };
        crew.outcomes()?;
        Ok(crew)
    }

    /// Lets every worker call for so long, and compute after each call.
    pub(crate) fn work(
        &mut self,
        workload: Workload,
        slice: Duration,
        compute: Duration,
    ) -> Result<Vec<Outcome>, BoxError> {
        let start = worker::now() + NOTICE.as_nanos() as u64;
        let [slice, compute] = [slice, compute].map(|time| time.as_nanos() as u64);
        let order = Order { workload, start, end: start + slice, compute };
        let line = serde_json::to_string(&order)? + "\n";
        for seat in &mut self.seats {
            seat.get_mut().write_all(line.as_bytes())?;
        }
        self.outcomes()
    }

    fn outcomes(&mut self) -> Result<Vec<Outcome>, BoxError> {
        let mut outcomes = Vec::with_capacity(self.seats.len());
        for seat in &mut self.seats {
            let mut line = String::new();
            seat.read_line(&mut line)?;
            if line.is_empty() {
                return Err("a worker has ended".into());
            }
            let outcome: Outcome = serde_json::from_str(&line)?;
            if let Some(error) = outcome.error {
                return Err(error.into());
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Other processes have copies of these sockets: only this ends the orders for all of them.
        for seat in &self.seats {
            let _ = seat.get_ref().shutdown(Shutdown::Both);
        }
        self.processes.drain(..).for_each(Forked::expire);
    }
}

/// A socket per worker: our ends and theirs.
fn seats(workers: usize) -> Result<(Vec<UnixStream>, Orders), BoxError> {
    let mut pairs = Vec::with_capacity(workers);
    for _ in 0..workers {
        pairs.push(UnixStream::pair()?);
    }
    Ok(pairs.into_iter().unzip())
}

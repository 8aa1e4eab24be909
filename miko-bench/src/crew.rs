//! A crew: the workers of one peer, each with a socket for its orders.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use miko_shared::BoxError;

use crate::peer::Size;
use crate::process::Forked;
use crate::sample::Choice;
use crate::worker::{self, Order, SliceOutcome, serve_orders};
use crate::workload::{Client, Workload};

/// The time between an order and the start that it names. Every worker has read its order by then and sleeps.
const START_DELAY: Duration = Duration::from_millis(8);

/// How long a worker may take until it is connected, since records are loaded before: a million takes half a
/// minute beside other load.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a worker may take to run an order, of which the last call may be queued behind those of all
/// others.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);

/// Workers that wait for orders. Dropping the crew ends them.
pub(crate) struct Crew {
    sockets: Vec<BufReader<UnixStream>>,
    processes: Vec<Forked>,
}

/// The workers' ends of the sockets.
pub(crate) type OrderSockets = Vec<UnixStream>;

impl Crew {
    /// A crew of forked workers, each with a client of its own.
    pub(crate) fn fork<C: Client>(
        Size { workers, records }: Size,
        connect: impl Fn(usize) -> Result<C, BoxError>,
    ) -> Result<Self, BoxError> {
        let (sockets, orders) = socket_pairs(workers)?;
        let mut processes = Vec::with_capacity(workers);
        for (index, orders) in orders.into_iter().enumerate() {
            let connect = &connect;
            processes.push(Forked::start(|| {
                let mut client = connect(index)?;
                serve_orders(orders, &mut client, &mut Choice::new(index, workers, records))
            })?);
        }
        Self::connected(sockets, processes)
    }

    /// A crew whose workers are started by one process, `host`, which gets their ends of the sockets.
    pub(crate) fn hosted(
        workers: usize,
        host: impl FnOnce(OrderSockets) -> Result<(), BoxError>,
    ) -> Result<Self, BoxError> {
        let (sockets, orders) = socket_pairs(workers)?;
        let processes = vec![Forked::start(|| host(orders))?];
        Self::connected(sockets, processes)
    }

    /// A crew of running processes; waits until every worker has connected.
    fn connected(sockets: Vec<UnixStream>, processes: Vec<Forked>) -> Result<Self, BoxError> {
        let mut crew = Self { sockets: sockets.into_iter().map(BufReader::new).collect(), processes };
        crew.wait_at_most(CONNECT_TIMEOUT)?;
        crew.read_outcomes()?;
        crew.wait_at_most(RESPONSE_TIMEOUT)?;
        Ok(crew)
    }

    /// Sets how long an outcome may take.
    fn wait_at_most(&self, timeout: Duration) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.get_ref().set_read_timeout(Some(timeout)))
    }

    /// Has every worker make calls for `slice`, and compute for `compute` after each call.
    pub(crate) fn work(
        &mut self,
        workload: Workload,
        slice: Duration,
        compute: Duration,
    ) -> Result<Vec<SliceOutcome>, BoxError> {
        let start = worker::now() + START_DELAY.as_nanos() as u64;
        let [slice, compute] = [slice, compute].map(|time| time.as_nanos() as u64);
        let order = Order { workload, start, end: start + slice, compute };
        let line = serde_json::to_string(&order)? + "\n";
        for socket in &mut self.sockets {
            socket.get_mut().write_all(line.as_bytes())?;
        }
        self.read_outcomes()
    }

    fn read_outcomes(&mut self) -> Result<Vec<SliceOutcome>, BoxError> {
        let mut outcomes = Vec::with_capacity(self.sockets.len());
        for socket in &mut self.sockets {
            let mut line = String::new();
            socket.read_line(&mut line)?;
            if line.is_empty() {
                return Err("a worker has ended".into());
            }
            let outcome: SliceOutcome = serde_json::from_str(&line)?;
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
        // Forked processes have copies of these sockets, so closing them here is not enough.
        for socket in &self.sockets {
            let _ = socket.get_ref().shutdown(Shutdown::Both);
        }
        self.processes.drain(..).for_each(Forked::join_or_kill);
    }
}

/// A socket pair per worker: the ends of the crew and those of the workers.
fn socket_pairs(workers: usize) -> Result<(Vec<UnixStream>, OrderSockets), BoxError> {
    let mut pairs = Vec::with_capacity(workers);
    for _ in 0..workers {
        pairs.push(UnixStream::pair()?);
    }
    Ok(pairs.into_iter().unzip())
}

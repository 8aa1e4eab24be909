//! The counters of a server since its start. Clients read the counters through a protocol such as HTTP, and
//! not through the server's own wire protocol. A server that speaks only its own protocol has no counters.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Method, Result, Served, Surface};

/// As soon as a method has this many counters, further error ids share one. An implementation may make error
/// ids from input of clients, so the number of counters has to be bounded.
const MAX_OUTCOMES: usize = 64;

/// The counters of a server since its start.
#[derive(Debug, Default)]
pub struct Metrics {
    calls: RefCell<BTreeMap<MethodKey, MethodCount>>,
    /// The traffic of the server's own socket.
    pub wire: Traffic,
    /// The traffic of all other protocols together.
    pub protocols: Traffic,
}

/// The name of an interface, and the name of one of its methods.
type MethodKey = (&'static str, &'static str);

/// The calls of a method.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MethodCount {
    /// How often each outcome has occurred.
    pub outcomes: Vec<(CallOutcome, u64)>,
    /// How long the thread of the server has run these calls, in total. If a call was parked and then run
    /// again, only its last run counts. If its deadline passed while it was parked, no run counts.
    pub time: Duration,
}

/// How a call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The method returned a value.
    Succeeded,
    /// The call failed with this id.
    Failed(ErrorId),
    /// The method returned an error without an id, or with one that first occurred when the method had as
    /// many counters as the bound allows.
    OtherError,
    /// The method returned, and its answer comes later.
    Later,
}

/// The connections of the server's own socket, or those of all other protocols, and their bytes.
#[derive(Debug, Default)]
pub struct Traffic {
    open: Cell<u64>,
    accepted: Cell<u64>,
    received: Cell<u64>,
    sent: Cell<u64>,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection {
    metrics: Rc<Metrics>,
    /// Selects the traffic to which the connection belongs.
    traffic: fn(&Metrics) -> &Traffic,
}

impl Metrics {
    /// Calls `visit` for each method that was called, with the name of the interface, the name of the method,
    /// and the count. The calls of all unknown methods of an interface have one count, with an empty name.
    pub fn each_method(&self, mut visit: impl FnMut(&str, &str, &MethodCount)) {
        self.calls.borrow().iter().for_each(|((interface, method), count)| visit(interface, method, count));
    }

    /// Counts a call whose method has returned, or which was refused after it had started: by the hook of
    /// `Uds::around`, because it could not be parked, or because its deadline passed while it was parked. A
    /// parked call is not counted if its caller gives it up, or if its object or its connection is gone when
    /// it is to be run again.
    pub(super) fn record_call(
        &self,
        surface: &'static Surface,
        method: Option<&'static Method>,
        served: &Result<Served>,
        time: Duration,
    ) {
        // A client may send any name. Unknown names are counted together, under an empty name.
        let method = method.map_or("", |method| &*method.name);
        let mut calls = self.calls.borrow_mut();
        let count = calls.entry((&*surface.interface, method)).or_default();
        count.time += time;
        count.record(CallOutcome::of(served));
    }

    /// Counts a new connection in the traffic that `traffic` selects: as accepted, and as open until the
    /// returned value is dropped.
    pub(super) fn count_connection(self: &Rc<Self>, traffic: fn(&Self) -> &Traffic) -> OpenConnection {
        let Traffic { open, accepted, .. } = traffic(self);
        open.set(open.get() + 1);
        accepted.set(accepted.get() + 1);
        OpenConnection { metrics: Rc::clone(self), traffic }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Traffic { open, .. } = (self.traffic)(&self.metrics);
        open.set(open.get() - 1);
    }
}

impl MethodCount {
    /// Counts one call with this outcome.
    fn record(&mut self, outcome: CallOutcome) {
        let is_full = self.outcomes.len() >= MAX_OUTCOMES;
        let counter = self.outcomes.iter_mut().find(|(counted, _)| *counted == outcome);
        match counter {
            Some((_, count)) => *count += 1,
            None if is_full && matches!(outcome, CallOutcome::Failed(_)) => {
                self.record(CallOutcome::OtherError);
            }
            None => self.outcomes.push((outcome, 1)),
        }
    }
}

impl CallOutcome {
    fn of(served: &Result<Served>) -> Self {
        match served {
            Ok(Served::Succeeded) => Self::Succeeded,
            Ok(Served::Failed(Some(id))) => Self::Failed(id.clone()),
            Ok(Served::Pending) => Self::Later,
            Ok(_) => Self::OtherError,
            Err(error) => Self::Failed(Error::id(error).clone()),
        }
    }
}

impl Traffic {
    /// The number of open connections.
    pub fn open(&self) -> u64 {
        self.open.get()
    }

    /// The number of connections so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// The bytes that have arrived.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// The bytes that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Counts bytes that have arrived.
    pub fn record_received(&self, count: usize) {
        self.received.set(self.received.get() + count as u64);
    }

    /// Counts bytes that were sent.
    pub fn record_sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }
}

#[cfg(test)]
mod tests {
    use miko_core::Mikobase;
    use miko_rpc::Interface;

    use super::*;

    #[test]
    fn a_bounded_number_of_outcomes_is_counted_separately() {
        let metrics = Metrics::default();
        let surface = <dyn Mikobase as Interface>::surface();
        let record =
            |served| metrics.record_call(surface, surface.method("q0"), &served, Duration::from_millis(1));
        record(Ok(Served::Succeeded));
        record(Ok(Served::Succeeded));
        record(Ok(Served::Failed(None)));
        for n in 0..2 * MAX_OUTCOMES {
            let id = serde_json::from_value(format!("own-{n}").into()).unwrap();
            record(Ok(Served::Failed(Some(id))));
        }
        record(Err(Error::new(ErrorId::INTERNAL, "")));
        let mut seen = 0;
        metrics.each_method(|interface, method, count| {
            seen += 1;
            assert_eq!((interface, method), ("Mikobase", "q0"));
            assert_eq!(count.time, Duration::from_millis(4 + 2 * MAX_OUTCOMES as u64));
            assert_eq!(count.outcomes.len(), MAX_OUTCOMES);
            let count_of = |outcome| {
                count.outcomes.iter().find(|(counted, _)| *counted == outcome).map(|(_, count)| *count)
            };
            assert_eq!(count_of(CallOutcome::Succeeded), Some(2));
            // `Succeeded` and `OtherError` have two of the counters, so this many ids have one of their own.
            let counted_ids = MAX_OUTCOMES - 2;
            let other_ids = 2 * MAX_OUTCOMES - counted_ids;
            let (without_id, refused) = (1, 1);
            let expected = without_id + other_ids as u64 + refused;
            assert_eq!(count_of(CallOutcome::OtherError), Some(expected));
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn successes_are_counted_whatever_has_failed_before() {
        let metrics = Metrics::default();
        let surface = <dyn Mikobase as Interface>::surface();
        let record = |served| metrics.record_call(surface, surface.method("q0"), &served, Duration::ZERO);
        for n in 0..2 * MAX_OUTCOMES {
            let id = serde_json::from_value(format!("own-{n}").into()).unwrap();
            record(Ok(Served::Failed(Some(id))));
        }
        record(Ok(Served::Succeeded));
        record(Ok(Served::Pending));
        metrics.each_method(|_, _, count| {
            for outcome in [CallOutcome::Succeeded, CallOutcome::Later] {
                assert!(count.outcomes.contains(&(outcome, 1)));
            }
            assert_eq!(count.outcomes.len(), MAX_OUTCOMES + 3);
        });
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metrics = Rc::new(Metrics::default());
        let one = metrics.count_connection(|metrics| &metrics.wire);
        let other = metrics.count_connection(|metrics| &metrics.wire);
        drop(one);
        assert_eq!((metrics.wire.open(), metrics.wire.accepted(), metrics.protocols.open()), (1, 2, 0));
        drop(other);
        assert_eq!(metrics.wire.open(), 0);
    }
}

//! Gates, at which the methods of an interface wait for their turn.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorId, Result};

/// Lets one in exclusively, or several that share: first come, first served.
///
/// A method waits by a gate and keeps its signature. A thread in the same process sleeps. A call on a server
/// is left with the error `parked`, which the method passes on by `?`, and is made again when it is its turn
/// or its time is over. So a method enters its gates before it changes anything. What a call has entered it
/// keeps until it ends, and until the changes of its group are committed.
///
/// ```
/// use std::time::Duration;
///
/// use miko_rpc::{Gate, GateMode};
///
/// let gate = Gate::new();
/// let pass = gate.enter(GateMode::Exclusive, Duration::from_secs(1))?;
/// assert!(gate.enter(GateMode::Shared, Duration::ZERO).is_err());
/// drop(pass);
/// assert!(gate.enter(GateMode::Shared, Duration::ZERO).is_ok());
/// # Ok::<(), miko_rpc::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Gate(Arc<Queue>);

/// Identifies a gate among all that exist. Its clones have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GateId(usize);

/// How a gate is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateMode {
    /// Together with others that share.
    Shared,
    /// Alone.
    Exclusive,
}

/// The right to be inside a gate, until it is dropped. An object may keep it beyond the call.
#[must_use = "the gate is left when the pass is dropped"]
pub struct Pass(pub(crate) Arc<Ticket>);

/// A call that waits for its turn at a gate.
pub struct ParkedCall(pub(crate) Arc<Ticket>);

/// A place in the queue of a gate or inside of it, which is given up when it is dropped.
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    place: Arc<Place>,
    until: Instant,
}

struct Place {
    /// Its number in the order of arrival.
    number: u64,
    mode: GateMode,
    /// Notified when its turn has come, with the lock of the queue.
    turn_came: Condvar,
    turn: Mutex<Turn>,
}

/// What became of a place. Changes only while the queue is locked.
enum Turn {
    Waits(Option<Waker>),
    IsInside,
    TimedOut,
}

/// Who is inside a gate, and who waits.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    expiry: Option<Expiry>,
}

/// A caller that waits at a gate with expiry asks at least this often whether a pass is overdue.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// Makes a call leave that may not be inside any longer. Returns when to ask again; `None` if no call inside
/// has a limit.
type Expiry = Box<dyn Fn() -> Option<Instant> + Send + Sync>;

#[derive(Default)]
struct State {
    sharing: usize,
    has_exclusive: bool,
    /// By number, so that any of many places is removed at once.
    waiting: BTreeMap<u64, Arc<Place>>,
    last_number: u64,
}

impl Gate {
    /// A gate that no caller has entered.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`new`](Self::new). A pass may have a limit of time: while callers wait, they call `expire`, which
    /// drops a pass that is overdue. It returns when to call it again; `None` if no pass has a limit.
    pub fn with_expiry(expire: impl Fn() -> Option<Instant> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Queue { state: Mutex::default(), expiry: Some(Box::new(expire)) }))
    }

    /// A gate that is closed until the pass is dropped, also for the call that this thread serves. What
    /// `expire` does is said at [`with_expiry`](Self::with_expiry).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use miko_rpc::{Gate, GateMode};
    ///
    /// let (gate, closed) = Gate::closed(|| None);
    /// assert!(gate.enter(GateMode::Exclusive, Duration::ZERO).is_err());
    /// drop(closed);
    /// assert!(gate.enter(GateMode::Exclusive, Duration::ZERO).is_ok());
    /// ```
    pub fn closed(expire: impl Fn() -> Option<Instant> + Send + Sync + 'static) -> (Self, Pass) {
        let gate = Self::with_expiry(expire);
        let ticket = gate.queue_up(GateMode::Exclusive, None);
        (gate, Pass(ticket))
    }

    /// Its identity, as long as there is a clone of it, a pass, or a call that waits.
    pub fn id(&self) -> GateId {
        id_of(&self.0)
    }

    /// How many clones of it there are, passes of it, and calls that wait. So its owner can tell whether a
    /// caller that waited is gone.
    pub fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether a caller would enter as [`GateMode::Shared`] without waiting.
    pub fn is_open(&self) -> bool {
        let state = self.0.lock();
        state.waiting.is_empty() && state.has_room(GateMode::Shared)
    }

    /// Enters, if there is room and no caller waits; else takes the last place in the queue.
    pub(crate) fn queue_up(&self, mode: GateMode, until: Option<Instant>) -> Arc<Ticket> {
        let mut state = self.0.lock();
        let enters = state.waiting.is_empty() && state.has_room(mode);
        let turn = if enters { Turn::IsInside } else { Turn::Waits(None) };
        state.last_number += 1;
        let number = state.last_number;
        let place = Arc::new(Place { number, mode, turn_came: Condvar::new(), turn: Mutex::new(turn) });
        if enters {
            state.let_in(mode);
        } else {
            state.waiting.insert(number, Arc::clone(&place));
        }
        // An `Instant` that cannot be represented is as good as none.
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(u32::MAX.into()));
        Arc::new(Ticket { queue: Arc::clone(&self.0), place, until })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl ParkedCall {
    /// Whether the call is to be made again: its turn has come, or its time is over. Else registers the waker
    /// for that.
    pub fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let _state = self.0.queue.lock();
        match &mut *self.0.place.turn() {
            Turn::Waits(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Turn::IsInside | Turn::TimedOut => Poll::Ready(()),
        }
    }

    /// Takes the call out of the queue if its time is over. Otherwise makes calls leave that are overdue, and
    /// returns when this is to be called again.
    pub fn check_time(&self) -> Option<Instant> {
        if Instant::now() >= self.0.until {
            self.0.time_out();
            return None;
        }
        Some(self.0.next_check())
    }

    /// Takes the call out of the queue, unless its turn has come.
    #[cfg(test)]
    fn time_out(&self) {
        self.0.time_out();
    }

    /// The pass for the next attempt.
    pub fn into_pass(self) -> Pass {
        Pass(self.0)
    }
}

impl Ticket {
    /// Whether it is a place in the queue of this gate, or inside of it.
    pub(crate) fn is_at(&self, gate: &Gate) -> bool {
        Arc::ptr_eq(&self.queue, &gate.0)
    }

    pub(crate) fn gate_id(&self) -> GateId {
        id_of(&self.queue)
    }

    /// How it enters the gate.
    pub(crate) fn mode(&self) -> GateMode {
        self.place.mode
    }

    pub(crate) fn status(&self) -> Status {
        self.place.status()
    }

    /// Sleeps until the turn has come.
    pub(crate) fn wait(&self) -> Result<()> {
        loop {
            match self.place.status() {
                Status::Inside => return Ok(()),
                Status::TimedOut => return Err(not_in_time()),
                Status::Waits => {}
            }
            if Instant::now() >= self.until {
                self.time_out();
                continue;
            }
            let next_check = self.next_check();
            let state = self.queue.lock();
            if matches!(self.place.status(), Status::Waits) {
                let left = next_check.saturating_duration_since(Instant::now());
                drop(self.place.turn_came.wait_timeout(state, left));
            }
        }
    }

    /// Makes calls leave that are overdue. Returns when to do so again, or when the time of this one is over.
    fn next_check(&self) -> Instant {
        let Some(expire) = &self.queue.expiry else { return self.until };
        // A pass that has no limit yet may get one.
        let latest = Instant::now() + EXPIRY_INTERVAL;
        expire().map_or(latest, |at| at.min(latest)).min(self.until)
    }

    fn time_out(&self) {
        let woken = {
            let mut state = self.queue.lock();
            if !matches!(self.place.status(), Status::Waits) {
                return;
            }
            *self.place.turn() = Turn::TimedOut;
            state.waiting.remove(&self.place.number);
            state.let_in_next()
        };
        wake_all(woken);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let woken = {
            let mut state = self.queue.lock();
            match self.place.status() {
                Status::Waits => drop(state.waiting.remove(&self.place.number)),
                Status::Inside => state.leave(self.place.mode),
                Status::TimedOut => {}
            }
            state.let_in_next()
        };
        wake_all(woken);
    }
}

fn id_of(queue: &Arc<Queue>) -> GateId {
    GateId(Arc::as_ptr(queue).addr())
}

/// Wakes, without a lock.
fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// Where a place is.
pub(crate) enum Status {
    Waits,
    Inside,
    TimedOut,
}

impl Place {
    fn status(&self) -> Status {
        match &*self.turn() {
            Turn::Waits(_) => Status::Waits,
            Turn::IsInside => Status::Inside,
            Turn::TimedOut => Status::TimedOut,
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // Nothing panics while the lock is held.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, mode: GateMode) -> bool {
        !self.has_exclusive && (mode == GateMode::Shared || self.sharing == 0)
    }

    fn let_in(&mut self, mode: GateMode) {
        match mode {
            GateMode::Shared => self.sharing += 1,
            GateMode::Exclusive => self.has_exclusive = true,
        }
    }

    fn leave(&mut self, mode: GateMode) {
        match mode {
            GateMode::Shared => self.sharing -= 1,
            GateMode::Exclusive => self.has_exclusive = false,
        }
    }

    /// Lets in as many from the front of the queue as there is room for. Returns those that are to be woken.
    fn let_in_next(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.waiting.first_key_value().is_some_and(|(_, first)| self.has_room(first.mode))
            && let Some((_, place)) = self.waiting.pop_first()
        {
            self.let_in(place.mode);
            match std::mem::replace(&mut *place.turn(), Turn::IsInside) {
                Turn::Waits(Some(waker)) => woken.push(waker),
                // A thread may wait. To notify it takes a system call.
                _ => place.turn_came.notify_one(),
            }
        }
        woken
    }
}

pub(crate) fn not_in_time() -> Error {
    Error::new(ErrorId::LOCK_TIMEOUT, "others were inside the gate, or before this call, for too long")
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pass").field(&self.0.place.mode).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Wake;
    use std::thread;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::served_call::{CallGates, serve_call};

    const LONG: Duration = Duration::from_secs(3600);

    /// A call on a server: inside the gate, waiting for its turn, or ended.
    enum Caller {
        Inside { _passes: Vec<Pass> },
        Parked(ParkedCall),
        Ended,
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Enter(bool),
        /// Ends the call with this number, whatever it does.
        End(usize),
        TimeOut(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => any::<bool>().prop_map(Step::Enter),
            2 => (0..30_usize).prop_map(Step::End),
            1 => (0..30_usize).prop_map(Step::TimeOut),
        ]
    }

    fn mode(alone: bool) -> GateMode {
        if alone { GateMode::Exclusive } else { GateMode::Shared }
    }

    fn entered(passes: Vec<Pass>) -> CallGates {
        CallGates { passes, ..CallGates::default() }
    }

    /// One attempt of a call that enters `gate`.
    fn attempt(gate: &Gate, mode: GateMode, passes: Vec<Pass>) -> (Result<()>, CallGates) {
        serve_call(None, entered(passes), || gate.enter(mode, LONG).map(drop))
    }

    fn begin(gate: &Gate, mode: GateMode) -> Caller {
        let (entered, gates) = attempt(gate, mode, Vec::new());
        match gates.parked {
            Some(parked) => {
                assert!(entered.unwrap_err().is(ErrorId::PARKED));
                Caller::Parked(parked)
            }
            None => {
                entered.unwrap();
                Caller::Inside { _passes: gates.passes }
            }
        }
    }

    proptest! {
        /// The model lets callers in from the front of the queue while there is room.
        #[test]
        fn calls_enter_in_the_order_in_which_they_came(steps in vec(step(), 0..60)) {
            let gate = Gate::new();
            let mut callers: Vec<(GateMode, Caller)> = Vec::new();
            let (mut inside, mut queue) = (Vec::<usize>::new(), VecDeque::<usize>::new());
            for step in steps {
                match step {
                    Step::Enter(alone) => {
                        let mode = mode(alone);
                        queue.push_back(callers.len());
                        callers.push((mode, begin(&gate, mode)));
                    }
                    Step::End(number) | Step::TimeOut(number) if number < callers.len() => {
                        let timed_out = matches!(step, Step::TimeOut(_));
                        let mode = callers[number].0;
                        match std::mem::replace(&mut callers[number].1, Caller::Ended) {
                            // Its turn has come: it is made again, and ends inside.
                            Caller::Parked(parked) if timed_out => {
                                parked.time_out();
                                let is_inside = inside.contains(&number);
                                let (entered, gates) = attempt(&gate, mode, vec![parked.into_pass()]);
                                prop_assert!(gates.parked.is_none());
                                prop_assert_eq!(entered.is_ok(), is_inside);
                                prop_assert!(is_inside || entered.unwrap_err().is(ErrorId::LOCK_TIMEOUT));
                            }
                            ended => drop(ended),
                        }
                        inside.retain(|caller| *caller != number);
                        queue.retain(|caller| *caller != number);
                    }
                    Step::End(_) | Step::TimeOut(_) => {}
                }
                while let Some(first) = queue.front() {
                    let others_share = inside.iter().all(|caller| callers[*caller].0 == GateMode::Shared);
                    let has_room = inside.is_empty()
                        || callers[*first].0 == GateMode::Shared && others_share;
                    if !has_room {
                        break;
                    }
                    inside.extend(queue.pop_front());
                }
                for (number, (_, caller)) in callers.iter().enumerate() {
                    let is_let_in = match caller {
                        Caller::Inside { .. } => true,
                        Caller::Parked(parked) => parked.poll(&Context::from_waker(Waker::noop())).is_ready(),
                        Caller::Ended => continue,
                    };
                    prop_assert_eq!(is_let_in, inside.contains(&number), "the call {}", number);
                }
                prop_assert_eq!(gate.waiting(), queue.len());
            }
        }
    }

    #[test]
    fn threads_and_calls_wait_in_one_queue() {
        let (gate, order) = (Gate::new(), Mutex::new(Vec::new()));
        let held = gate.enter(GateMode::Exclusive, LONG).unwrap();
        let enter = |number: usize| order.lock().unwrap().push(number);
        thread::scope(|scope| {
            let mut parked = Vec::new();
            for number in 0..200 {
                if number % 2 == 0 {
                    let (gate, enter) = (&gate, &enter);
                    scope.spawn(move || {
                        let _pass = gate.enter(GateMode::Exclusive, LONG).unwrap();
                        enter(number);
                    });
                } else {
                    let Caller::Parked(call) = begin(&gate, GateMode::Exclusive) else { panic!() };
                    parked.push((number, call));
                }
                while gate.waiting() <= number {
                    thread::yield_now();
                }
            }
            drop(held);
            for (number, call) in parked {
                let turn = Arc::new(Unpark(thread::current()));
                let waker = Waker::from(Arc::clone(&turn));
                while call.poll(&Context::from_waker(&waker)).is_pending() {
                    thread::park();
                }
                let (entered, _gates) = serve_call(None, entered(vec![call.into_pass()]), || {
                    gate.enter(GateMode::Exclusive, LONG)
                });
                let _pass = entered.unwrap();
                enter(number);
            }
        });
        assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<_>>());
        assert!(gate.enter(GateMode::Exclusive, Duration::ZERO).is_ok());
    }

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn a_call_that_shares_cannot_be_alone_and_one_that_is_alone_may_share() {
        let gate = Gate::new();
        let (results, _gates) = serve_call(None, CallGates::default(), || {
            [GateMode::Shared, GateMode::Shared, GateMode::Exclusive].map(|mode| gate.enter(mode, LONG).err())
        });
        let [None, None, Some(error)] = results else { panic!("{results:?}") };
        assert!(error.is(ErrorId::INTERNAL), "{error}");
        drop(_gates);
        let (results, _gates) = serve_call(None, CallGates::default(), || {
            [GateMode::Exclusive, GateMode::Shared].map(|mode| gate.enter(mode, LONG).is_ok())
        });
        assert_eq!(results, [true, true]);
    }

    #[test]
    fn a_pass_that_is_kept_outlives_its_call() {
        let gate = Gate::new();
        let (kept, gates) =
            serve_call(None, CallGates::default(), || gate.enter(GateMode::Exclusive, LONG).unwrap());
        drop(gates);
        assert!(gate.enter(GateMode::Shared, Duration::ZERO).unwrap_err().is(ErrorId::LOCK_TIMEOUT));
        drop(kept);
        assert!(gate.enter(GateMode::Shared, Duration::ZERO).is_ok());
    }
}

//! An interface whose methods return objects and streams, and which records what became of them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Gate, GateMode, Hub, Later, Overflow, Pass, Promise, Remote, Share, Stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};
use serde::{Deserialize, Serialize, Serializer};

use self::office_rpc::OfficeClient;
use crate::support::{Event, wait_for_ever};

/// Lends desks, and sends numbers and news.
#[mikobase_interface]
pub trait Office {
    /// A desk of this name.
    fn desk(&self, name: &str) -> Result<Remote<dyn Desk>>;

    /// As `desk`, opened by the first call on it. Refuses an empty name.
    #[interface(lazy)]
    fn lazy_desk(&self, name: &str) -> Result<Remote<dyn Desk>>;

    /// Desks of these names, and none for an empty name.
    fn desks(&self, names: &[String]) -> Result<Vec<NamedDesk>>;

    /// A desk in an answer that cannot be sent.
    fn broken_desk(&self) -> Result<(Remote<dyn Desk>, Unserializable)>;

    /// The numbers up to `count`, then the end that `end` names.
    fn numbers(&self, count: u64, end: &str) -> Result<Stream<u64>>;

    /// How many numbers were made.
    fn numbers_made(&self) -> Result<u64>;

    /// Pieces of this many bytes, without end.
    fn pieces(&self, size: usize) -> Result<Stream<Vec<u8>>>;

    /// What `publish` publishes.
    fn news(&self) -> Result<Stream<News>>;

    /// Publishes this many items.
    fn publish(&self, count: u64) -> Result<()>;

    /// How many read the news, and how often an item was encoded.
    fn readers(&self) -> Result<(usize, u64)>;

    /// A letter, once there is one.
    fn letter(&self) -> Later<String>;

    /// As `letter`, with a short deadline.
    #[interface(deadline = "100ms")]
    fn letter_soon(&self) -> Later<String>;

    /// Delivers a letter; whether a caller waited for it.
    fn deliver(&self, letter: &str) -> Result<bool>;

    /// A desk, once `furnish` is called.
    fn desk_later(&self) -> Later<Remote<dyn Desk>>;

    /// Gives a desk to each who waits for one; returns their number.
    fn furnish(&self) -> Result<usize>;

    /// How many wait for a letter or a desk.
    fn waiting(&self) -> Result<usize>;

    /// An answer whose promise is dropped.
    fn broken_promise(&self) -> Later<u64>;

    /// A desk that is alone at a gate.
    fn closed_desk(&self) -> Result<Remote<dyn Desk>>;

    /// As `closed_desk`, opened by the first call on it.
    #[interface(lazy)]
    fn lazy_closed_desk(&self) -> Result<Remote<dyn Desk>>;

    /// As `lazy_closed_desk`, with a short deadline.
    #[interface(lazy, deadline = "100ms")]
    fn lazy_closed_desk_soon(&self) -> Result<Remote<dyn Desk>>;

    /// A desk of a call that has waited at a gate, which opens before the next call of the connection is
    /// answered.
    #[interface(lazy)]
    fn late_desk(&self) -> Result<Remote<dyn Desk>>;

    /// Waits at the same gate.
    fn line_up(&self) -> Result<()>;

    /// What is open.
    fn open_things(&self) -> Result<OpenThings>;

    /// Returns its argument.
    fn echo(&self, text: String) -> Result<String>;

    /// What was opened and closed, in order.
    fn log(&self) -> Result<Vec<String>>;
}

/// How much of everything is open.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenThings {
    /// Negative if one was dropped twice.
    pub desks: i64,
    pub readers: usize,
    pub waiting: usize,
    pub queued: usize,
}

/// A name and the desk of this name, if there is one.
pub type NamedDesk = (String, Option<Remote<dyn Desk>>);

/// A place for notes.
#[mikobase_interface]
pub trait Desk: Send + Sync {
    /// Adds a note; returns their number.
    fn note(&self, text: &str) -> Result<usize>;

    /// The number of notes.
    #[interface(read)]
    fn notes(&self) -> Result<usize>;

    /// Removes the notes.
    #[interface(settles)]
    fn clear(&self) -> Result<()>;

    /// Waits at the gate of the office.
    #[interface(deadline = "100ms")]
    fn line_up(&self) -> Result<()>;

    /// The number of notes, later.
    fn count(&self) -> Later<usize>;

    /// A drawer of this desk.
    fn drawer(&self) -> Result<Remote<dyn Desk>>;
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct News {
    pub number: u64,
}

/// How often news was encoded.
static ENCODED: AtomicU64 = AtomicU64::new(0);

impl Serialize for News {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields {
            number: u64,
        }
        // Looking for a nil ends at the struct.
        if !std::any::type_name::<S>().contains("Nil") {
            ENCODED.fetch_add(1, Ordering::Relaxed);
        }
        Fields { number: self.number }.serialize(serializer)
    }
}

#[derive(Debug, Deserialize)]
pub struct Unserializable;

impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[allow(clippy::type_complexity, reason = "a test")]
pub struct Building {
    log: Arc<Mutex<Vec<String>>>,
    gate: Gate,
    desks_open: Arc<AtomicI64>,
    /// Whether a call of `late_desk` has waited.
    has_waited: AtomicBool,
    letters: Mutex<Vec<Promise<String>>>,
    desks: Mutex<Vec<Promise<Remote<dyn Desk>>>>,
    unwanted: Arc<AtomicU64>,
    numbers_made: Arc<AtomicU64>,
    news: Hub<News>,
    published: AtomicU64,
}

struct Opened {
    name: String,
    notes: Mutex<Vec<String>>,
    log: Arc<Mutex<Vec<String>>>,
    desks_open: Arc<AtomicI64>,
    gate: Gate,
    _pass: Option<Pass>,
}

const LONG: Duration = Duration::from_secs(3600);

/// How many items the hub holds for each reader.
pub const NEWS_HELD: usize = 1000;

impl Default for Building {
    fn default() -> Self {
        let (log, numbers_made, published, letters, desks, unwanted) = Default::default();
        let news = Hub::new(NEWS_HELD, Overflow::DropOldest);
        let (gate, desks_open, has_waited) = Default::default();
        Self { log, gate, desks_open, has_waited, numbers_made, news, published, letters, desks, unwanted }
    }
}

impl Building {
    fn open(&self, name: &str) -> Remote<dyn Desk> {
        open(name.to_owned(), &self.log, &self.desks_open, &self.gate, None)
    }
}

fn open(
    name: String,
    log: &Arc<Mutex<Vec<String>>>,
    desks_open: &Arc<AtomicI64>,
    gate: &Gate,
    _pass: Option<Pass>,
) -> Remote<dyn Desk> {
    log.lock().unwrap().push(format!("{name} opened"));
    desks_open.fetch_add(1, Ordering::Relaxed);
    let (log, desks_open, gate) = (Arc::clone(log), Arc::clone(desks_open), gate.clone());
    Remote::local(Box::new(Opened { name, notes: Mutex::default(), log, desks_open, gate, _pass }))
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.log.lock().unwrap().push(format!("{} closed", self.name));
        self.desks_open.fetch_sub(1, Ordering::Relaxed);
        assert!(self.name != "a trap", "a desk that panics when it is closed");
    }
}

impl Desk for Opened {
    fn note(&self, text: &str) -> Result<usize> {
        assert!(text != "panic", "a note that panics");
        let mut notes = self.notes.lock().unwrap();
        notes.push(text.to_owned());
        Ok(notes.len())
    }

    fn notes(&self) -> Result<usize> {
        Ok(self.notes.lock().unwrap().len())
    }

    fn clear(&self) -> Result<()> {
        self.notes.lock().unwrap().clear();
        Ok(())
    }

    fn line_up(&self) -> Result<()> {
        self.gate.enter(GateMode::Exclusive, LONG).map(drop)
    }

    fn count(&self) -> Later<usize> {
        Ok(self.notes.lock().unwrap().len()).into()
    }

    fn drawer(&self) -> Result<Remote<dyn Desk>> {
        Ok(open(format!("drawer of {}", self.name), &self.log, &self.desks_open, &self.gate, None))
    }
}

impl Office for Building {
    fn desk(&self, name: &str) -> Result<Remote<dyn Desk>> {
        Ok(self.open(name))
    }

    fn lazy_desk(&self, name: &str) -> Result<Remote<dyn Desk>> {
        if name.is_empty() {
            return Err(Error::new(ErrorId::CONFLICT, "a desk has a name"));
        }
        Ok(self.open(name))
    }

    fn desks(&self, names: &[String]) -> Result<Vec<NamedDesk>> {
        let opened = |name: &String| (!name.is_empty()).then(|| self.open(name));
        Ok(names.iter().map(|name| (name.clone(), opened(name))).collect())
    }

    fn broken_desk(&self) -> Result<(Remote<dyn Desk>, Unserializable)> {
        Ok((self.open("broken"), Unserializable))
    }

    fn numbers(&self, count: u64, end: &str) -> Result<Stream<u64>> {
        let (made, end) = (Arc::clone(&self.numbers_made), end.to_owned());
        let last = std::iter::once_with(move || match &*end {
            "panic" => panic!("out of numbers"),
            "error" => Some(Err(Error::new(ErrorId::CONFLICT, "no more"))),
            _ => None,
        });
        let numbers = (0..count).map(move |number| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(number)
        });
        Ok(Stream::of_results(numbers.chain(last.flatten())))
    }

    fn numbers_made(&self) -> Result<u64> {
        Ok(self.numbers_made.load(Ordering::Relaxed))
    }

    fn pieces(&self, size: usize) -> Result<Stream<Vec<u8>>> {
        let made = Arc::clone(&self.numbers_made);
        Ok(Stream::of(std::iter::repeat_with(move || {
            made.fetch_add(1, Ordering::Relaxed);
            vec![7; size]
        })))
    }

    fn news(&self) -> Result<Stream<News>> {
        Ok(self.news.subscribe())
    }

    fn publish(&self, count: u64) -> Result<()> {
        for _ in 0..count {
            let number = self.published.fetch_add(1, Ordering::Relaxed);
            self.news.publish(News { number });
        }
        Ok(())
    }

    fn readers(&self) -> Result<(usize, u64)> {
        Ok((self.news.subscribers(), ENCODED.load(Ordering::Relaxed)))
    }

    fn letter(&self) -> Later<String> {
        let (promise, later) = Later::new();
        let unwanted = Arc::clone(&self.unwanted);
        promise.on_unwanted(move || {
            unwanted.fetch_add(1, Ordering::Relaxed);
        });
        self.letters.lock().unwrap().push(promise);
        later
    }

    fn letter_soon(&self) -> Later<String> {
        self.letter()
    }

    fn deliver(&self, letter: &str) -> Result<bool> {
        let mut letters = self.letters.lock().unwrap();
        while !letters.is_empty() {
            if letters.remove(0).fulfil(letter.to_owned()).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn desk_later(&self) -> Later<Remote<dyn Desk>> {
        let (promise, later) = Later::new();
        self.desks.lock().unwrap().push(promise);
        later
    }

    fn furnish(&self) -> Result<usize> {
        let desks = std::mem::take(&mut *self.desks.lock().unwrap());
        Ok(desks.into_iter().filter_map(|promise| promise.fulfil(self.open("late")).ok()).count())
    }

    fn waiting(&self) -> Result<usize> {
        let letters = self.letters.lock().unwrap();
        let desks = self.desks.lock().unwrap();
        let wanted = letters.iter().filter(|promise| promise.is_wanted()).count();
        // Each was told.
        assert!(letters.len() - wanted <= self.unwanted.load(Ordering::Relaxed) as usize);
        Ok(wanted + desks.iter().filter(|promise| promise.is_wanted()).count())
    }

    fn broken_promise(&self) -> Later<u64> {
        Later::new().1
    }

    fn closed_desk(&self) -> Result<Remote<dyn Desk>> {
        let pass = self.gate.enter(GateMode::Exclusive, LONG)?;
        Ok(open("closed".to_owned(), &self.log, &self.desks_open, &self.gate, Some(pass)))
    }

    fn lazy_closed_desk(&self) -> Result<Remote<dyn Desk>> {
        self.closed_desk()
    }

    fn lazy_closed_desk_soon(&self) -> Result<Remote<dyn Desk>> {
        self.closed_desk()
    }

    fn late_desk(&self) -> Result<Remote<dyn Desk>> {
        if !self.has_waited.swap(true, Ordering::Relaxed) {
            let (gate, closed) = Gate::closed(|| None);
            let parked = gate.enter(GateMode::Exclusive, LONG);
            drop(closed);
            drop(parked?);
        }
        Ok(self.open("late"))
    }

    fn line_up(&self) -> Result<()> {
        self.gate.enter(GateMode::Exclusive, LONG).map(drop)
    }

    fn open_things(&self) -> Result<OpenThings> {
        Ok(OpenThings {
            desks: self.desks_open.load(Ordering::Relaxed),
            readers: self.news.subscribers(),
            waiting: self.waiting()?,
            queued: self.gate.waiting(),
        })
    }

    fn echo(&self, text: String) -> Result<String> {
        Ok(text)
    }

    fn log(&self) -> Result<Vec<String>> {
        Ok(self.log.lock().unwrap().clone())
    }
}

/// A share of an office, without workers.
pub fn office(uds: &Uds) -> Share<'_, dyn Office, ()> {
    uds.spawn_share::<dyn Office, ()>(0, || Ok(Box::new(Building::default())), |_, _| Ok(())).unwrap()
}

/// Kills a worker that has opened something of an office by `open` while a child of it holds its sockets.
/// Then waits until the desk `a`, which it has opened, is closed, and calls `check`.
pub fn kill_worker_with_child<T>(
    uds: &Uds,
    open: impl Fn(&OfficeClient) -> std::result::Result<T, BoxError>,
    check: impl FnOnce(&OfficeClient),
) {
    let (opened, held) = (Event::new(), Event::new());
    let work = |office: &OfficeClient, _: &Worker| -> std::result::Result<(), BoxError> {
        let _open = open(office)?;
        // SAFETY: the process has one thread.
        if let ForkResult::Child = unsafe { fork() }? {
            held.wait();
            std::process::exit(0);
        }
        opened.notify();
        wait_for_ever()
    };
    let share = uds.spawn_share::<dyn Office, ()>(1, || Ok(Box::new(Building::default())), work).unwrap();
    opened.wait();
    let (_, worker) = share.workers()[0];
    kill(Pid::from_raw(i32::try_from(worker).unwrap()), Signal::SIGKILL).unwrap();
    let office = OfficeClient::connect(share.path(), share.token()).unwrap();
    eventually(|| office.log().unwrap(), &vec!["a opened".to_owned(), "a closed".to_owned()]);
    check(&office);
    held.notify();
    drop(office);
    share.join().unwrap();
}

/// Asks until the answer is as expected: what a server does at the end of a connection has no answer.
pub fn eventually<T: PartialEq + std::fmt::Debug>(ask: impl Fn() -> T, expected: &T) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if answer == *expected {
            return;
        }
        assert!(Instant::now() < until, "{answer:?} instead of {expected:?}");
        std::thread::yield_now();
    }
}

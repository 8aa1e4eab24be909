//! Who is measured, and on which terms.

mod manager;
mod mikobase;
mod postgresql;
mod raw;
mod redis;
mod sqlite_file;
mod tarpc;

use miko_shared::BoxError;

use crate::crew::Crew;
use crate::process::Server;
use crate::workload::Workload;

/// Somebody who answers calls.
pub(crate) struct Peer {
    /// Its word on the command line.
    pub(crate) name: &'static str,
    /// What it is, and what it does and does not do for a call.
    pub(crate) terms: &'static str,
    pub(crate) workloads: &'static [Workload],
    /// Starts a server with so many records, and that many workers. `None` if it is not installed.
    pub(crate) start: fn(Size) -> Result<Option<Running>, BoxError>,
}

/// How large a measurement is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    pub(crate) records: usize,
}

/// A peer that runs. It ends when this is dropped: its workers first.
pub(crate) struct Running {
    pub(crate) crew: Crew,
    _server: Option<Server>,
}

impl Running {
    fn alone(crew: Crew) -> Self {
        Self { crew, _server: None }
    }

    fn with(crew: Crew, server: Server) -> Self {
        Self { crew, _server: Some(server) }
    }
}

/// Everybody, ourselves first.
pub(crate) const ALL: &[Peer] = &[
    mikobase::PEER,
    mikobase::EMPTY,
    mikobase::BLOCKING,
    mikobase::FILE,
    raw::BLOCKING,
    raw::POLLING,
    tarpc::BOTH,
    tarpc::CLIENT,
    tarpc::SERVER,
    redis::PEER,
    postgresql::PEER,
    sqlite_file::PEER,
    manager::PEER,
];

/// How many of [`ALL`] are ourselves.
const OWN: usize = 2;

/// Ourselves: always measured, and what every ratio is about.
pub(crate) fn ours() -> &'static [Peer] {
    &ALL[..OWN]
}

/// The words by which peers are chosen.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL[OWN..].iter().map(|peer| peer.name)
}

/// What a peer is and on which terms it is compared, by its word.
pub fn terms(name: &str) -> Option<&'static str> {
    ALL.iter().find(|peer| peer.name == name).map(|peer| peer.terms)
}

//! The peers: the servers that are measured, and the terms of the comparison.

mod hyper;
mod lmdb;
mod manager;
mod mikobase;
mod postgresql;
mod raw;
mod redis;
mod sqlite_file;
mod tarpc;

use miko_shared::BoxError;

use crate::crew::Crew;
use crate::process::PeerServer;
use crate::workload::Workload;

/// A server that is measured.
pub(crate) struct Peer {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// A description of the peer and of the work that it does for a call.
    pub(crate) terms: &'static str,
    pub(crate) workloads: &'static [Workload],
    /// Starts the server and its workers, with records to read. `None` if the server is not installed.
    pub(crate) start: fn(Size) -> Result<Option<Running>, BoxError>,
}

/// The size of a measurement.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    pub(crate) records: usize,
}

/// A running peer. Dropping it ends its workers, then its server.
pub(crate) struct Running {
    pub(crate) crew: Crew,
    _server: Option<PeerServer>,
}

impl Running {
    fn alone(crew: Crew) -> Self {
        Self { crew, _server: None }
    }

    fn with(crew: Crew, server: PeerServer) -> Self {
        Self { crew, _server: Some(server) }
    }
}

/// All peers, Mikobase first.
pub(crate) const ALL: &[Peer] = &[
    mikobase::PEER,
    mikobase::EMPTY,
    mikobase::HTTP,
    mikobase::BLOCKING,
    mikobase::FILE,
    raw::BLOCKING,
    raw::POLLING,
    tarpc::BOTH,
    tarpc::CLIENT,
    tarpc::SERVER,
    hyper::PEER,
    redis::PEER,
    postgresql::PEER,
    sqlite_file::PEER,
    lmdb::PEER,
    manager::PEER,
];

/// How many of [`ALL`] are Mikobase itself.
const OWN: usize = 3;

/// Mikobase itself, which is always measured and to which each ratio refers.
pub(crate) fn ours() -> &'static [Peer] {
    &ALL[..OWN]
}

/// The names of the peers that can be chosen.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL[OWN..].iter().map(|peer| peer.name)
}

/// The description of the peer with this name.
pub fn terms(name: &str) -> Option<&'static str> {
    ALL.iter().find(|peer| peer.name == name).map(|peer| peer.terms)
}

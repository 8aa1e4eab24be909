//! The records of a share by HTTP.

use miko_http::HttpUds;
use miko_shared::BoxError;

use super::super::{Peer, Running, Size};
use super::share::{self, Pks, Seat};
use crate::http_client::HttpClient;
use crate::sample;
use crate::workload::{Client, Workload};

pub(in crate::peer) const PEER: Peer = Peer {
    name: "mikobase-http",
    terms: "A share of the memory engine that offers HTTP: `GET /records/{pk}` by a small blocking client, \
            on a connection that is kept. The text of an answer is not parsed.",
    workloads: &[Workload::HttpRead],
    start,
};

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    share::start(size, |uds, _| Ok(uds.http(true)), connect)
}

fn connect(seat: Seat<'_>) -> Result<Box<dyn Client + '_>, BoxError> {
    Ok(Box::new(Http { client: HttpClient::connect(&seat.uds.http_path())?, pks: seat.pks }))
}

struct Http {
    client: HttpClient,
    pks: Pks,
}

impl Client for Http {
    fn http_read(&mut self, record: usize) -> Result<(), BoxError> {
        sample::check(self.client.get("/records/", self.pks.get(record)?)?, record)
    }
}

//! The bound of what HTTP can do here: a server of hyper that answers each request with the same body.

use std::convert::Infallible;
use std::os::unix::net::UnixListener;

use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use miko_core::{MikobaseExt, backend};
use miko_shared::BoxError;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::http_client::HttpClient;
use crate::process::PeerServer;
use crate::sample::{self, ITEM};
use crate::workload::{Client, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "hyper",
    terms: "A bare server of the crate `hyper` in one thread, on the runtime that ours has. It answers each \
            request with the same text, a record as ours sends it. The client is the one of `mikobase-http`.",
    workloads: &[Workload::HttpRead],
    start,
};

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    let record = size.records / 2;
    let text = record_text(record)?;
    let server = PeerServer::fork(|listener| serve(listener, text))?;
    let socket = server.socket();
    let crew = Crew::fork(size, |_| Ok(Hyper { client: HttpClient::connect(&socket)?, record }))?;
    Ok(Some(Running::with(crew, server)))
}

/// A record as a Mikobase sends it over HTTP.
fn record_text(serial: usize) -> Result<String, BoxError> {
    let db = backend::open("mikobase.uno/sqlite/memory")?;
    db.import_schema(sample::schema())?;
    let pk = db.create(ITEM, &sample::bucket(serial))?;
    let record = db.record_by_pk(&pk)?.ok_or("the record is gone")?;
    Ok(serde_json::to_string(&record)?)
}

fn serve(listener: UnixListener, text: String) -> Result<(), BoxError> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let text = text.clone();
            let service = service_fn(move |_| {
                let response = Response::new(text.clone());
                async { Ok::<_, Infallible>(response) }
            });
            spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

struct Hyper {
    client: HttpClient,
    /// The record with which each request is answered.
    record: usize,
}

impl Client for Hyper {
    fn http_read(&mut self, record: usize) -> Result<(), BoxError> {
        sample::check(self.client.get("/records/", &sample::key(record))?, self.record)
    }
}

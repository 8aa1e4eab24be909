//! The empty call with tarpc's own client, its own server, or both.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use miko_core::rpc::Interface;
use miko_shared::wire::frame::{self, FrameBuffer};
use miko_shared::wire::handshake::{HandshakeReply, Hello, PREAMBLE_SIZE, preamble};
use miko_shared::{BoxError, Connect, Token, Uds};
use serde::{Deserialize, Serialize};
use tarpc::RequestName;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::MessagePack;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::mikobase::ping_rpc::{PingClient, PingServer};
use super::mikobase::{NoOp, Ping};
use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample::Choice;
use crate::worker::serve_orders;
use crate::workload::{Client, Workload};

pub(crate) const BOTH: Peer = Peer {
    name: "tarpc",
    terms: "tarpc's own client and server as its documentation shows them, on the same codec.",
    workloads: &[Workload::Empty],
    start: |size| against_stock_server(size, Stock::connect),
};

pub(crate) const CLIENT: Peer = Peer {
    name: "tarpc-client",
    terms: "tarpc's own client and our server.",
    workloads: &[Workload::Empty],
    start: against_our_server,
};

pub(crate) const SERVER: Peer = Peer {
    name: "tarpc-server",
    terms: "Our client and tarpc's own server.",
    workloads: &[Workload::Empty],
    start: |size| against_stock_server(size, |socket, token| Ok(PingClient::connect(socket, token)?)),
};

fn against_stock_server<C: Client>(
    size: Size,
    connect: fn(&Path, &Token) -> Result<C, BoxError>,
) -> Result<Option<Running>, BoxError> {
    let server = PeerServer::fork(|listener| serve(&listener))?;
    let (socket, token) = (server.socket(), Uds::new()?.token().clone());
    let crew = Crew::fork(size, |_| connect(&socket, &token))?;
    Ok(Some(Running::with(crew, server)))
}

fn against_our_server(size: Size) -> Result<Option<Running>, BoxError> {
    let crew = Crew::hosted(size.workers, |orders| {
        let uds = Uds::new()?;
        let report = uds.share::<dyn Ping, _>(
            size.workers,
            || Ok(Box::new(NoOp)),
            |_, worker| {
                let mut client = Stock::connect(&uds.path(), uds.token())?;
                let mut choice = Choice::new(worker.index(), size.workers, size.records);
                serve_orders(orders[worker.index()].try_clone()?, &mut client, &mut choice)
            },
        );
        report.map_err(miko_core::Error::from)?.into_returned()?;
        Ok(())
    })?;
    Ok(Some(Running::alone(crew)))
}

impl Client for PingClient {
    fn empty(&mut self) -> Result<(), BoxError> {
        Ok(self.ping()?)
    }
}

/// A call of [`Ping`], as the macro of tarpc writes it.
#[derive(Debug, Serialize, Deserialize)]
enum PingRequest {
    #[serde(rename = "ping")]
    Ping {},
}

impl RequestName for PingRequest {
    fn name(&self) -> &str {
        "ping"
    }
}

/// The result of a call of [`Ping`].
#[derive(Debug, Serialize, Deserialize)]
enum PingResponse {
    #[serde(rename = "ping")]
    Ping(Result<(), miko_core::Error>),
}

/// tarpc's client on a runtime of its own, as its documentation shows it.
struct Stock {
    runtime: Runtime,
    tasks: LocalSet,
    client: tarpc::client::Channel<PingRequest, PingResponse>,
}

impl Stock {
    fn connect(socket: &Path, token: &Token) -> Result<Self, BoxError> {
        let stream = connect(socket, token)?;
        let (runtime, tasks) = (runtime()?, LocalSet::new());
        let client = tasks.block_on(&runtime, async {
            let framed = Framed::new(tokio::net::UnixStream::from_std(stream)?, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(framed, MessagePack::default());
            let client = tarpc::client::new::<PingRequest, PingResponse, _>(Default::default(), transport);
            tokio::task::spawn_local(client.dispatch);
            Ok::<_, BoxError>(client.client)
        })?;
        Ok(Self { runtime, tasks, client })
    }
}

impl Client for Stock {
    fn empty(&mut self) -> Result<(), BoxError> {
        let call = self.client.call(tarpc::context::current(), PingRequest::Ping {});
        self.tasks.block_on(&self.runtime, call)?;
        Ok(())
    }
}

/// tarpc's server, as its documentation shows it.
fn serve(listener: &UnixListener) -> Result<(), BoxError> {
    let target: Arc<dyn Ping> = Arc::new(NoOp);
    listener.set_nonblocking(true)?;
    LocalSet::new().block_on(&runtime()?, async {
        let listener = tokio::net::UnixListener::from_std(listener.try_clone()?)?;
        loop {
            let stream = accept(listener.accept().await?.0.into_std()?)?;
            let framed = Framed::new(tokio::net::UnixStream::from_std(stream)?, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(framed, MessagePack::default());
            let calls = BaseChannel::with_defaults(transport).execute(PingServer::new(Arc::clone(&target)));
            tokio::task::spawn_local(calls.for_each(|call| async {
                tokio::task::spawn_local(call);
            }));
        }
    })
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Connects and performs the client's side of the handshake.
fn connect(socket: &Path, token: &Token) -> Result<UnixStream, BoxError> {
    let mut stream = UnixStream::connect(socket)?;
    let surface = <dyn Ping as Interface>::surface();
    let interface = surface.interface.clone().into_owned();
    let hello = Hello { interface, fingerprint: surface.fingerprint(), token: token.clone(), worker: None };
    let mut bytes = preamble().to_vec();
    frame::encode(&hello, usize::MAX, &mut bytes)?;
    stream.write_all(&bytes)?;
    read_frame(&mut stream, &mut FrameBuffer::default())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Performs the server's side of the handshake. It accepts every client: this server is for the benchmark
/// only.
fn accept(mut stream: UnixStream) -> Result<UnixStream, BoxError> {
    stream.set_nonblocking(false)?;
    stream.read_exact(&mut [0; PREAMBLE_SIZE])?;
    read_frame(&mut stream, &mut FrameBuffer::default())?;
    let mut bytes = Vec::new();
    frame::encode(&HandshakeReply::Welcome { frame_size: 8 << 20 }, usize::MAX, &mut bytes)?;
    stream.write_all(&bytes)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn read_frame(stream: &mut UnixStream, buffer: &mut FrameBuffer) -> Result<(), BoxError> {
    while buffer.next_frame(usize::MAX)?.is_none() {
        match stream.read(buffer.room())? {
            0 => return Err("the connection has ended".into()),
            count => buffer.filled(count),
        }
    }
    Ok(())
}

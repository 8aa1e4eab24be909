//! The same empty call with tarpc's own client, its own server, or both.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use miko_shared::wire::frame::{self, FrameBuffer};
use miko_shared::wire::preface::{Hello, OPENING, Verdict, opening};
use mikobase::rpc::Interface;
use mikobase::{BoxError, Connect, Token, Uds};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::MessagePack;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::family::ping_rpc::{PingClient, PingRequest, PingResponse, PingServer};
use crate::family::{Gate, Nothing, Ping, ServerProcess, Setting};

/// tarpc's client and tarpc's server.
pub(crate) fn client_and_server(setting: Setting) -> Result<Vec<f64>, BoxError> {
    against_stock_server(setting, stock_client)
}

/// Our client and tarpc's server.
pub(crate) fn server(setting: Setting) -> Result<Vec<f64>, BoxError> {
    against_stock_server(setting, |setting, gate, socket, token| {
        let client = PingClient::connect(socket, token)?;
        setting.time(gate, |_| Ok(client.ping()?))
    })
}

/// tarpc's client and our server.
pub(crate) fn client(setting: Setting) -> Result<Vec<f64>, BoxError> {
    setting.apply(|| {
        let (gate, uds) = (Gate::new()?, Uds::new()?);
        let share = uds.spawn_share::<dyn Ping, _>(
            setting.workers,
            || Ok(Box::new(Nothing)),
            |_, _| stock_client(setting, &gate, uds.path(), uds.token()),
        )?;
        gate.open(setting.workers, share)
    })
}

/// What a worker does: it is given the socket of the server and a token.
type Work = fn(Setting, &Gate, &Path, &Token) -> Result<f64, BoxError>;

fn against_stock_server(setting: Setting, work: Work) -> Result<Vec<f64>, BoxError> {
    setting.apply(|| {
        let server = ServerProcess::start(|listener| {
            let _ = serve(&listener);
        })?;
        let (gate, uds) = (Gate::new()?, Uds::new()?);
        let share = uds.spawn_share::<dyn Ping, _>(
            setting.workers,
            || Ok(Box::new(Nothing)),
            |_, _| work(setting, &gate, &server.socket, uds.token()),
        )?;
        gate.open(setting.workers, share)
    })
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// tarpc's client on a runtime of its own, as its documentation shows it.
fn stock_client(setting: Setting, gate: &Gate, socket: &Path, token: &Token) -> Result<f64, BoxError> {
    let stream = introduced(socket, token)?;
    let (runtime, tasks) = (runtime()?, LocalSet::new());
    let client = tasks.block_on(&runtime, async {
        let framed = Framed::new(tokio::net::UnixStream::from_std(stream)?, LengthDelimitedCodec::new());
        let transport = tarpc::serde_transport::new(framed, MessagePack::default());
        let client = tarpc::client::new::<PingRequest, PingResponse, _>(Default::default(), transport);
        tokio::task::spawn_local(client.dispatch);
        Ok::<_, BoxError>(client.client)
    })?;
    setting.time(gate, |_| {
        tasks.block_on(&runtime, client.call(tarpc::context::current(), PingRequest::Ping {}))?;
        Ok(())
    })
}

/// tarpc's server, as its documentation shows it.
fn serve(listener: &UnixListener) -> Result<(), BoxError> {
    let target: Arc<dyn Ping> = Arc::new(Nothing);
    listener.set_nonblocking(true)?;
    LocalSet::new().block_on(&runtime()?, async {
        let listener = tokio::net::UnixListener::from_std(listener.try_clone()?)?;
        loop {
            let stream = welcomed(listener.accept().await?.0.into_std()?)?;
            let framed = Framed::new(tokio::net::UnixStream::from_std(stream)?, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(framed, MessagePack::default());
            let calls = BaseChannel::with_defaults(transport).execute(PingServer::new(Arc::clone(&target)));
            tokio::task::spawn_local(calls.for_each(|call| async {
                tokio::task::spawn_local(call);
            }));
        }
    })
}

/// A connection past the client's side of the preface.
fn introduced(socket: &Path, token: &Token) -> Result<UnixStream, BoxError> {
    let mut stream = UnixStream::connect(socket)?;
    let surface = <dyn Ping as Interface>::surface();
    let interface = surface.interface.clone().into_owned();
    let hello = Hello { interface, fingerprint: surface.fingerprint(), token: token.clone() };
    let mut bytes = opening().to_vec();
    frame::encode(&hello, usize::MAX, &mut bytes)?;
    stream.write_all(&bytes)?;
    hear_frame(&mut stream, &mut FrameBuffer::default())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// A connection past the server's side of the preface. Nobody is refused: this is no server to keep.
fn welcomed(mut stream: UnixStream) -> Result<UnixStream, BoxError> {
    stream.set_nonblocking(false)?;
    stream.read_exact(&mut [0; OPENING])?;
    hear_frame(&mut stream, &mut FrameBuffer::default())?;
    let mut bytes = Vec::new();
    frame::encode(&Verdict::Welcome { frame_size: 8 << 20 }, usize::MAX, &mut bytes)?;
    stream.write_all(&bytes)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn hear_frame(stream: &mut UnixStream, buffer: &mut FrameBuffer) -> Result<(), BoxError> {
    while buffer.next_frame(usize::MAX)?.is_none() {
        match stream.read(buffer.room())? {
            0 => return Err("the connection has ended".into()),
            count => buffer.filled(count),
        }
    }
    Ok(())
}

//! The transport of an async proxy: a channel that is reopened after the connection is lost.

use std::time::{Duration, Instant};

use miko_rpc::{AsyncTransport, CallFuture, Error, ErrorId, Interface, Method, Result};
use tarpc::{client, context};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::Address;
use super::address::{CONNECT_RETRY, CONNECT_TIMEOUT, is_not_listening};
use super::channel::{AsyncCallError, Channel, SharedRequest};

/// tarpc formats a deadline as a date and stores it in a timer wheel; both are limited to a few years.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Carries the calls of an async proxy over a Unix socket, many at a time.
///
/// After a connection is lost, the next call opens a new one. Calls that were in progress fail, because it is
/// unknown whether they ran; repeatable ones are retried once.
pub(super) struct AsyncSocketTransport<I: Interface + ?Sized> {
    address: Address,
    current: Mutex<CurrentChannel<I>>,
}

/// The current connection, and the number of connections before it.
struct CurrentChannel<I: Interface + ?Sized> {
    channel: Option<Channel<I>>,
    generation: u64,
}

type TarpcClient<I> = client::Channel<SharedRequest<<I as Interface>::Request>, <I as Interface>::Response>;

impl<I: Interface + ?Sized> AsyncSocketTransport<I> {
    /// Connects at once. Retries for [`CONNECT_TIMEOUT`] while the server does not listen yet.
    pub(super) async fn connect(address: Address) -> Result<Self> {
        refuse_outside_runtime()?;
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let stream = loop {
            match UnixStream::connect(&address.path).await {
                Ok(stream) => break stream,
                Err(fault) if is_not_listening(&fault) && Instant::now() < deadline => {
                    sleep(CONNECT_RETRY).await
                }
                Err(fault) => return Err(address.unreachable(fault)),
            }
        };
        let channel = open(stream, &address).await?;
        Ok(Self { address, current: Mutex::new(CurrentChannel { channel: Some(channel), generation: 0 }) })
    }

    /// The current connection and its generation. Opens a new one if the current has ended or is the `lost`
    /// generation.
    async fn client(&self, lost: Option<u64>) -> Result<(TarpcClient<I>, u64)> {
        refuse_outside_runtime()?;
        let mut current = self.current.lock().await;
        let generation = current.generation;
        let channel = match current.channel.take() {
            Some(channel) if !channel.has_ended() && lost != Some(generation) => channel,
            _ => {
                let stream = UnixStream::connect(&self.address.path).await;
                let stream = stream.map_err(|fault| self.address.unreachable(fault))?;
                current.generation += 1;
                open(stream, &self.address).await?
            }
        };
        let generation = current.generation;
        Ok((current.channel.insert(channel).client.clone(), generation))
    }

    async fn run(&self, method: &'static Method, request: I::Request) -> Result<I::Response> {
        let request = SharedRequest::new(method, request);
        let mut context = context::current();
        let deadline = method.deadline_or(self.address.limits.call_deadline).min(MAX_DEADLINE);
        context.deadline = Instant::now() + deadline;
        let mut lost = None;
        loop {
            let (client, generation) = self.client(lost).await?;
            match client.call(context, request.clone()).await.map_err(AsyncCallError::from) {
                Ok(response) => return Ok(response),
                Err(AsyncCallError::Lost(_)) if method.is_repeatable() && lost.is_none() => {
                    lost = Some(generation)
                }
                Err(AsyncCallError::Lost(error) | AsyncCallError::CallFailed(error)) => return Err(error),
            }
        }
    }
}

impl<I: Interface + ?Sized> AsyncTransport<I> for AsyncSocketTransport<I> {
    fn call(&self, method: &'static Method, request: I::Request) -> CallFuture<'_, I::Response> {
        Box::pin(self.run(method, request))
    }
}

/// Opens a channel on `stream`, within the call deadline.
async fn open<I: Interface + ?Sized>(stream: UnixStream, address: &Address) -> Result<Channel<I>> {
    timeout(address.limits.call_deadline, Channel::open(stream, address)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not take up the connection in time"))
    })
}

/// Refuses to run outside a tokio runtime, which sockets and timers need.
fn refuse_outside_runtime() -> Result<()> {
    match Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(
            ErrorId::OUTSIDE_RUNTIME,
            "an async call was made outside a tokio runtime: await it inside one, or use the blocking client",
        )),
    }
}

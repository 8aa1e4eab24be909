//! The transport of an async proxy: a channel that is reopened after the connection is lost.

use std::time::{Duration, Instant};

use miko_rpc::{AnswerFuture, AsyncTransport, Error, ErrorId, Method, Result, Surface};
use tarpc::{client, context};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::Address;
use super::address::{CONNECT_RETRY, CONNECT_TIMEOUT, is_not_listening};
use super::channel::{AsyncCallError, Channel, EncodedCall, EncodedResponse};

/// tarpc formats a deadline as a date and stores it in a timer wheel; both are limited to a few years.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Carries the calls of an async proxy over a Unix socket, many at a time.
///
/// After a connection is lost, the next call opens a new one. Calls that were in progress fail, because it is
/// unknown whether they ran; repeatable ones are retried once.
pub(super) struct AsyncSocketTransport {
    address: Address,
    /// The surface of the interface, for the handshake.
    surface: &'static Surface,
    current: Mutex<CurrentChannel>,
}

/// The current connection, and the number of connections before it.
struct CurrentChannel {
    channel: Option<Channel>,
    generation: u64,
}

type TarpcClient = client::Channel<EncodedCall, EncodedResponse>;

impl AsyncSocketTransport {
    /// Connects at once. Retries for [`CONNECT_TIMEOUT`] while the server does not listen yet.
    pub(super) async fn connect(address: Address, surface: &'static Surface) -> Result<Self> {
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
        let channel = open(stream, &address, surface).await?;
        let current = Mutex::new(CurrentChannel { channel: Some(channel), generation: 0 });
        Ok(Self { address, surface, current })
    }

    /// The current connection and its generation. Opens a new one if the current has ended or is the `lost`
    /// generation.
    async fn client(&self, lost: Option<u64>) -> Result<(TarpcClient, u64)> {
        let mut current = self.current.lock().await;
        let generation = current.generation;
        let channel = match current.channel.take() {
            Some(channel) if !channel.has_ended() && lost != Some(generation) => channel,
            _ => {
                let stream = UnixStream::connect(&self.address.path).await;
                let stream = stream.map_err(|fault| self.address.unreachable(fault))?;
                current.generation += 1;
                open(stream, &self.address, self.surface).await?
            }
        };
        let generation = current.generation;
        Ok((current.channel.insert(channel).client.clone(), generation))
    }

    async fn run(&self, method: &'static Method, request: Vec<u8>) -> Result<Vec<u8>> {
        refuse_outside_runtime()?;
        let request = EncodedCall::new(method, request);
        let mut context = context::current();
        let deadline = method.deadline_or(self.address.limits.call_deadline).min(MAX_DEADLINE);
        context.deadline = Instant::now() + deadline;
        let mut lost = None;
        loop {
            let remaining = context.deadline.saturating_duration_since(Instant::now());
            let client = timeout(remaining, self.client(lost)).await;
            let (client, generation) = client.unwrap_or_else(|_| Err(not_opened()))?;
            match client.call(context, request.clone()).await.map_err(AsyncCallError::from) {
                Ok(EncodedResponse(response)) => return Ok(response),
                Err(AsyncCallError::Lost(_)) if method.is_repeatable() && lost.is_none() => {
                    lost = Some(generation)
                }
                Err(AsyncCallError::Lost(error) | AsyncCallError::CallFailed(error)) => return Err(error),
            }
        }
    }
}

impl AsyncTransport for AsyncSocketTransport {
    fn max_request_size(&self) -> usize {
        self.address.limits.frame_size
    }

    fn call(&self, method: &'static Method, request: Vec<u8>) -> AnswerFuture<'_> {
        Box::pin(self.run(method, request))
    }
}

/// The error of a connection that the server did not take up in time.
fn not_opened() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not take up the connection in time")
}

/// Opens a channel on `stream`, within the call deadline.
async fn open(stream: UnixStream, address: &Address, surface: &Surface) -> Result<Channel> {
    timeout(address.limits.call_deadline, Channel::open(stream, address, surface)).await.unwrap_or_else(
        |_| Err(Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not take up the connection in time")),
    )
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

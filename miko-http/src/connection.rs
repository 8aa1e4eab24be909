//! One connection: hyper reads the requests, the routes answer them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use miko_rpc::{CallTransport, Error, ErrorId, Result};
use miko_shared::server::{Accepted, AcceptedStream, JsonCalls, Protocol, WorkerAddress};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(feature = "tls")]
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::asked::Connection;
use crate::auth::Auth;
use crate::bare_refusal::RefusingStream;
use crate::body::ResponseBody;
use crate::client::{HttpServer, HttpTransport};
use crate::counts::Counts;
use crate::hang_up::HangUp;
use crate::options::Http;
use crate::progress::{Exchange, Progress};
use crate::status::status_of;
#[cfg(feature = "tls")]
use crate::tls;
use crate::{cors, gzip, refusal, reply, routes, unproven};

/// The smallest buffer that hyper takes.
const MIN_HEAD_SIZE: usize = 8 << 10;

/// How many bytes of a client are read after the last response, and for how long.
const MAX_DRAIN_SIZE: usize = 1 << 20;
const MAX_DRAIN_TIME: Duration = Duration::from_secs(1);

impl Protocol for Http {
    fn serve(self: Rc<Self>, accepted: Accepted, calls: Rc<JsonCalls>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve(self, accepted, calls))
    }

    fn connect(&self, worker: WorkerAddress) -> Result<Box<dyn CallTransport>> {
        let WorkerAddress { path, surface, worker, limits, calls, .. } = worker;
        let mut server = HttpServer::unix(path).limits(limits).worker(worker);
        if let Auth::Token(token) = &self.auth {
            server = server.token(token);
        }
        // No retry: a server that does not listen has ended.
        Ok(Box::new(HttpTransport::connect(server, surface, Duration::ZERO)?.counted_by(calls)))
    }
}

/// Serves a connection until it ends.
async fn serve(http: Rc<Http>, accepted: Accepted, calls: Rc<JsonCalls>) {
    let Accepted { stream, peer, is_own_user, refusal, .. } = accepted;
    if let Some(error) = refusal {
        return refuse_accepted(stream, &http, &error).await;
    }
    let is_tcp = matches!(stream, AcceptedStream::Tcp(_));
    let descriptor = match &stream {
        AcceptedStream::Unix(stream) => stream.as_raw_fd(),
        AcceptedStream::Tcp(stream) => stream.as_raw_fd(),
    };
    let proof = http.unproven.add(calls.limits().connections);
    if is_own_user {
        proof.give();
    }
    let connection = Rc::new(Connection { http, calls, peer, is_own_user, is_tcp, descriptor, proof });
    match stream {
        AcceptedStream::Unix(stream) => serve_on(stream, connection).await,
        #[cfg(feature = "tls")]
        AcceptedStream::Tcp(stream) if connection.http.tls.is_some() => {
            // Apart, so that connections without TLS take no room for it.
            Box::pin(serve_over_tls(stream, connection)).await;
        }
        AcceptedStream::Tcp(stream) => serve_on(stream, connection).await,
    }
}

/// Refuses a connection that there are too many of.
async fn refuse_accepted(stream: AcceptedStream, http: &Http, error: &Error) {
    match stream {
        AcceptedStream::Unix(mut stream) => refuse(&mut stream, &http.counts, error).await,
        #[cfg(feature = "tls")]
        AcceptedStream::Tcp(_) if http.tls.is_some() => {
            // To say so would take a handshake, which costs more than the connections that there are too many
            // of.
            debug!(%error, "closed before the TLS handshake");
        }
        AcceptedStream::Tcp(mut stream) => refuse(&mut stream, &http.counts, error).await,
    }
}

/// Serves a connection over TLS, after its handshake.
#[cfg(feature = "tls")]
async fn serve_over_tls(stream: TcpStream, connection: Rc<Connection>) {
    let Some(certificate) = &connection.http.tls else { return };
    let limit = connection.calls.limits().handshake;
    match tls::accept(stream, certificate.config(), &connection.proof, limit).await {
        tls::Opening::Tls(stream) => serve_on(stream, connection).await,
        tls::Opening::Plain(mut stream) => {
            refuse(&mut stream, &connection.http.counts, &tls::expected()).await;
            connection.proof.unless_evicted(close(&mut stream)).await;
        }
        tls::Opening::Failed => {}
    }
}

async fn serve_on(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, connection: Rc<Connection>) {
    let Http { limits, counts, .. } = &*connection.http;
    let progress = Rc::<Progress>::default();
    let metrics = connection.calls.metrics();
    let (answering, asked) = (Rc::clone(&progress), Rc::clone(&connection));
    let service = service_fn(move |request: Request<Incoming>| {
        let exchange = Exchange::begin(&answering);
        let connection = Rc::clone(&asked);
        Box::pin(async move { Ok::<_, Infallible>(answer(&connection, request, exchange).await) })
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size.max(MIN_HEAD_SIZE))
        .max_headers(limits.fields)
        .serve_connection(TokioIo::new(RefusingStream::new(stream, &progress, metrics, counts)), service);
    let mut hang_up = None;
    let ended = connection.proof.unless_evicted(poll_fn(|context| {
        progress.begin_turn();
        let ended = serving.poll_without_shutdown(context);
        if ended.is_ready() || !progress.is_answering_unread() {
            return ended;
        }
        // SAFETY: `serving` owns the stream, and a request of it is being answered, so it is open.
        let connection = unsafe { BorrowedFd::borrow_raw(connection.descriptor) };
        match hang_up.get_or_insert_with(|| HangUp::of(connection)) {
            Some(hang_up) => hang_up.poll(context).map(Ok),
            None => Poll::Pending,
        }
    }));
    let ended = ended.await;
    let mut stream = serving.into_parts().io.into_inner();
    stream.end_replacing();
    match ended {
        Some(Ok(())) => {}
        Some(Err(fault)) => {
            debug!(%fault, "the connection has failed");
            if fault.is_timeout() && progress.is_inside_head() {
                let message = "the head of the request did not arrive in time";
                refuse(&mut stream, counts, &Error::new(ErrorId::CLIENT_TOO_SLOW, message)).await;
            }
        }
        // Its room is needed at once, so it is not waited for the client.
        None if progress.is_idle() => return refuse(&mut stream, counts, &unproven::too_many()).await,
        None => return,
    }
    connection.proof.unless_evicted(close(&mut stream)).await;
}

/// Ends a connection on which nothing more is written. A failure means that the client has gone.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let ending = async {
        let _ = poll_fn(|context| Pin::new(&mut *stream).poll_shutdown(context)).await;
        drain(stream).await;
    };
    let _ = timeout(MAX_DRAIN_TIME, ending).await;
}

/// Reads what a client still sends, within a bound, and forgets it. A socket that is closed before may take
/// the last response with it.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4 << 10];
    for _ in 0..MAX_DRAIN_SIZE / buffer.len() {
        let mut read = ReadBuf::new(&mut buffer);
        let result = poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut read)).await;
        if result.is_err() || read.filled().is_empty() {
            break;
        }
    }
}

/// Answers a request. The exchange ends when the body of the response is dropped.
async fn answer(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let is_gzip_accepted = gzip::is_accepted(request.headers());
    let page = connection.http.allowed_origins.of_page(request.headers());
    let mut response = match routes::answer(connection, request, page.is_some()).await {
        Ok(response) => response,
        Err(error) => reply::refused(&error),
    };
    connection.http.counts.record_response(response.status());
    // No browser guesses another type than the one that is said.
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(hyper::header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = page {
        cors::let_read(headers, origin);
    }
    let response = reply::without_known_content(gzip::compress(response, is_gzip_accepted));
    response.map(|body| body.within(exchange))
}

/// Sends a refusal, after which the connection is closed. It is not waited for a client that does not read.
async fn refuse(stream: &mut (impl AsyncWrite + Unpin), counts: &Counts, error: &Error) {
    let status: StatusCode = status_of(error.id());
    counts.record_response(status);
    // The refusal fits into the buffer of a new socket, or the client has gone.
    let bytes = refusal::last(status, error);
    let _ = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, &bytes)).await;
}

//! One connection: hyper reads the requests, the routes answer them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
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
        let WorkerAddress { path, surface, worker, limits, calls, timeout, .. } = worker;
        let mut server = HttpServer::unix(path).limits(limits).worker(worker);
        if let Auth::Token(token) = &self.auth {
            server = server.token(token);
        }
        Ok(Box::new(HttpTransport::connect(server, surface, timeout)?.counted_by(calls)))
    }
}

/// Serves a connection until it ends.
async fn serve(http: Rc<Http>, accepted: Accepted, calls: Rc<JsonCalls>) {
    let Accepted { stream, peer, is_own_user, refusal, .. } = accepted;
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
        AcceptedStream::Unix(stream) => serve_on(stream, connection, refusal).await,
        #[cfg(feature = "tls")]
        AcceptedStream::Tcp(stream) if connection.http.tls.is_some() => {
            // Apart, so that connections without TLS take no room for it.
            Box::pin(serve_over_tls(stream, connection, refusal)).await;
        }
        AcceptedStream::Tcp(stream) => serve_on(stream, connection, refusal).await,
    }
}

/// Serves a connection over TLS, after its handshake.
#[cfg(feature = "tls")]
async fn serve_over_tls(stream: TcpStream, connection: Rc<Connection>, refusal: Option<Error>) {
    let Some(certificate) = &connection.http.tls else { return };
    if let Some(error) = refusal {
        // To say so would take a handshake, which costs more than the connections that there are too many of.
        debug!(%error, "closed before the TLS handshake");
        return;
    }
    let limit = connection.calls.limits().handshake;
    match tls::accept(stream, certificate.config(), &connection.proof, limit).await {
        tls::Opening::Tls(stream) => serve_on(stream, connection, None).await,
        tls::Opening::Plain(mut stream) => {
            refuse(&mut stream, &connection.http.counts, &tls::expected()).await;
            close(&mut stream).await;
        }
        tls::Opening::Failed => {}
    }
}

async fn serve_on(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    connection: Rc<Connection>,
    refusal: Option<Error>,
) {
    let counts = connection.http.counts.clone();
    if let Some(error) = refusal {
        return refuse(&mut stream, &counts, &error).await;
    }
    let progress = Rc::<Progress>::default();
    let limits = connection.http.limits.clone();
    let metrics = Rc::clone(connection.calls.metrics());
    let answering = Rc::clone(&progress);
    let evicted = connection.proof.evicted();
    let service = service_fn(move |request: Request<Incoming>| {
        let exchange = Exchange::begin(&answering);
        let connection = Rc::clone(&connection);
        Box::pin(async move { Ok::<_, Infallible>(answer(&connection, request, exchange).await) })
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size.max(MIN_HEAD_SIZE))
        .max_headers(limits.fields)
        .serve_connection(TokioIo::new(RefusingStream::new(stream, &progress, &metrics, &counts)), service);
    let mut evicted = pin!(evicted);
    let ended = poll_fn(|context| {
        progress.begin_turn();
        match serving.poll_without_shutdown(context) {
            Poll::Pending => evicted.as_mut().poll(context).map(|()| None),
            ended => ended.map(Some),
        }
    })
    .await;
    let mut stream = serving.into_parts().io.into_inner();
    stream.end_replacing();
    if ended.is_none() && progress.is_idle() {
        refuse(&mut stream, &counts, &unproven::too_many()).await;
    }
    if let Some(Err(fault)) = &ended {
        debug!(%fault, "the connection has failed");
        if fault.is_timeout() && progress.is_inside_head() {
            let message = "the head of the request did not arrive in time";
            refuse(&mut stream, &counts, &Error::new(ErrorId::CLIENT_TOO_SLOW, message)).await;
        }
    }
    close(&mut stream).await;
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

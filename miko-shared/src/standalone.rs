//! A server in this process, without workers. Other processes connect to it. It runs until a signal stops it.
//! If [`StandaloneServer::stop_at_end_of_input`] is set, the end of standard input stops it, too.

use std::io::{self, Read};
use std::os::unix::net::UnixListener;
#[cfg(feature = "mikobase")]
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

#[cfg(feature = "mikobase")]
use miko_core::backend::Mode;
use miko_rpc::{Error, ErrorId, Interface, Result};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tracing::info;

use crate::descriptors::DescriptorLimit;
use crate::limits::Limits;
use crate::linux;
use crate::server::{self, Activity, ProtocolSocket, ServeOptions, Service};
#[cfg(feature = "mikobase")]
use crate::server_name::{self, NameFile, ServerName};
use crate::token::Token;

/// A server in this process. SIGTERM, SIGINT and SIGHUP stop it, also if the signal arrives between
/// [`new`](Self::new) and [`run`](Self::run). [`at_hangup`](Self::at_hangup) gives SIGHUP another effect.
///
/// ```
/// use miko_shared::StandaloneServer;
///
/// let server = StandaloneServer::new()?;
/// # Ok::<(), miko_rpc::Error>(())
/// ```
#[must_use]
pub struct StandaloneServer {
    signals: SignalFd,
    /// The signals that `signals` reports.
    mask: SigSet,
    socket: Option<UnixListener>,
    /// The tokens with which a process may connect to the socket: the token passed with the socket, and the
    /// token in the name file.
    tokens: Vec<Token>,
    protocols: Vec<ProtocolSocket>,
    limits: Limits,
    stops_at_end_of_input: bool,
    /// Called at SIGHUP; `None` if SIGHUP stops the server.
    at_hangup: Option<Box<dyn FnMut()>>,
}

impl StandaloneServer {
    /// Creates a server without sockets. Blocks SIGTERM, SIGINT and SIGHUP in this thread. The type is not
    /// `Send`, so the server runs in the same thread. Threads that are running already must block these
    /// signals, too. If one does not, the system may deliver a signal to it, which ends the process. The
    /// signals stay blocked after the server has ended.
    ///
    /// A signal that the process ignores, as SIGHUP after `nohup`, does not stop the server.
    ///
    /// # Errors
    /// `internal`, if the system refuses to report signals.
    pub fn new() -> Result<Self> {
        let mut mask = SigSet::empty();
        // The kernel also reports a blocked signal that is ignored. So ignored signals are not blocked.
        let is_not_ignored =
            |signal: &Signal| linux::handler_of(*signal as libc::c_int) != Some(libc::SIG_IGN);
        mask.extend([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().filter(is_not_ignored));
        let failed = |fault| Error::caused_by(ErrorId::INTERNAL, "signals cannot be received", fault);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self {
            signals: SignalFd::with_flags(&mask, flags).map_err(failed)?,
            mask,
            socket: None,
            tokens: Vec::new(),
            protocols: Vec::new(),
            limits: Limits::default(),
            stops_at_end_of_input: false,
            at_hangup: None,
        })
    }

    /// Serves the wire protocol on a socket, to processes of the same user that know the token.
    pub fn socket(mut self, listener: UnixListener, token: Token) -> Self {
        self.socket = Some(listener);
        self.tokens.push(token);
        self
    }

    /// Serves another protocol on its socket.
    pub fn protocol(mut self, protocol: ProtocolSocket) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// Sets the limits of the server.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Writes the name file of this server beside its database, so that other commands find the server: see
    /// [`ServerName`](crate::ServerName). The caller has opened the database in `mode`, and has its lock.
    /// If the server has no socket with a path, only removes a stale name file, and returns `None`.
    ///
    /// # Errors
    /// `conflict`, if the name file already names a running server, which is possible only if both servers
    /// only read; `not-writable`, if the name file cannot be written; `internal`, if there is no randomness
    /// for a token.
    #[cfg(feature = "mikobase")]
    pub(crate) fn write_name(&mut self, database: &Path, mode: Mode) -> Result<Option<NameFile>> {
        let address = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
        let socket = address.as_ref().and_then(|address| address.as_pathname());
        // If this server writes, it is the only one that has the database open, so a name file is stale. A
        // name file with the socket of this server is stale, too: an earlier server had that socket.
        let is_of_other =
            |name: &ServerName| name.has_listener() && !socket.is_some_and(|socket| name.is_at(socket));
        let is_taken = mode == Mode::Read && ServerName::of(database).as_ref().is_some_and(is_of_other);
        let Some(socket) = socket else {
            if !is_taken {
                server_name::remove_stale(database);
            }
            return Ok(None);
        };
        if is_taken {
            let message = "another server that reads the file has its name beside it";
            return Err(Error::new(ErrorId::CONFLICT, message).with("path", database.display().to_string()));
        }
        // The name file gets a new token, which becomes invalid when this server ends. The token that was
        // passed to the server may be valid longer.
        let token = Token::random()?;
        let written = NameFile::write(database, socket, &token).map_err(|fault| {
            let message = "the name of the server cannot be written beside its file";
            Error::caused_by(ErrorId::NOT_WRITABLE, message, fault)
                .with("path", database.display().to_string())
        })?;
        self.tokens.push(token);
        Ok(Some(written))
    }

    #[cfg(feature = "mikobase")]
    pub(crate) fn frame_size(&self) -> usize {
        self.limits.frame_size
    }

    /// Whether the server also stops at the end of standard input. With a pipe as its standard input, it then
    /// does not outlive the program that has the other end of the pipe.
    pub fn stop_at_end_of_input(mut self, stops: bool) -> Self {
        self.stops_at_end_of_input = stops;
        self
    }

    /// Makes SIGHUP call `reload` instead of stopping the server, even if the process ignores SIGHUP.
    /// `reload` reads files again that may have changed, such as the certificate of the server. It runs
    /// between the calls of clients, and these calls wait until it has returned.
    pub fn at_hangup(mut self, reload: impl FnMut() + 'static) -> Self {
        self.at_hangup = Some(Box::new(reload));
        self
    }

    /// Makes `signals` report SIGHUP, even if the process ignores SIGHUP.
    fn receive_hangups(&mut self) -> nix::Result<()> {
        self.mask.add(Signal::SIGHUP);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&self.mask), None)?;
        self.signals.set_mask(&self.mask)
    }

    /// Serves until the server is stopped, and returns the service. Calls `ready` when clients can connect.
    ///
    /// While the server runs, the soft limit on file descriptors is as high as its connections need. If the
    /// hard limit is lower, the server takes fewer connections than [`Limits::connections`].
    ///
    /// # Errors
    /// The errors of `ready`; `internal`, if the system refuses memory, a thread or a descriptor.
    pub fn run<I: Interface + ?Sized, S: Service<I> + 'static>(
        mut self,
        service: S,
        ready: impl FnOnce() -> Result<()>,
    ) -> Result<Rc<S>> {
        let failed = |fault| Error::caused_by(ErrorId::INTERNAL, "the server cannot run", fault);
        if self.at_hangup.is_some() {
            self.receive_hangups().map_err(|fault| failed(fault.into()))?;
        }
        let activity = Arc::new(Activity::new(I::surface(), self.limits.call_deadline)?);
        let end_of_input =
            self.stops_at_end_of_input.then(watch_for_end_of_input).transpose().map_err(failed)?;
        let (_raised, connections) = DescriptorLimit::for_connections(self.limits.connections);
        let options = ServeOptions {
            tokens: self.tokens,
            limits: Limits { connections, ..self.limits },
            shared_status: None,
            activity,
            around: None,
            protocols: self.protocols,
        };
        let service = Rc::new(service);
        let served: Rc<dyn Service<I>> = Rc::clone(&service) as Rc<dyn Service<I>>;
        // Clients can connect already: their connections wait in the queues of the sockets until the server
        // runs.
        ready()?;
        let runtime = server::runtime(options.shared_status.as_ref()).map_err(failed)?;
        runtime.block_on(async {
            // SAFETY: a `SignalFd` names the same open descriptor until it is dropped, and the `AsyncFd` that
            // owns it keeps it open while it is registered.
            let signals = unsafe { AsyncFd::register_with_interest(self.signals, Interest::READABLE) };
            let signals = signals.map_err(|fault| failed(fault.into()))?;
            let stop = async {
                let stop_signal = wait_for_stop_signal(signals, self.at_hangup);
                match end_of_input {
                    Some(end) => server::first_of(stop_signal, async { drop(end.await) }).await,
                    None => stop_signal.await,
                }
            };
            server::serve(self.socket, served, options, stop).await
        })?;
        info!("stopped");
        Ok(service)
    }
}

/// Completes at a signal that stops the server. Calls `at_hangup`, if it is set, at each SIGHUP.
async fn wait_for_stop_signal(signals: AsyncFd<SignalFd>, mut at_hangup: Option<Box<dyn FnMut()>>) {
    // Waiting fails only after the runtime has ended, and then this future is no longer polled.
    while let Ok(mut readable) = signals.readable().await {
        let signal = signals.get_ref().read_signal();
        match (signal, &mut at_hangup) {
            (Ok(None), _) => readable.clear_ready(),
            (Ok(Some(signal)), Some(reload)) if signal.ssi_signo == Signal::SIGHUP as u32 => reload(),
            // A stop signal. Or signals cannot be read any more: the server stops now, since no later signal
            // could stop it.
            _ => return,
        }
    }
}

/// Starts a thread that reads standard input to its end. The returned receiver completes then, or when the
/// input cannot be read. The runtime does not watch the input itself, since not every kind of file can be
/// polled.
fn watch_for_end_of_input() -> io::Result<oneshot::Receiver<()>> {
    let (ended, has_ended) = oneshot::channel();
    thread::Builder::new().name("end of input".to_owned()).spawn(move || {
        read_to_end(io::stdin().lock());
        let _ = ended.send(());
    })?;
    Ok(has_ended)
}

/// Reads and discards a file up to its end, or until it cannot be read. A signal that interrupts the read
/// does not end it.
fn read_to_end(mut input: impl Read) {
    let mut buffer = [0; 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(count) if count > 0 => {}
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_read_is_not_the_end_of_the_input() {
        /// Reads the results in their order; a number is a count of bytes.
        struct Results(std::vec::IntoIter<io::Result<usize>>);
        impl Read for Results {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0.next().unwrap_or(Ok(0))
            }
        }
        let error = |kind: io::ErrorKind| Err(io::Error::from(kind));
        let interrupted = || error(io::ErrorKind::Interrupted);
        for (results, unread) in [
            (vec![Ok(1), interrupted(), Ok(2), Ok(0), Ok(3)], 1),
            (vec![interrupted(), error(io::ErrorKind::Other), Ok(3)], 1),
        ] {
            let mut input = Results(results.into_iter());
            read_to_end(&mut input);
            assert_eq!(input.0.len(), unread);
        }
    }

    #[cfg(feature = "mikobase")]
    #[test]
    fn a_name_file_is_stale_if_no_other_server_has_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("crew.db");
        std::fs::write(&database, "").unwrap();
        let sockets = ["own", "other"].map(|name| folder.path().join(name));
        let [own, _other] = [0, 1].map(|index| UnixListener::bind(&sockets[index]).unwrap());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let mut server = StandaloneServer::new().unwrap().socket(own, Token::random().unwrap());
        for (socket, is_stale) in [
            (sockets[0].clone(), true),
            (link.join("own"), true),
            (folder.path().join("nobody"), true),
            (sockets[1].clone(), false),
        ] {
            // An earlier server has left it.
            std::mem::forget(NameFile::write(&database, &socket, &Token::random().unwrap()).unwrap());
            match server.write_name(&database, Mode::Read) {
                Ok(written) => assert!(is_stale && written.is_some(), "{socket:?}"),
                Err(error) => assert!(!is_stale && error.is(ErrorId::CONFLICT), "{socket:?}: {error}"),
            }
        }
    }
}

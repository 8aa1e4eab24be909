//! The server process, from the fork to its exit.

use std::ffi::CString;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use miko_rpc::{Error, ErrorId, Interface, Result, memory, panic_message};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Pid, getpid};

use super::control::{FINISH, STATE_CHUNK, ServerMessage, StateWriter, send};
use super::directory::Directory;
use crate::async_socket;
use crate::descriptors::DescriptorLimit;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::server::{self, Activity, Around, Protocol, ProtocolSocket, ServeOptions, Service};
use crate::token::Token;

/// The values that the server process inherits from its parent, besides the closure that opens the shared
/// object.
pub(super) struct ServerSetup<'d> {
    pub(super) directory: &'d Directory,
    pub(super) listener: UnixListener,
    /// The server's end of the socket pair with its parent.
    pub(super) control: UnixStream,
    pub(super) token: Token,
    pub(super) limits: Limits,
    /// How many bytes of memory the server may allocate beyond those inherited from its parent; `None` for no
    /// limit.
    pub(super) memory_limit: Option<usize>,
    /// The status that the server publishes to its workers; `None` if neither the server nor the workers
    /// poll.
    pub(super) shared_status: Option<Arc<SharedStatus>>,
    /// Publishes to the parent which method the server runs.
    pub(super) activity: Arc<Activity>,
    /// The hook of [`Uds::around`](crate::Uds::around), which runs around each call.
    pub(super) around: Option<Rc<Around>>,
    /// The protocol of [`Uds::second_protocol`](crate::Uds::second_protocol), with its socket.
    pub(super) second_protocol: Option<(UnixListener, Rc<dyn Protocol>)>,
}

/// Opens the shared object by `open`, serves it until the parent sends [`FINISH`], and delivers the final
/// state. Returns the exit code of the process.
pub(super) fn run<I, S>(mut setup: ServerSetup<'_>, open: impl FnOnce() -> Result<S>) -> i32
where
    I: Interface + ?Sized,
    S: Service<I> + 'static,
{
    let outcome = open_and_serve::<I, S>(&mut setup, open);
    let code = i32::from(outcome.is_err());
    let last_message = outcome.map_or_else(ServerMessage::Failed, |()| ServerMessage::Done);
    send(&mut setup.control, &last_message);
    // A live parent removes the directory itself.
    if is_orphan(&setup.control) {
        setup.directory.remove();
    }
    code
}

fn open_and_serve<I, S>(setup: &mut ServerSetup<'_>, open: impl FnOnce() -> Result<S>) -> Result<()>
where
    I: Interface + ?Sized,
    S: Service<I> + 'static,
{
    if let Some(bytes) = setup.memory_limit {
        memory::limit(bytes)?;
    }
    // The limit on descriptors that the parent has raised suffices for the workers. It may be too low for all
    // connections that `limits` allows. It is raised further until `_raised` is dropped. If the system does
    // not allow enough, the server accepts fewer connections.
    let (_raised, connections) = DescriptorLimit::for_connections(setup.limits.connections);
    setup.limits.connections = connections;
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).unwrap_or_else(|panic| {
        Err(Error::new(
            ErrorId::INTERNAL,
            format!("opening the shared object panicked: {}", panic_message(&*panic)),
        ))
    })?;
    let service: Rc<dyn Service<I>> = Rc::new(opened);
    let runtime = server::runtime(setup.shared_status.as_ref())
        .map_err(|fault| system_error("no runtime can be started", fault))?;
    send(&mut setup.control, &ServerMessage::Ready);
    let served = runtime.block_on(serve_until_finish(setup, Rc::clone(&service)));
    // The control socket has become non-blocking together with its clone, also if serving has failed. The
    // messages that follow are sent by blocking writes.
    let blocks_again = setup.control.set_nonblocking(false);
    served?;
    blocks_again.map_err(|fault| system_error("the control socket cannot be made blocking", fault))?;
    if is_orphan(&setup.control) {
        return Err(Error::new(ErrorId::INTERRUPTED, "the parent ended before its workers"));
    }
    let mut state = BufWriter::with_capacity(STATE_CHUNK, StateWriter(&mut setup.control));
    service.deliver(&mut state)?;
    state.flush().map_err(|fault| system_error("the final state cannot be handed over", fault))
}

/// Serves until the parent sends [`FINISH`] or ends. Leaves the control socket non-blocking.
async fn serve_until_finish<I: Interface + ?Sized>(
    setup: &ServerSetup<'_>,
    service: Rc<dyn Service<I>>,
) -> Result<()> {
    let failed = |fault| system_error("the server cannot listen", fault);
    let control = setup.control.try_clone().map_err(failed)?;
    control.set_nonblocking(true).map_err(failed)?;
    let mut control = tokio::net::UnixStream::from_std(control).map_err(failed)?;
    let listener = setup.listener.try_clone().map_err(failed)?;
    let (token, limits) = (setup.token.clone(), setup.limits.clone());
    let stop = async {
        let mut command = [0];
        // Any other command is ignored. At the end of file or at an error, the parent has ended, and with it
        // all workers: serving then ends, too.
        while async_socket::read(&mut control, &mut command)
            .await
            .is_ok_and(|count| count > 0 && command[0] != FINISH)
        {}
    };
    let mut protocols = Vec::new();
    if let Some((listener, protocol)) = &setup.second_protocol {
        protocols.push(ProtocolSocket::unix(listener.try_clone().map_err(failed)?, Rc::clone(protocol)));
    }
    let options = ServeOptions {
        tokens: vec![token],
        limits,
        shared_status: setup.shared_status.clone(),
        activity: Arc::clone(&setup.activity),
        around: setup.around.clone(),
        protocols,
    };
    server::serve(Some(listener), service, options, stop).await
}

/// Whether the parent has ended, so that its end of the socket is closed. The server may detect this before
/// the SIGTERM that the kernel sends at the death of the parent arrives.
fn is_orphan(control: &UnixStream) -> bool {
    let mut fds = [PollFd::new(control.as_fd(), PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// Installs the signal actions of the server. The server ignores the signals that a terminal sends to the
/// whole process group, so that it can still deliver the final state. On SIGTERM it removes the directory and
/// exits.
pub(super) fn install_signal_handlers(directory: &Directory) {
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal installs no handler.
        let _ = unsafe { sigaction(signal, &ignore) };
    }
    clean_up_when_terminated(directory);
}

/// The paths that the signal handler of a server removes, as C strings, because a handler must not allocate.
struct CleanupPaths {
    /// The server that owns the paths. A process that the server forks inherits the handler, but must not
    /// remove the paths.
    owner: Pid,
    files: [CString; 3],
    directory: CString,
}

/// The paths of this process, if it is a server, or of the server from which it was forked; null in all other
/// processes. A value that was stored here is never freed.
static CLEANUP_PATHS: AtomicPtr<CleanupPaths> = AtomicPtr::new(std::ptr::null_mut());

/// Installs the handler of SIGTERM, which removes the directory and ends the process. The kernel sends
/// SIGTERM when the parent dies. Then no other process is left to remove the directory, and the server may be
/// in a long call. If a live parent has sent SIGTERM, it removes the directory as well, which does no harm.
fn clean_up_when_terminated(directory: &Directory) {
    extern "C" fn clean_up(_: libc::c_int) {
        // SAFETY: the pointer is null or comes from `Box::leak` below. What it points to is never changed or
        // freed.
        let cleanup = unsafe { CLEANUP_PATHS.load(Ordering::Acquire).as_ref() };
        if let Some(cleanup) = cleanup
            // `getpid` is async-signal-safe.
            && cleanup.owner == getpid()
        {
            for file in &cleanup.files {
                // SAFETY: `unlink` is async-signal-safe, and the path is a valid C string that is never
                // freed.
                unsafe { libc::unlink(file.as_ptr()) };
            }
            // SAFETY: as above.
            unsafe { libc::rmdir(cleanup.directory.as_ptr()) };
        }
        // SAFETY: `_exit` is async-signal-safe.
        unsafe { libc::_exit(128 + libc::SIGTERM) }
    }
    let (files, directory) = directory.contents();
    let c_string = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let cleanup = CleanupPaths {
        owner: getpid(),
        files: files.map(|file| c_string(&file)),
        directory: c_string(&directory),
    };
    CLEANUP_PATHS.store(Box::leak(Box::new(cleanup)), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(clean_up), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler calls only async-signal-safe functions and reads only memory that is never written
    // again.
    let _ = unsafe { sigaction(Signal::SIGTERM, &action) };
}

fn system_error(what: &str, fault: std::io::Error) -> Error {
    Error::new(ErrorId::INTERNAL, format!("{what}: {fault}"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use miko_core::{Mikobase, SqliteEngine};
    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    #[test]
    fn a_failure_to_serve_leaves_the_control_socket_blocking() {
        let directory = Directory::create().unwrap();
        let (control, _parent) = UnixStream::pair().unwrap();
        let surface = <dyn Mikobase as Interface>::surface();
        let mut setup = ServerSetup {
            directory: &directory,
            // This is no socket, so it cannot be served.
            listener: UnixListener::from(OwnedFd::from(File::open("/dev/null").unwrap())),
            control,
            token: Token::random().unwrap(),
            limits: Limits::default(),
            memory_limit: None,
            shared_status: None,
            activity: Arc::new(Activity::new(surface, Duration::ZERO).unwrap()),
            around: None,
            second_protocol: None,
        };
        let open = || Ok(Box::new(SqliteEngine::in_memory()?) as Box<dyn Mikobase>);
        let served = open_and_serve::<dyn Mikobase, Box<dyn Mikobase>>(&mut setup, open);
        assert!(served.unwrap_err().to_string().contains("the socket cannot be served"));
        let flags = OFlag::from_bits_retain(fcntl(&setup.control, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
        directory.remove();
    }
}

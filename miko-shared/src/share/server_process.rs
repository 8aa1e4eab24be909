//! The server process: what happens in it from the fork to its end.

use std::ffi::CString;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use miko_core::rpc::{Interface, panic_message};
use miko_core::{Error, ErrorId, Result, memory};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Pid, getpid};
use tokio::io::AsyncReadExt;

use super::control::{FINISH, ServerMessage, StateWriter, send};
use super::directory::Directory;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::server::{self, Activity, ServeOptions, Serving};
use crate::token::Token;

/// What the server process was born with.
pub(super) struct ServerSetup<'d> {
    pub(super) directory: &'d Directory,
    pub(super) listener: UnixListener,
    pub(super) control: UnixStream,
    pub(super) token: Token,
    pub(super) limits: Limits,
    /// How many bytes it may take beyond those of its parent; `None` if it may take all that there are.
    pub(super) memory_limit: Option<usize>,
    /// What it shows its workers of itself, if anybody may poll.
    pub(super) shared_status: Option<Arc<SharedStatus>>,
    /// Where it tells its parent what it does.
    pub(super) activity: Arc<Activity>,
}

/// Opens the shared object, serves it until the parent says that all workers have ended, and delivers the final state.
/// Gives the exit code of the process.
pub(super) fn run<I, S>(mut setup: ServerSetup<'_>, open: impl FnOnce() -> Result<S>) -> i32
where
    I: Interface + ?Sized,
    S: Serving<I> + 'static,
{
    let outcome = open_and_serve::<I, S>(&mut setup, open);
    let code = i32::from(outcome.is_err());
    let last = outcome.map_or_else(ServerMessage::Failed, |()| ServerMessage::Done);
    send(&mut setup.control, &last);
    if is_orphan(&setup.control) {
        setup.directory.remove();
    }
    code
}

fn open_and_serve<I, S>(setup: &mut ServerSetup<'_>, open: impl FnOnce() -> Result<S>) -> Result<()>
where
    I: Interface + ?Sized,
    S: Serving<I> + 'static,
{
    if let Some(bytes) = setup.memory_limit {
        memory::limit(bytes)?;
    }
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).unwrap_or_else(|panic| {
        Err(Error::new(
            ErrorId::INTERNAL,
            format!("opening the shared object panicked: {}", panic_message(&*panic)),
        ))
    })?;
    let served: Rc<dyn Serving<I>> = Rc::new(opened);
    let runtime = server::runtime(setup.shared_status.as_ref())
        .map_err(|fault| system("no runtime can be started", &fault))?;
    send(&mut setup.control, &ServerMessage::Ready);
    runtime.block_on(serve_until_finish(setup, Rc::clone(&served)))?;
    if is_orphan(&setup.control) {
        return Err(Error::new(ErrorId::INTERRUPTED, "the parent ended before its workers"));
    }
    let mut state = BufWriter::with_capacity(64 << 10, StateWriter(&mut setup.control));
    served.deliver(&mut state)?;
    state.flush().map_err(|fault| system("the final state cannot be handed over", &fault))
}

async fn serve_until_finish<I: Interface + ?Sized>(
    setup: &ServerSetup<'_>,
    served: Rc<dyn Serving<I>>,
) -> Result<()> {
    let failed = |fault| system("the server cannot listen", &fault);
    let control = setup.control.try_clone().map_err(failed)?;
    control.set_nonblocking(true).map_err(failed)?;
    let mut control = tokio::net::UnixStream::from_std(control).map_err(failed)?;
    let listener = setup.listener.try_clone().map_err(failed)?;
    let (token, limits) = (setup.token.clone(), setup.limits.clone());
    let stop = async {
        let mut word = [0];
        // Its end without a word means that the parent has ended: there is nobody left to serve.
        while control.read(&mut word).await.is_ok_and(|count| count > 0 && word[0] != FINISH) {}
    };
    let options = ServeOptions {
        token,
        limits,
        shared_status: setup.shared_status.clone(),
        activity: Arc::clone(&setup.activity),
    };
    server::serve(listener, served, options, stop).await?;
    setup.control.set_nonblocking(false).map_err(failed)
}

/// Has the parent ended? Its end of the socket is closed then, which the server may see before it is sent SIGTERM.
fn is_orphan(control: &UnixStream) -> bool {
    let mut fds = [PollFd::new(control.as_fd(), PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// What the server does on signals: it outlives what a terminal sends to the whole process group, to hand over what
/// there is, and it removes the directory when its parent has died.
pub(super) fn handle_signals(directory: &Directory) {
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal installs no code.
        let _ = unsafe { sigaction(signal, &ignore) };
    }
    clean_up_when_terminated(directory);
}

/// What the signal handler of a server removes. It may not allocate then.
struct CleanupPaths {
    /// The server that they belong to. A process that it forked may have setup its handler.
    owner: Pid,
    files: [CString; 2],
    directory: CString,
}

/// The cleanup of this process, or of one that it was forked from. Null in the parent. A value that is stored here
/// is never freed.
static CLEANUP_PATHS: AtomicPtr<CleanupPaths> = AtomicPtr::new(std::ptr::null_mut());

/// The kernel sends SIGTERM when the parent dies, however it dies. No other process is left then to remove the
/// directory, and the server may be in the middle of a long call: so the handler itself does it, at once.
fn clean_up_when_terminated(directory: &Directory) {
    extern "C" fn clean_up(_: libc::c_int) {
        // SAFETY: it is null or was made by `Box::leak` below, and is never changed or freed after that.
        let cleanup = unsafe { CLEANUP_PATHS.load(Ordering::Acquire).as_ref() };
        if let Some(cleanup) = cleanup
            // `getpid` is async-signal-safe.
            && cleanup.owner == getpid()
        {
            for file in &cleanup.files {
                // SAFETY: `unlink` is async-signal-safe, and the path is a valid C string that lives for ever.
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
    // SAFETY: the handler calls only what is async-signal-safe and reads only what is never written again.
    let _ = unsafe { sigaction(Signal::SIGTERM, &action) };
}

fn system(what: &str, fault: &std::io::Error) -> Error {
    Error::new(ErrorId::INTERNAL, format!("{what}: {fault}"))
}

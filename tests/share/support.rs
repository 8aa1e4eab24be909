//! Helpers of several cases.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use miko_shared::wire::envelope::Envelope;
use miko_shared::wire::frame::{self, FrameBuffer};
use miko_shared::wire::handshake::{HandshakeReply, Hello, preamble};
use mikobase::prelude::*;
use mikobase::rpc::codec::SerdeMessage;
use mikobase::rpc::{Client, Interface, Surface};
use mikobase::{BoxError, Error, HttpServer, Share, Token, Transport, Worldlet};
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{pause, pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The environment variable that says what the proxies of a case speak, if it is not the wire.
pub const TRANSPORT: &str = "MIKOBASE_TEST_TRANSPORT";

/// Whether the proxies of this case speak HTTP.
pub fn over_http() -> bool {
    env::var_os(TRANSPORT).is_some_and(|transport| transport == "http")
}

/// A `Uds` whose workers speak what this case is about.
pub fn uds() -> Uds {
    let uds = Uds::new().unwrap();
    if over_http() { uds.transport(Transport::Http) } else { uds }
}

/// A proxy of a share, that speaks what this case is about.
pub fn proxy<I, R, S>(share: &Share<'_, I, R, S>) -> Client<I>
where
    I: Interface + ?Sized,
    R: DeserializeOwned,
{
    if over_http() {
        Client::connect_http(&HttpServer::unix(share.http_path())).unwrap()
    } else {
        Client::connect(share.path(), share.token()).unwrap()
    }
}

pub type Running<'b, R> = Share<'b, dyn Mikobase, R, Worldlet>;

/// An event from one process to another: `notify` in one, `wait` in the other.
pub struct Event {
    reading: File,
    writing: File,
}

impl Event {
    pub fn new() -> Self {
        let (reading, writing) = pipe().unwrap();
        Self { reading: reading.into(), writing: writing.into() }
    }

    pub fn notify(&self) {
        (&self.writing).write_all(b"!").unwrap();
    }

    pub fn wait(&self) {
        (&self.reading).read_exact(&mut [0]).unwrap();
    }
}

/// Waits until a signal ends the process.
pub fn wait_for_ever() -> ! {
    loop {
        pause();
    }
}

/// Creates a record of a test class.
pub fn create(db: &dyn Mikobase, n: usize) -> mikobase::Result<String> {
    db.q0(json!({"action": "create", "class": "test.org/item", "bucket": {"n": n}}))?.into_pk()
}

pub fn count(db: &dyn Mikobase) -> usize {
    db.by_class("test.org/item").unwrap().count()
}

/// A raw connection, for bytes that no proxy sends.
pub struct Raw {
    pub stream: UnixStream,
    incoming: FrameBuffer,
}

impl Raw {
    /// Connects without a handshake.
    pub fn silent(share: &Running<'_, ()>) -> Self {
        Self { stream: UnixStream::connect(share.path()).unwrap(), incoming: FrameBuffer::default() }
    }

    /// Connects and performs the handshake.
    pub fn admitted(share: &Running<'_, ()>) -> Self {
        let mut raw = Self::silent(share);
        let verdict = raw.handshake(share.token());
        assert!(matches!(verdict, HandshakeReply::Welcome { .. }), "{verdict:?}");
        raw
    }

    /// Connects to a server of the interface `I` and performs the handshake.
    pub fn to<I: Interface + ?Sized>(path: &Path, token: &Token) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        let mut raw = Self { stream, incoming: FrameBuffer::default() };
        let verdict = raw.handshake_as(I::surface(), token);
        assert!(matches!(verdict, HandshakeReply::Welcome { .. }), "{verdict:?}");
        raw
    }

    pub fn handshake(&mut self, token: &Token) -> HandshakeReply {
        self.handshake_as(<dyn Mikobase as Interface>::surface(), token)
    }

    fn handshake_as(&mut self, surface: &Surface, token: &Token) -> HandshakeReply {
        let interface = surface.interface.clone().into_owned();
        let hello =
            Hello { interface, fingerprint: surface.fingerprint(), token: token.clone(), worker: None };
        let mut bytes = preamble().to_vec();
        frame::encode(&hello, usize::MAX, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
        rmp_serde::from_slice(&self.read_frame().unwrap()).unwrap()
    }

    /// The next frame from the server; `None` if it has closed the connection.
    pub fn read_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.incoming.next_frame(usize::MAX).unwrap() {
                return Some(frame.to_vec());
            }
            match self.stream.read(self.incoming.room()) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.incoming.filled(count),
            }
        }
    }

    /// The error of an answer.
    pub fn read_error(&mut self) -> Error {
        let answer: tarpc::Response<()> = rmp_serde::from_slice(&self.read_frame().unwrap()).unwrap();
        serde_json::from_str(&answer.message.unwrap_err().detail).unwrap()
    }

    /// The error of a refused handshake.
    pub fn read_handshake_error(&mut self) -> Error {
        match rmp_serde::from_slice(&self.read_frame().unwrap()).unwrap() {
            HandshakeReply::Refused(error) => error,
            verdict => panic!("{verdict:?}"),
        }
    }
}

/// The frame of a call as a client sends it, with any method name and params.
pub fn encoded_call(method: &str, params: &serde_json::Value) -> Vec<u8> {
    let trace = json!({"trace_id": vec![0; 16], "span_id": 0, "sampling_decision": "Unsampled"});
    let call = json!({"Request": {
        "context": {"deadline": {"secs": 60, "nanos": 0}, "trace_context": trace},
        "id": 1,
        "message": {method: params},
    }});
    let mut bytes = Vec::new();
    frame::encode(&call, usize::MAX, &mut bytes).unwrap();
    bytes
}

/// As [`encoded_call`], in the constant envelope of Mikobase's own clients.
pub fn enclosed_call(method: &str, params: &impl Serialize) -> Vec<u8> {
    enclosed_call_in(Envelope { deadline: Duration::from_secs(60), id: 1 }, method, params)
}

pub fn enclosed_call_in(envelope: Envelope, method: &str, params: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let call = BTreeMap::from([(method, params)]);
    envelope.enclose(&SerdeMessage(&call), usize::MAX, &mut bytes).unwrap();
    bytes
}

/// Starts a timer that kills this process, wherever it is then.
pub fn kill_this_process_after(delay: Duration) -> Result<(), BoxError> {
    let signal = SigevNotify::SigevSignal { signal: Signal::SIGKILL, si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(signal))?;
    // A time of 0 would stop the timer.
    let delay = delay.max(Duration::from_nanos(1));
    timer.set(Expiration::OneShot(TimeSpec::from_duration(delay)), TimerSetTimeFlags::empty())?;
    // It runs until the process ends.
    std::mem::forget(timer);
    Ok(())
}

//! Sends generated calls and checks the answers.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use miko_shared::wire::extension::{self, FromServer};
use miko_shared::wire::handshake::preamble;
use mikobase::rpc::Interface;
use mikobase::{Error, Mikobase};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::generate::Generator;
use super::mangle;
use crate::random::Random;
use crate::support::{Raw, Running};

/// A server that does not answer for this time is hung.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(100);

/// The number of idle connections that are kept open.
const MAX_HELD_CONNECTIONS: usize = 300;

/// About how many bytes of calls are sent at once without reading an answer.
const UNREAD_BYTES: usize = 32 << 20;

/// The bytes of an `internal` error in a frame: a method panicked, or the store is damaged.
const INTERNAL: &[u8] = b"\xa2id\xa8internal";

pub struct Client<'s> {
    share: &'s Running<'static, ()>,
    random: Random,
    generator: Generator,
    /// The connection for calls; `None` if the server has closed it.
    connection: Option<Raw>,
    /// Connections on which nothing more is sent or read.
    held: VecDeque<Raw>,
    socket: PathBuf,
    /// How many calls of each method succeeded, and how many there were.
    tally: BTreeMap<&'static str, (usize, usize)>,
}

impl<'s> Client<'s> {
    /// A client that does not change the record `spared`; it sends larger values and more of them if it
    /// `is_heavy`.
    pub fn of(share: &'s Running<'static, ()>, mut random: Random, spared: &str, is_heavy: bool) -> Self {
        let generator = Generator::new(Random::quiet(random.next()), spared, is_heavy);
        let socket = share.path().to_owned();
        Self {
            share,
            random,
            generator,
            connection: None,
            held: VecDeque::new(),
            socket,
            tally: BTreeMap::new(),
        }
    }

    /// Performs one random action.
    pub fn act(&mut self) {
        match self.random.below(100) {
            0..60 => self.call(),
            60..74 => self.send_mangled(mangle::flip_bytes),
            74..78 => self.send_mangled(mangle::change_types),
            78..82 => self.send_last(|random, frame| mangle::change_length(random, frame)),
            82..86 => self.send_last(mangle::truncate),
            86..89 => self.send_bomb(),
            89..92 => self.hold_many(),
            92..96 => self.never_read(),
            96..98 => self.send_in_pieces(),
            _ => self.mangle_handshake(),
        }
        assert!(self.socket.exists(), "the server has ended");
    }

    /// Sends a call and reads its answer.
    fn call(&mut self) {
        let (method, call) = self.generator.call();
        let mut frames = self.generator.controls();
        frames.extend(call);
        let Some(answer) = self.exchange(&frames) else {
            panic!("the server has closed the connection after a call of `{method}`");
        };
        let tally = self.tally.entry(method).or_default();
        tally.1 += 1;
        if is_success(method, &answer) {
            tally.0 += 1;
            self.generator.learn(method, &answer);
        }
    }

    /// The methods of which no call has succeeded.
    pub fn missing_methods(&self) -> Vec<&'static str> {
        let methods = <dyn Mikobase as Interface>::surface().methods.iter().map(|method| &*method.name);
        methods.filter(|method| self.tally.get(method).is_none_or(|(succeeded, _)| *succeeded == 0)).collect()
    }

    /// Checks that enough calls succeed, so that the code behind the checks of arguments is tested too.
    pub fn check_tally(&self) {
        println!("calls that succeeded, of all: {:?}", self.tally);
        let (succeeded, all) = self.tally.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(succeeded > all / 5, "{succeeded} of {all} calls succeeded");
    }

    /// Sends damaged bytes of a call in a frame of the right length: the server answers or closes the
    /// connection.
    fn send_mangled(&mut self, mangle: fn(&mut Random, &mut [u8])) {
        let (_, mut frame) = self.generator.new_call();
        let mut content = frame.split_off(4);
        mangle(&mut self.random, &mut content);
        self.exchange(&mangle::framed(&content));
    }

    /// Sends an incomplete or invalid frame and ends the connection.
    fn send_last(&mut self, mangle: fn(&mut Random, &mut Vec<u8>)) {
        let (_, mut frame) = self.generator.new_call();
        mangle(&mut self.random, &mut frame);
        let mut raw = self.take_connection();
        let _ = raw.stream.write_all(&frame);
        if self.random.one_in(2) {
            // Half-closed: the client still reads.
            let _ = raw.stream.shutdown(Shutdown::Write);
            while let Some(answer) = read_answer(&mut raw) {
                check_answer(&answer);
            }
        }
    }

    fn send_bomb(&mut self) {
        let bomb = mangle::bomb(&mut self.random, self.generator.largest());
        self.exchange(&bomb);
    }

    /// Opens many connections at once, some with a handshake.
    fn hold_many(&mut self) {
        for _ in 0..self.random.size(60) {
            let raw = if self.random.one_in(2) { Raw::admitted(self.share) } else { Raw::silent(self.share) };
            self.hold(raw);
        }
    }

    /// Sends calls as long as the server reads them, and reads no answer.
    fn never_read(&mut self) {
        // How many the server reads differs from run to run, so they are made before.
        let (mut frames, mut bytes) = (Vec::new(), 0);
        for _ in 0..self.random.size(200) {
            let (_, frame) = self.generator.new_call();
            bytes += frame.len();
            frames.push(frame);
            if bytes > UNREAD_BYTES {
                break;
            }
        }
        let mut raw = self.take_connection();
        raw.stream.set_nonblocking(true).unwrap();
        for frame in frames {
            match raw.stream.write(&frame) {
                Ok(count) if count == frame.len() => {}
                Ok(_) => break,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        self.hold(raw);
    }

    /// Sends a call in small pieces while other connections are opened and closed.
    fn send_in_pieces(&mut self) {
        let (_, frame) = self.generator.new_call();
        let mut raw = self.take_connection();
        for piece in frame.chunks(frame.len() / 5 + 1) {
            if raw.stream.write_all(piece).is_err() {
                return;
            }
            drop(Raw::silent(self.share));
        }
        check_answer(&read_answer(&mut raw).expect("a call that comes in pieces is answered"));
        self.connection = Some(raw);
    }

    fn mangle_handshake(&mut self) {
        let mut bytes = preamble().to_vec();
        bytes.extend(mangle::framed(&self.random.bytes(100)));
        let at = self.random.below(bytes.len());
        bytes[at] ^= 1 << self.random.below(8);
        let mut raw = Raw::silent(self.share);
        let _ = raw.stream.write_all(&bytes);
        let _ = raw.stream.shutdown(Shutdown::Write);
        limit_silence(&raw);
        while raw.read_frame().is_some() {}
    }

    /// Sends frames and reads the answer of the last; `None` if the server closes the connection without one.
    fn exchange(&mut self, frames: &[u8]) -> Option<Vec<u8>> {
        let (begun, mut raw) = (Instant::now(), self.take_connection());
        // The server may close the connection before it has read all; it sends the reason first.
        let _ = raw.stream.write_all(frames);
        let answer = read_answer(&mut raw);
        assert!(begun.elapsed() < ANSWER_TIMEOUT, "no answer for {:?}", begun.elapsed());
        let answer = answer?;
        let closes = check_answer(&answer);
        if !closes {
            self.connection = Some(raw);
        }
        Some(answer)
    }

    fn take_connection(&mut self) -> Raw {
        let raw = self.connection.take().unwrap_or_else(|| {
            self.generator.forget_connection();
            Raw::admitted(self.share)
        });
        limit_silence(&raw);
        raw
    }

    fn hold(&mut self, raw: Raw) {
        self.held.push_back(raw);
        while self.held.len() > MAX_HELD_CONNECTIONS {
            self.held.pop_front();
        }
    }
}

/// The next answer; items of streams before it are checked and left out.
fn read_answer(raw: &mut Raw) -> Option<Vec<u8>> {
    loop {
        let frame = raw.read_frame()?;
        if !extension::is_extension(&frame) {
            return Some(frame);
        }
        let read = FromServer::read(&frame).expect("a frame of a stream");
        if let FromServer::End { error: Some(error), .. } = read {
            assert!(!error.is(mikobase::ErrorId::INTERNAL), "{error}");
        }
    }
}

fn limit_silence(raw: &Raw) {
    raw.stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    raw.stream.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
}

/// Checks that an answer is well-formed and has no `internal` error. Returns whether the server closes the
/// connection.
fn check_answer(answer: &[u8]) -> bool {
    let is_internal = answer.windows(INTERNAL.len()).any(|window| window == INTERNAL);
    assert!(!is_internal, "a fault of the server: {}", String::from_utf8_lossy(answer));
    let answer: tarpc::Response<IgnoredAny> =
        rmp_serde::from_slice(answer).expect("an answer of tarpc's protocol");
    let Err(refused) = answer.message else { return false };
    let error: Error = serde_json::from_str(&refused.detail).expect("an error as JSON");
    assert!(!error.is(mikobase::ErrorId::INTERNAL), "{error}");
    answer.request_id == 0
}

/// Whether a method succeeded.
fn is_success(method: &str, answer: &[u8]) -> bool {
    type Results = BTreeMap<String, Result<IgnoredAny, IgnoredAny>>;
    let answer: tarpc::Response<Results> = rmp_serde::from_slice(answer).expect("the result of a method");
    answer.message.is_ok_and(|results| results.get(method).is_some_and(Result::is_ok))
}

/// The result of a method in an answer, if it succeeded and can be represented in JSON.
pub fn result_of(method: &str, answer: &[u8]) -> Option<Value> {
    let answer: tarpc::Response<Value> = rmp_serde::from_slice(answer).ok()?;
    Some(answer.message.ok()?.get_mut(method)?.get_mut("Ok")?.take())
}

//! A relay between a client and a server, which breaks connections as a test demands.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use miko_shared::wire::frame::{self, FrameBuffer};

use crate::support::Event;

/// What happens to a connection.
#[derive(Clone, Copy, PartialEq)]
pub enum ConnectionFate {
    /// The connection is kept.
    Lives,
    /// The connection is lost after the handshake.
    IsLostWhileIdle,
    /// The connection is lost before the first answer arrives: the call was run, but the client cannot know.
    IsLostBeforeTheFirstAnswer,
    /// The connection is lost after the second answer.
    IsLostAfterTwoAnswers,
    /// These bytes replace the first answer: the call was run.
    SendsInPlaceOfTheFirstAnswer(&'static [u8]),
    /// The handshake is never answered, as by a server that runs a long call.
    IsNotTakenUp,
}

/// Relays connections to a server. Each gets the next fate; all connections after the last fate get that one
/// too.
pub struct Relay {
    folder: tempfile::TempDir,
    lost: &'static Event,
}

impl Relay {
    pub fn start(server: &Path, fates: &'static [ConnectionFate]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let server = server.to_owned();
        let lost: &Event = Box::leak(Box::new(Event::new()));
        thread::spawn(move || {
            for (connection, client) in listener.incoming().enumerate() {
                let fate = fates[connection.min(fates.len() - 1)];
                relay(client.unwrap(), UnixStream::connect(&server).unwrap(), fate, lost);
            }
        });
        Self { folder, lost }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Waits until an idle connection has been broken.
    pub fn wait_for_loss(&self) {
        self.lost.wait();
    }
}

fn relay(client: UnixStream, server: UnixStream, fate: ConnectionFate, lost: &'static Event) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        relay_frames(&client, &server, fate);
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        lost.notify();
    });
}

/// Relays the frames of the server until the connection meets its fate.
fn relay_frames(mut client: &UnixStream, mut server: &UnixStream, fate: ConnectionFate) {
    let mut incoming = FrameBuffer::default();
    let mut heard = 0;
    loop {
        while let Some(frame) = incoming.next_frame(frame::MAX_FRAME_SIZE).unwrap() {
            heard += 1;
            if fate == ConnectionFate::IsNotTakenUp {
                continue;
            }
            if fate == ConnectionFate::IsLostBeforeTheFirstAnswer && heard > 1 {
                return;
            }
            if let ConnectionFate::SendsInPlaceOfTheFirstAnswer(bytes) = fate
                && heard == 2
            {
                if client.write_all(bytes).is_err() {
                    return;
                }
                continue;
            }
            let header = u32::try_from(frame.len()).unwrap().to_be_bytes();
            if client.write_all(&[&header, frame].concat()).is_err() {
                return;
            }
            // The first frame is that of the handshake.
            if fate == ConnectionFate::IsLostWhileIdle
                || fate == ConnectionFate::IsLostAfterTwoAnswers && heard == 3
            {
                return;
            }
        }
        match server.read(incoming.room()) {
            Ok(0) | Err(_) => return,
            Ok(count) => incoming.filled(count),
        }
    }
}

//! A relay between a client and a server, which loses connections when a test wants it to.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use miko_shared::wire::frame::{self, FrameBuffer};

use crate::support::Signal;

/// What happens to a connection.
#[derive(Clone, Copy, PartialEq)]
pub enum Fate {
    /// Nothing.
    Lives,
    /// It is lost once the client is let in.
    IsLostWhileIdle,
    /// It is lost when the first answer is under way: the call was run, and the client does not know.
    IsLostBeforeTheFirstAnswer,
}

/// Relays connections to a server, each with its fate in turn; the last fate is that of all others, too.
pub struct Relay {
    folder: tempfile::TempDir,
    lost: &'static Signal,
}

impl Relay {
    pub fn start(server: &Path, fates: &'static [Fate]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let server = server.to_owned();
        let lost: &Signal = Box::leak(Box::new(Signal::new()));
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

    /// Waits until a connection that is lost while idle has been lost.
    pub fn wait_for_loss(&self) {
        self.lost.hear();
    }
}

fn relay(client: UnixStream, server: UnixStream, fate: Fate, lost: &'static Signal) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        relay_frames(&client, &server, fate);
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        lost.tell();
    });
}

/// Relays what the server says, frame by frame, until the connection meets its fate.
fn relay_frames(mut client: &UnixStream, mut server: &UnixStream, fate: Fate) {
    let mut incoming = FrameBuffer::default();
    let mut heard = 0;
    loop {
        while let Some(frame) = incoming.next_frame(frame::LARGEST).unwrap() {
            heard += 1;
            if fate == Fate::IsLostBeforeTheFirstAnswer && heard > 1 {
                return;
            }
            let header = u32::try_from(frame.len()).unwrap().to_be_bytes();
            if client.write_all(&[&header, frame].concat()).is_err() {
                return;
            }
            if fate == Fate::IsLostWhileIdle {
                return;
            }
        }
        match server.read(incoming.room()) {
            Ok(0) | Err(_) => return,
            Ok(count) => incoming.filled(count),
        }
    }
}

//! The loop of one connection after its handshake: when it reads, serves and sends.

use std::rc::Rc;
use std::task::{Context, Poll};

use miko_rpc::{Error, Interface, memory};
use tokio::time::timeout;
use tracing::warn;

use super::around::Peer;
use super::connection_state::{ConnectionState, NO_ID};
use super::peer_process::{ConnectionEvent, PeerProcess};
use super::shared::Shared;
use super::socket::Socket;
use crate::wire::frame::FrameBuffer;
use crate::wire::message;

/// Serves calls until the peer disconnects, or until the server ends the connection with an error, for
/// example after an invalid message.
///
/// If the peer does not read its answers, and too many bytes of them are pending, only two kinds of frames of
/// this connection are served: control frames (credit, releases and cancellations), and the frames of parked
/// calls that are due. A parked call is due when its turn at a gate has come or its wait has timed out.
pub(super) async fn serve_calls<I: Interface + ?Sized>(
    socket: &mut Socket,
    peer: Peer,
    incoming: FrameBuffer,
    shared: &Shared<I>,
) {
    // By this slot the connection lends its state to commit batches.
    let slot = Rc::default();
    let mut state = ConnectionState::new(peer, incoming, shared.calls.metrics.clone());
    let mut peer_process = PeerProcess::default();
    let frame_size = shared.calls.limits.frame_size;
    loop {
        if state.has_work(frame_size) {
            shared.busy_poll.record_arrival();
            if shared.groups_commits {
                let Some(returned) = shared.commit_batch.enqueue(&slot, state, &shared.calls).await else {
                    // Serving the connection panicked, and its state is lost.
                    return;
                };
                state = returned;
            } else {
                state.serve(&shared.calls);
            }
        }
        // After the end of the peer process, or after sending has failed, no items and no later answers are
        // appended, and no parked call becomes due: they end with the session, once the calls that have
        // arrived were run.
        if !peer_process.has_ended() {
            state.pump(frame_size);
        }
        if let Some(end) = &state.end {
            // Quoted: the text of the error may contain text of the client, with line breaks.
            warn!(error = ?end.to_string(), "closed by the server");
            // The session ends before the last answers are sent: the client may never read them.
            drop(state.session.take());
            let sending = send_final_error(socket, end, state.outgoing.split_off(state.sent));
            // After a timeout the connection is closed without the rest of the bytes.
            let _ = timeout(shared.calls.limits.handshake, sending).await;
            return;
        }
        let is_open = match state.session {
            None => exchange(socket, &mut state, &mut peer_process, frame_size).await,
            Some(_) => exchange_with_session(socket, &mut state, &mut peer_process, frame_size).await,
        };
        if !is_open {
            return;
        }
        if state.time_slice.is_over() {
            state.time_slice.yield_to_others().await;
        }
    }
}

/// Sends answers and reads further bytes, for a connection without a session. Returns `false` at the end of
/// the connection. If sending fails, the calls that have arrived are still run, and their answers are
/// discarded. Then the connection ends.
async fn exchange(
    socket: &mut Socket,
    state: &mut ConnectionState,
    peer_process: &mut PeerProcess,
    frame_size: usize,
) -> bool {
    if !state.outgoing.is_empty() {
        let sending = peer_process.send_all(socket, &state.outgoing[state.sent..]);
        state.time_slice.wait(sending).await;
        state.record_sent(state.outgoing.len() - state.sent);
    }
    // Calls may be left in the buffer: serving stops at `FLUSH_AT` bytes of answers, and at the end of the
    // time slice or of the group. They are served before more is read.
    if state.has_work(frame_size) {
        return true;
    }
    // The connection may now wait for long, so it frees memory that it does not need.
    state.incoming.shrink();
    memory::trim_if_grown();
    match state.time_slice.wait(socket.read(state.incoming.room())).await {
        Ok(count) if count > 0 => {
            state.receive(count, frame_size);
            true
        }
        _ => false,
    }
}

/// As [`exchange`], for a connection with a session: waits for one event. Even while the client does not read
/// its answers, its bytes are read, because they may be credit, releases or cancellations. When the process
/// of the client ends, too, the calls that have arrived are still run. With the connection, the session ends.
async fn exchange_with_session(
    socket: &mut Socket,
    state: &mut ConnectionState,
    peer_process: &mut PeerProcess,
    frame_size: usize,
) -> bool {
    peer_process.watch(socket);
    if peer_process.has_ended() {
        // No client waits for the held bytes any more. While they are held, they are not discarded, and they
        // may leave no room for further answers.
        state.release_held_bytes();
    }
    if state.has_work(frame_size) {
        // A parked call is due, or calls are left in the buffer, as in `exchange`. At the end of a time slice
        // the answers so far are sent first, so that they do not wait for the next slices.
        if state.time_slice.is_over() && !state.unsent().is_empty() {
            let count = peer_process.try_send(socket, state.unsent());
            state.record_sent(count);
        }
        return true;
    }
    if !state.unsent().is_empty() && !state.has_ready() {
        // No stream, later answer or parked call is ready, so the pending answers are sent now: `next_event`
        // prefers reading to sending.
        let count = peer_process.try_send(socket, state.unsent());
        state.record_sent(count);
        // Sending may have made room for the answers of further calls.
        if state.has_work(frame_size) {
            return true;
        }
    }
    // Complete frames are served before more is read, so that a client that does not read its answers cannot
    // fill the memory.
    let may_read = !state.incoming.is_ready(frame_size);
    if may_read && state.outgoing.is_empty() {
        state.incoming.shrink();
        memory::trim_if_grown();
    }
    // Without room for further answers, the connection waits only for parked calls, and not for streams or
    // later answers.
    let (has_room, has_ended) = (!state.is_full(), peer_process.has_ended());
    let start = state.start_of_unsent();
    let ConnectionState { incoming, outgoing, session, time_slice, .. } = state;
    let room = if may_read { Some(incoming.room()) } else { None };
    let is_ready = |context: &mut Context<'_>| match session {
        Some(session) if !has_ended => session.poll_ready(has_room, context),
        _ => Poll::Pending,
    };
    match time_slice.wait(peer_process.next_event(socket, &outgoing[start..], room, is_ready)).await {
        Ok(ConnectionEvent::Sent(count)) => {
            state.record_sent(count);
            if state.has_ready() {
                // Other connections, and calls of this one, are served between items.
                state.time_slice.end();
            }
        }
        Ok(ConnectionEvent::Read(count)) if count > 0 => state.receive(count, frame_size),
        Ok(ConnectionEvent::Ready) => {}
        _ => return false,
    }
    true
}

/// Sends the pending bytes in `outgoing`, followed by the reason why the connection ends. Errors of sending
/// are ignored.
async fn send_final_error(socket: &mut Socket, error: &Error, mut outgoing: Vec<u8>) {
    message::encode_refusal(NO_ID, error, &mut outgoing);
    let _ = socket.write_all(&outgoing).await;
}

//! Checks the user of a server before the client sends its token.

use std::os::fd::AsFd;

use miko_rpc::{Error, ErrorId, Result};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Uid;

use super::Address;

/// Checks that this user or root listens at the other end of `socket`. If other users may write to the folder
/// of the socket, one of them may have bound the path of the socket while no server listened there.
///
/// The kernel reports the effective user of the process that called `listen`: the server, the parent of a
/// share, or systemd, which runs as root and may have opened the socket for the server. Root is trusted: it
/// can read the memory of this process anyway. A server admits only clients of its own user, so the check
/// refuses no server that would admit this client.
///
/// # Errors
/// `unauthorized`.
pub(super) fn check_server_user(socket: &impl AsFd, address: &Address) -> Result<()> {
    let refused = |message: String| {
        Error::new(ErrorId::UNAUTHORIZED, message).with("path", address.path.display().to_string())
    };
    let peer = getsockopt(socket, sockopt::PeerCredentials);
    let user = peer.map_err(|fault| refused(format!("the user of the server is unknown: {fault}")))?.uid();
    if is_trusted(user, Uid::effective().as_raw()) {
        return Ok(());
    }
    let message = "the socket is one of another user, so the token was not sent: connect to a server that \
                   runs as this user";
    Err(refused(message.to_owned()).with("found", user))
}

/// Whether a server of `server_user` may receive the token of a client that runs as `own_user`.
fn is_trusted(server_user: u32, own_user: u32) -> bool {
    server_user == own_user || Uid::from_raw(server_user).is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_and_root_are_trusted() {
        let cases =
            [(1000, 1000, true), (0, 1000, true), (0, 0, true), (1001, 1000, false), (1000, 0, false)];
        for (user, own, expected) in cases {
            assert_eq!(is_trusted(user, own), expected, "a socket of {user} for {own}");
        }
    }
}

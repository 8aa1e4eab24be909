//! Connections that are not authorized or not valid are refused with an error, and the server continues.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use miko_shared::wire::frame;
use miko_shared::wire::handshake::{HandshakeReply, Hello, preamble};
use mikobase::prelude::*;
use mikobase::rpc::{Interface, Surface};
use mikobase::{Error, Token};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork, setuid};
use tokio::runtime::Builder;

use crate::harness::Case;
use crate::support::{Raw, Running, create, encoded_call};

pub const CASES: &[Case] = &[
    ("a_wrong_token_is_refused", a_wrong_token),
    ("another_user_is_refused_though_it_has_the_token", another_user),
    ("a_server_of_another_user_gets_no_token", a_server_of_another_user),
    ("the_socket_and_its_directory_are_private", private_files),
    ("the_token_shows_itself_only_on_purpose", the_token_is_secret),
    ("bytes_that_are_no_handshake_are_refused", no_handshake),
    ("bytes_that_are_no_call_are_refused", no_call),
    ("a_frame_that_claims_four_gigabytes_is_refused", four_gigabytes),
    ("an_unknown_method_is_refused_and_the_connection_continues", an_unknown_call),
    ("a_client_of_another_interface_is_refused_before_its_first_call", another_interface),
    ("an_old_client_is_welcome_on_a_grown_server", an_old_client),
    ("a_client_that_knows_more_than_the_server_is_told_what", a_client_that_knows_more),
    ("random_bytes_never_bring_the_server_down", random_bytes),
];

/// Runs `intrude` against a share, and checks that the share still works.
fn against_a_share(intrude: impl FnOnce(&Running<'_, ()>)) {
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    create(share.db().unwrap(), 1).unwrap();
    intrude(&share);
    create(share.db().unwrap(), 2).unwrap();
    let report = share.join().unwrap();
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 2);
}

fn refused(verdict: HandshakeReply) -> Error {
    match verdict {
        HandshakeReply::Refused(error) => error,
        verdict => panic!("{verdict:?}"),
    }
}

fn a_wrong_token() {
    against_a_share(|share| {
        let wrong = Token::random().unwrap();
        let error = MikobaseClient::connect(share.path(), &wrong).map(|_| ()).unwrap_err();
        assert!(error.is(ErrorId::UNAUTHORIZED), "{error}");
        let mut raw = Raw::silent(share);
        assert!(refused(raw.handshake(&wrong)).is(ErrorId::UNAUTHORIZED));
        assert!(raw.read_frame().is_none(), "the connection is closed");
        MikobaseClient::connect(share.path(), share.token()).unwrap().properties().unwrap();
    });
}

/// Needs root, since only root can change its user id. Without it the check of user ids is not tested.
fn another_user() {
    if !Uid::effective().is_root() {
        return;
    }
    against_a_share(|share| {
        let directory = share.path().parent().unwrap();
        let mut above = directory.parent();
        while let Some(path) = above.filter(|path| path.starts_with(std::env::temp_dir().parent().unwrap())) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
            above = path.parent();
        }
        let become_nobody_and = |attempt: fn(&Running<'_, ()>) -> bool| {
            // SAFETY: this process has one thread.
            match unsafe { fork() }.unwrap() {
                ForkResult::Child => {
                    setuid(Uid::from_raw(65534)).unwrap();
                    std::process::exit(i32::from(!attempt(share)));
                }
                ForkResult::Parent { child } => {
                    assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)));
                }
            }
        };
        become_nobody_and(|share| std::os::unix::net::UnixStream::connect(share.path()).is_err());
        // Also if directory and socket are made accessible to all.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(share.path(), fs::Permissions::from_mode(0o777)).unwrap();
        become_nobody_and(|share| {
            let error = Raw::silent(share).read_handshake_error();
            error.is(ErrorId::UNAUTHORIZED) && error.items()[0].details["found"] == 65534
        });
    });
}

/// Needs root, as [`another_user`].
fn a_server_of_another_user() {
    if !Uid::effective().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().join("socket");
    // SAFETY: this process has one thread.
    let ForkResult::Parent { child } = unsafe { fork() }.unwrap() else {
        setuid(Uid::from_raw(65534)).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let received = listener.incoming().take(2).map(|stream| {
            let mut bytes = Vec::new();
            stream.unwrap().read_to_end(&mut bytes).unwrap()
        });
        std::process::exit(i32::from(received.sum::<usize>() > 0));
    };
    let token = Token::random().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let errors = [
        MikobaseClient::connect(&path, &token).map(|_| ()).unwrap_err(),
        runtime.block_on(MikobaseAsyncClient::connect(&path, &token)).map(|_| ()).unwrap_err(),
    ];
    assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)), "the token was sent");
    for error in errors {
        assert!(error.is(ErrorId::UNAUTHORIZED), "{error}");
        assert_eq!(error.items()[0].details["found"], 65534);
    }
}

fn private_files() {
    against_a_share(|share| {
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(share.path()), 0o600);
        assert_eq!(mode(share.path().parent().unwrap()), 0o700);
    });
}

fn the_token_is_secret() {
    against_a_share(|share| {
        let hex = share.token().to_hex();
        assert!(!format!("{:?}", share.token()).contains(&hex[..8]));
        for entry in ["cmdline", "environ"] {
            let text =
                String::from_utf8_lossy(&fs::read(format!("/proc/self/{entry}")).unwrap()).into_owned();
            assert!(!text.contains(&hex), "/proc/self/{entry}");
        }
    });
}

fn no_handshake() {
    against_a_share(|share| {
        let mut raw = Raw::silent(share);
        raw.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(raw.read_handshake_error().is(ErrorId::INVALID_REQUEST));

        let mut other_version = preamble();
        other_version[9] = 99;
        let mut raw = Raw::silent(share);
        raw.stream.write_all(&other_version).unwrap();
        let error = raw.read_handshake_error();
        assert!(error.is(ErrorId::SURFACE_MISMATCH));
        assert_eq!(error.items()[0].details["client"], 99);
    });
}

fn no_call() {
    against_a_share(|share| {
        let mut raw = Raw::admitted(share);
        raw.stream.write_all(&[0, 0, 0, 3, 0xc1, 0xc1, 0xc1]).unwrap();
        assert!(raw.read_error().is(ErrorId::INVALID_REQUEST));
        assert!(raw.read_frame().is_none(), "after that nothing can be understood any more");
    });
}

fn four_gigabytes() {
    against_a_share(|share| {
        let mut raw = Raw::admitted(share);
        raw.stream.write_all(&[0xff; 4]).unwrap();
        let error = raw.read_error();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
        assert_eq!(error.items()[0].details["found"], u32::MAX);

        let mut raw = Raw::silent(share);
        raw.stream.write_all(&preamble()).unwrap();
        raw.stream.write_all(&[0xff; 4]).unwrap();
        assert!(raw.read_handshake_error().is(ErrorId::REQUEST_TOO_LARGE), "nor is it taken from a stranger");
    });
}

fn an_unknown_call() {
    against_a_share(|share| {
        let mut raw = Raw::admitted(share);
        raw.stream.write_all(&encoded_call("engage", &json!({}))).unwrap();
        assert!(raw.read_error().to_string().contains("engage"));
        raw.stream.write_all(&encoded_call("record_by_pk", &json!({"pk": 5}))).unwrap();
        assert!(raw.read_error().is(ErrorId::INVALID_REQUEST));
        raw.stream.write_all(&encoded_call("record_by_pk", &json!({"pk": "nobody"}))).unwrap();
        assert!(raw.read_frame().is_some());
    });
}

/// Performs a handshake with another surface than the server's, and sends it on request.
fn handshake_as(share: &Running<'_, ()>, surface: &Surface) -> HandshakeReply {
    let mut raw = Raw::silent(share);
    let hello = Hello {
        interface: surface.interface.clone().into_owned(),
        fingerprint: surface.fingerprint(),
        token: share.token().clone(),
        worker: None,
    };
    let mut bytes = preamble().to_vec();
    frame::encode(&hello, usize::MAX, &mut bytes).unwrap();
    raw.stream.write_all(&bytes).unwrap();
    let verdict = rmp_serde::from_slice(&raw.read_frame().unwrap()).unwrap();
    if !matches!(verdict, HandshakeReply::ShowSurface) {
        return verdict;
    }
    let mut bytes = Vec::new();
    frame::encode(surface, usize::MAX, &mut bytes).unwrap();
    raw.stream.write_all(&bytes).unwrap();
    rmp_serde::from_slice(&raw.read_frame().unwrap()).unwrap()
}

fn mikobase_surface() -> Surface {
    <dyn Mikobase as Interface>::surface().clone()
}

fn another_interface() {
    against_a_share(|share| {
        let error =
            refused(handshake_as(share, &Surface { interface: "Counter".into(), ..mikobase_surface() }));
        assert!(error.is(ErrorId::SURFACE_MISMATCH), "{error}");
        assert_eq!(error.items()[0].details["server"], "Mikobase");
    });
}

fn an_old_client() {
    against_a_share(|share| {
        let mut old = mikobase_surface();
        old.methods.to_mut().truncate(2);
        assert!(matches!(handshake_as(share, &old), HandshakeReply::Welcome { .. }));
    });
}

fn a_client_that_knows_more() {
    against_a_share(|share| {
        // A client that describes no types: signatures are compared.
        let mut newer = Surface { schemas: None, ..mikobase_surface() };
        let methods = newer.methods.to_mut();
        methods[0].returns = "Result<u8>".into();
        let added = mikobase::rpc::Method { name: "engage".into(), ..methods[1].clone() };
        methods.push(added);
        let error = refused(handshake_as(share, &newer));
        assert!(error.is(ErrorId::SURFACE_MISMATCH), "{error}");
        let differences = &error.items()[0].details["differences"];
        assert_eq!(differences[0]["method"], "q0");
        assert_eq!(differences[1]["server"], json!(null));
        assert!(error.items()[0].message().contains("q0, engage differ"), "{error}");
    });
}

fn random_bytes() {
    against_a_share(|share| {
        // xorshift64 with a fixed seed, so that a failure can be repeated.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..300 {
            let length = (next() % 200) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            let mut raw = if round % 2 == 0 { Raw::silent(share) } else { Raw::admitted(share) };
            if round % 3 == 0 {
                let mut call = encoded_call("q0", &json!({"query": {"action": "select"}}));
                for _ in 0..4 {
                    let at = 4 + (next() as usize) % (call.len() - 4);
                    call[at] = next() as u8;
                }
                bytes = call;
            }
            let _ = raw.stream.write_all(&bytes);
            raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
            while raw.read_frame().is_some() {}
        }
    });
}

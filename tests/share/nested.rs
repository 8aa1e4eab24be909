//! Methods of a server that call servers.

use std::path::Path;

use mikobase::prelude::*;
use mikobase::{Result, Token};

use crate::harness::Case;
use crate::turnstile::turnstile_rpc::TurnstileClient;
use crate::turnstile::{Turnstile, turnstile};

pub const CASES: &[Case] = &[
    ("a_method_may_call_another_server", another_server),
    ("a_call_to_the_server_that_is_making_it_is_refused_at_once", own_server),
];

/// Calls the server whose socket and token it is given.
#[mikobase_interface]
trait Caller {
    /// Passes the turnstile there.
    fn pass(&self, path: &str, token: &str) -> Result<u64>;

    /// Asks the caller there for 1.
    fn ask(&self, path: &str, token: &str) -> Result<u64>;

    /// Returns 1.
    #[interface(read)]
    fn one(&self) -> Result<u64>;
}

struct Client;

impl Caller for Client {
    fn pass(&self, path: &str, token: &str) -> Result<u64> {
        TurnstileClient::connect(Path::new(path), &token.parse()?)?.pass()
    }

    fn ask(&self, path: &str, token: &str) -> Result<u64> {
        caller_rpc::CallerClient::connect(Path::new(path), &token.parse()?)?.one()
    }

    fn one(&self) -> Result<u64> {
        Ok(1)
    }
}

/// Shares a caller, and runs `test` with it, its socket and its token.
fn with_caller(test: impl FnOnce(&dyn Caller, &Path, &Token)) {
    let uds = Uds::new().unwrap();
    let share = uds.spawn_share::<dyn Caller, ()>(0, || Ok(Box::new(Client)), |_, _| Ok(())).unwrap();
    let caller = caller_rpc::CallerClient::connect(share.path(), share.token()).unwrap();
    test(&caller, share.path(), share.token());
    share.join().unwrap();
}

fn another_server() {
    let uds = Uds::new().unwrap();
    let gate = turnstile(&uds);
    let (path, token) = (gate.path().to_str().unwrap(), gate.token().to_hex());
    with_caller(|caller, _, _| {
        assert_eq!(caller.pass(path, &token).unwrap(), 1);
        assert_eq!(caller.pass(path, &token).unwrap(), 2);
    });
    gate.join().unwrap();
}

fn own_server() {
    with_caller(|caller, path, token| {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(path, &link).unwrap();
        for name in [path, &link] {
            let error = caller.ask(name.to_str().unwrap(), &token.to_hex()).unwrap_err();
            assert!(error.is(ErrorId::SELF_CALL), "{error}");
        }
        assert_eq!(caller.one().unwrap(), 1, "the server goes on");
    });
}

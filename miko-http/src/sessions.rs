//! The sessions of a server by their ids.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use data_encoding::HEXLOWER;
use hyper::HeaderMap;
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::server::JsonConnection;

use crate::headers;

/// The random bits of an id, which is a secret.
pub(crate) type Id = [u8; 32];

/// The sessions of a server by their ids.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Rc<RefCell<HashMap<Id, Rc<JsonConnection>>>>);

impl Sessions {
    /// The session that a request names; `None` if it names none.
    ///
    /// # Errors
    /// `session-gone`, if there is no session with its id.
    pub(crate) fn of_request(&self, headers: &HeaderMap) -> Result<Option<Rc<JsonConnection>>> {
        let Some(value) = headers.get(headers::SESSION) else { return Ok(None) };
        let id = HEXLOWER.decode(value.as_bytes()).ok().and_then(|id| Id::try_from(id).ok());
        let session = id.and_then(|id| self.0.borrow().get(&id).map(Rc::clone));
        let gone = || Error::new(ErrorId::SESSION_GONE, "there is no session with this id");
        session.map(Some).ok_or_else(gone)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn add(&self, id: Id, session: Rc<JsonConnection>) {
        self.0.borrow_mut().insert(id, session);
    }

    /// Ends a session. A call of it may still be waiting: it fails.
    pub(crate) fn end(&self, id: &Id) {
        let session = self.0.borrow_mut().remove(id);
        if let Some(session) = session {
            session.end();
        }
    }
}

/// The error of a request that needs a session for `what`.
pub(crate) fn required(what: &str) -> Error {
    let message = format!("{what} lives with a session, and the request names none");
    Error::new(ErrorId::SESSION_REQUIRED, message)
}

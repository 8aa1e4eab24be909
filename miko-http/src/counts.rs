//! What HTTP counts, beside what the server does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use hyper::StatusCode;

/// The counts of a server. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Counts(Rc<All>);

#[derive(Default)]
pub(crate) struct All {
    /// How many responses have begun, by status.
    pub(crate) responses: RefCell<BTreeMap<StatusCode, u64>>,
    /// How many streams are being sent.
    pub(crate) streams: Cell<u64>,
}

/// A stream that is being sent, until this is dropped.
pub(crate) struct OpenStream(Counts);

impl std::ops::Deref for Counts {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

impl Counts {
    pub(crate) fn record_response(&self, status: StatusCode) {
        *self.responses.borrow_mut().entry(status).or_default() += 1;
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.streams.set(self.streams.get() + 1);
        OpenStream(self.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
    }
}

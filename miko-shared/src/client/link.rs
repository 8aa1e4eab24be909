//! Makes the objects and streams that an answer on a blocking connection carries.

use std::sync::Arc;

use miko_rpc::{ItemSource, Link, ObjectLink};

use super::connection::Connection;
use super::items::SocketItems;
use super::object::ObjectTransport;

impl Link for Connection {
    fn object(self: Arc<Self>, handle: u64) -> ObjectLink {
        ObjectLink { blocking: Box::new(ObjectTransport::new(self, handle)), asynchronous: None }
    }

    fn stream(self: Arc<Self>, handle: u64) -> Box<dyn ItemSource> {
        self.open_stream(handle);
        Box::new(SocketItems::new(self, handle))
    }
}

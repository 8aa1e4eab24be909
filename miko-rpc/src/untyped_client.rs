//! A proxy without the type of its interface.

use std::any::TypeId;
use std::{fmt, ptr};

use crate::transport::CallTransport;

/// An object of a server: the address of its transport. No other object has it while the proxy exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectId(usize);

/// What a proxy of any interface calls with. Generated methods pass it to functions that are not generic, so
/// that the code of a call is compiled in the package of the interface, and not again in each program.
pub struct UntypedClient {
    pub(crate) transport: Box<dyn CallTransport>,
    /// For an object that a lazy call on another one has opened: the outermost of these objects.
    pub(crate) outermost: Option<ObjectId>,
    /// The type of the interface.
    pub(crate) interface: TypeId,
}

impl UntypedClient {
    /// The object of the proxy; `None` if it is the proxy of the interface of a server.
    pub(crate) fn object(&self) -> Option<ObjectId> {
        let transport = &*self.transport;
        transport.is_to_object().then(|| ObjectId(ptr::from_ref(transport).addr()))
    }

    /// The outermost object around that of the proxy, which may be that itself.
    pub(crate) fn outermost_object(&self) -> Option<ObjectId> {
        self.outermost.or_else(|| self.object())
    }
}

impl fmt::Debug for UntypedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntypedClient").finish_non_exhaustive()
    }
}

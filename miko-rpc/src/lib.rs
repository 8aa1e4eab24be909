//! What makes a trait remote: the run-time support of the code that `#[mikobase_interface]` generates, and
//! what callers and servers of any interface need.
//!
//! Servers, fork runners and commands use an interface only through [`Interface`] and [`Proxy`]; neither
//! names a method. This package has no sockets: a [`CallTransport`] carries the calls, and `miko-shared`
//! provides it. It knows no records.
//!
//! | subject | where |
//! | --- | --- |
//! | errors that travel: ids, items, lists of faults | [`Error`], [`ErrorId`], [`FaultList`] |
//! | JSON without loss, and values that other processes send | [`json`], [`travel`] |
//! | the memory limit of a server | [`memory`] |
//! | calls: of generated code, by name, by tarpc | [`Interface`], [`Call`], `TarpcServer` |
//!
//! With the feature `json-transport` the transport of a proxy may speak JSON, as that of `miko-http` does.
//! Only the feature `tarpc` adds tarpc and tokio. Without `interface` the package has errors, JSON and the
//! memory limit, which is what an engine needs.

#[cfg(feature = "interface")]
mod answer;
#[cfg(feature = "interface")]
mod arguments;
#[cfg(feature = "interface")]
mod async_client;
mod bounded;
#[cfg(feature = "interface")]
mod bounds;
mod bytes;
#[cfg(feature = "interface")]
mod call;
#[cfg(feature = "interface")]
mod call_refusal;
#[cfg(feature = "interface")]
mod client;
#[cfg(feature = "interface")]
pub mod codec;
#[cfg(feature = "interface")]
mod dispatch;
mod error;
#[cfg(feature = "interface")]
mod fallible;
mod fault_list;
#[cfg(feature = "interface")]
mod gate;
mod group;
#[cfg(feature = "interface")]
mod guard;
#[cfg(feature = "interface")]
mod handles;
#[cfg(feature = "interface")]
mod interface;
pub mod json;
#[cfg(feature = "json-transport")]
mod json_answer;
#[cfg(feature = "json-transport")]
mod json_arguments;
#[cfg(feature = "interface")]
mod json_handles;
#[cfg(feature = "interface")]
mod json_session;
mod json_text;
#[cfg(feature = "interface")]
mod later;
#[cfg(feature = "interface")]
mod link;
pub mod memory;
#[cfg(feature = "interface")]
mod method_names;
#[cfg(feature = "interface")]
mod panics;
#[cfg(feature = "interface")]
mod proxy;
#[cfg(feature = "schema")]
mod recorded_types;
#[cfg(feature = "interface")]
mod remote;
#[cfg(feature = "interface")]
mod result;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "interface")]
mod served_call;
#[cfg(feature = "tarpc")]
mod server;
#[cfg(feature = "interface")]
mod stream;
#[cfg(feature = "interface")]
mod transport;
#[cfg(feature = "interface")]
pub mod travel;
#[cfg(feature = "interface")]
mod untyped_client;

pub use bytes::{Bytes, from_base64, to_base64};
pub use error::{ERROR_IDS, Error, ErrorDoc, ErrorId, ErrorItem, Result, Warning};
pub use fault_list::{FaultList, MAX_REPORTED_FAULTS};
pub use group::GroupFailure;
#[cfg(feature = "tarpc")]
pub use server::{TarpcRequest, TarpcResponse, TarpcServer};
#[cfg(feature = "interface")]
pub use {
    arguments::{Arguments, SentArguments},
    async_client::{AsyncClient, PendingCall, call_async},
    bounds::{Referred, Wire},
    call::{AnswerScope, Call, LaterAnswer, Served, unreadable},
    call_refusal::{CallChecker, CheckedCalls, ObjectCall, Relation},
    client::{Client, call, call_settling, untyped},
    dispatch::{DispatchError, JsonResult, written},
    error::ERROR_MEANINGS,
    fallible::{Fallible, Outcome},
    gate::{Gate, GateId, GateMode, ParkedCall, Pass},
    guard::guard,
    handles::{Carried, Handles, ItemForm, ServedObject, ServedStream, StreamEvent},
    interface::{Interface, IsInterface, ObjectInterface},
    json_handles::{JsonHandles, JsonItem},
    json_session::JsonSession,
    json_text::JsonText,
    later::{Later, Promise},
    link::{
        AnswerFuture, AsyncTransport, ItemSource, Link, ObjectLink, ReceivedAnswer, StreamMessage, receive,
    },
    method_names::MethodNames,
    miko_surface::{Change, Difference, ErrorMeaning, Method, Param, Schemas, Surface},
    panics::{drop_guarded, panic_message},
    proxy::{AsyncProxy, Proxy},
    remote::{Remote, call_lazily},
    served_call::{
        CallGates, ConnectionLocals, check_connection_lasts, connection_local, serve_call, serves_a_call,
    },
    stream::{Hub, Overflow, Shared, Signal, Sink, Stream},
    transport::{CallTransport, Discard, OutgoingCall, PendingAnswer, ReadOpened},
    travel::{bounded, bounded_ref},
    untyped_client::UntypedClient,
};
#[cfg(feature = "json-transport")]
pub use {json_answer::JsonAnswer, json_arguments::JsonArguments};
#[cfg(feature = "schema")]
pub use {recorded_types::assert_types_as_recorded, schema::SchemaBuilder};
// What users of calls by name and of tarpc servers need, in the version of this package.
#[cfg(feature = "interface")]
pub use serde_json;
#[cfg(feature = "tarpc")]
pub use tarpc;
// What describes types for `#[mikobase_interface(schema)]`.
#[cfg(feature = "schema")]
pub use schemars;

/// Defines the tarpc server of an interface, with the feature `tarpc`. Generated code uses it, since a
/// procedural macro does not know the features of this package.
#[cfg(feature = "tarpc")]
#[doc(hidden)]
#[macro_export]
macro_rules! tarpc_server {
    ($(#[$meta:meta])* $vis:vis type $name:ident = $interface:ty;) => {
        $(#[$meta])*
        $vis type $name = $crate::TarpcServer<$interface>;

        // It need not be used.
        const _: ::core::option::Option<&$name> = ::core::option::Option::None;
    };
}

/// Without the feature `tarpc` there is no server.
#[cfg(all(feature = "interface", not(feature = "tarpc")))]
#[doc(hidden)]
#[macro_export]
macro_rules! tarpc_server {
    ($($tokens:tt)*) => {};
}

/// Builds the schemas of an interface, with the feature `schema`. Generated code uses it, since a procedural
/// macro does not know the features of this package.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[macro_export]
macro_rules! schemas {
    ($($method:literal -> $output:ty { $($name:literal: $ty:ty,)* })*) => {
        $crate::SchemaBuilder::default()
            $(.method::<$output>($method)$(.argument::<$ty>($method, $name))*)*
            .finish()
    };
}

/// Without the feature `schema` types are not described.
#[cfg(all(feature = "interface", not(feature = "schema")))]
#[doc(hidden)]
#[macro_export]
macro_rules! schemas {
    ($($tokens:tt)*) => {
        ::core::compile_error!(
            "`#[mikobase_interface(schema)]` needs the feature `schema` of `mikobase`: \
             `cargo add mikobase --features schema`"
        )
    };
}

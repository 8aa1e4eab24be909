//! What makes a trait remote: the run-time support of the code that `#[mikobase_interface]` generates, and
//! what callers and servers of any interface need.
//!
//! Servers, fork runners and commands use an interface only through [`Interface`] and [`Proxy`]; neither
//! names a method. This package has no sockets: a [`Transport`] carries the calls, and `miko-shared` provides
//! it. It knows no records.
//!
//! | subject | where |
//! | --- | --- |
//! | errors that travel: ids, items, lists of faults | [`Error`], [`ErrorId`], [`FaultList`] |
//! | JSON without loss, and values that other processes send | [`json`], [`travel`] |
//! | the memory limit of a server | [`memory`] |
//! | calls: of generated code, by name, by tarpc | [`Interface`], [`Params`], `TarpcServer` |
//!
//! Without the feature `interface` it has neither tarpc nor tokio: then it is the base of an engine.

#[cfg(feature = "interface")]
mod bounds;
mod bytes;
#[cfg(feature = "interface")]
mod dispatch;
mod error;
mod fault_list;
mod group;
#[cfg(feature = "interface")]
mod guard;
#[cfg(feature = "interface")]
mod interface;
pub mod json;
pub mod memory;
#[cfg(feature = "interface")]
mod server;
#[cfg(feature = "interface")]
pub mod travel;

pub use bytes::{Bytes, from_base64, to_base64};
pub use error::{ERROR_IDS, Error, ErrorDoc, ErrorId, ErrorItem, Result, Warning};
pub use fault_list::{FaultList, MAX_REPORTED_FAULTS};
pub use group::GroupFailure;
#[cfg(feature = "interface")]
pub use {
    bounds::{Fallible, Wire},
    dispatch::{DispatchError, Params, render, unknown_method},
    guard::{guard, panic_message},
    interface::{AsyncProxy, AsyncTransport, CallFuture, Interface, Proxy, Transport, wrong_response},
    miko_surface::{Change, Difference, Method, Param, Surface},
    server::TarpcServer,
};
// Generated code uses its dependencies through these exports, so a user's crate needs none of them.
#[cfg(feature = "interface")]
pub use {serde, serde_json, tarpc};

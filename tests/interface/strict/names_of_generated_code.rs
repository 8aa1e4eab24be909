//! Types, methods and arguments have the names of generated items, of what generated code uses, and of the
//! standard prelude.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, unused, unused_qualifications, single_use_lifetimes)]

use mikobase::rpc::{DispatchError, Proxy};
use mikobase::mikobase_interface;

/// Types with the names of generated items, and of others.
pub mod types {
    use std::num::NonZeroU8;

    /// An alias with one parameter, which is not called `Result`.
    pub type Reply<T> = mikobase::Result<T>;

    /// The names of items in the generated module.
    pub type HttpRequest = u8;
    /// Another.
    pub type HttpResponse = u16;
    /// Another.
    pub type HttpClient = u32;
    /// Another.
    pub type HttpServer = u64;
    /// Another.
    pub type HttpAsyncClient = i8;
    /// A name of the run-time support.
    pub type Client = i16;
    /// Another.
    pub type Call = i32;
    /// Another.
    pub type Interface = i64;
    /// A name of the standard prelude.
    pub type Option = bool;
    /// Another.
    pub type String = char;
    /// Another.
    pub type Vec = f32;
    /// Another.
    pub type Box = f64;
    /// A name of a type parameter.
    pub type I = NonZeroU8;
    /// Another.
    pub type T = (u8, u8);
    /// The size of an array.
    pub const NAMES: usize = 2;
}

use types::*;

/// Methods whose types have such names.
#[mikobase_interface]
pub trait Http {
    /// Types of generated items.
    fn connect(&self, call: HttpRequest, client: HttpResponse, method: HttpClient) -> Reply<HttpServer>;

    /// Types of the run-time support.
    fn call(&self, self_: HttpAsyncClient, arguments: Client, transport: Call) -> Reply<Interface>;

    /// Types of the prelude.
    fn clone(&self, surface: Option, index: String, interface: Vec) -> Reply<Box>;

    /// Type parameters and constants.
    fn new(&self, name: I, params: T, slots: [u8; NAMES]) -> Reply<(I, T)>;

    /// Names of methods of the standard library, of proxies and of interfaces.
    fn drop(&self) -> Reply<()>;
    /// Another.
    fn serve(&self, read: bool) -> Reply<bool>;
    /// Another.
    fn dispatch(&self, run: bool) -> Reply<bool>;
    /// Another.
    fn surface(&self) -> Reply<u8>;
    /// Another.
    fn of_client(&self) -> Reply<u8>;
    /// Another.
    fn fmt(&self) -> Reply<u8>;
    /// Another.
    fn self_(&self) -> Reply<u8>;
    /// A deprecated method.
    #[deprecated = "use another"]
    fn old(&self) -> Reply<u8>;
    /// A keyword.
    fn r#async(&self, r#type: u8, r#fn: &str) -> Reply<u8>;
}

/// A trait with a supertrait, and a constant called like a generated one.
#[mikobase_interface]
pub trait Named: Http {
    /// The sizes of the arrays are those of the author.
    fn sizes(&self, names: [u8; NAMES], surface: [u8; SURFACE]) -> Reply<usize>;
}

/// The size of an array.
const SURFACE: usize = 4;

struct Echo;

impl Named for Echo {
    fn sizes(&self, names: [u8; NAMES], surface: [u8; SURFACE]) -> Reply<usize> {
        Ok(names.len() + surface.len())
    }
}

impl Http for Echo {
    fn connect(&self, call: HttpRequest, client: HttpResponse, method: HttpClient) -> Reply<HttpServer> {
        Ok(u64::from(call) + u64::from(client) + u64::from(method))
    }

    fn call(&self, self_: HttpAsyncClient, arguments: Client, transport: Call) -> Reply<Interface> {
        Ok(i64::from(self_) + i64::from(arguments) + i64::from(transport))
    }

    fn clone(&self, surface: Option, index: String, interface: Vec) -> Reply<Box> {
        Ok(if surface && index == 'i' { f64::from(interface) } else { 0.0 })
    }

    fn new(&self, name: I, params: T, slots: [u8; NAMES]) -> Reply<(I, T)> {
        Ok((name, (params.0 + slots[0], params.1 + slots[1])))
    }

    fn drop(&self) -> Reply<()> {
        Ok(())
    }

    fn serve(&self, read: bool) -> Reply<bool> {
        Ok(!read)
    }

    fn dispatch(&self, run: bool) -> Reply<bool> {
        Ok(!run)
    }

    fn surface(&self) -> Reply<u8> {
        Ok(1)
    }

    fn of_client(&self) -> Reply<u8> {
        Ok(2)
    }

    fn fmt(&self) -> Reply<u8> {
        Ok(3)
    }

    fn self_(&self) -> Reply<u8> {
        Ok(4)
    }

    fn old(&self) -> Reply<u8> {
        Ok(5)
    }

    fn r#async(&self, r#type: u8, r#fn: &str) -> Reply<u8> {
        Ok(r#type + u8::from(r#fn == "fn"))
    }
}

fn by_name(
    method: &str,
    params: mikobase::rpc::serde_json::Value,
) -> Result<std::string::String, DispatchError> {
    let http: &dyn Http = &Echo;
    let result = mikobase::rpc::Interface::dispatch(http, method, params)?;
    Ok(result.get().to_owned())
}

fn main() -> Result<(), std::boxed::Box<dyn std::error::Error>> {
    use mikobase::json;
    for (method, params, expected) in [
        ("connect", json!({"call": 1, "client": 2, "method": 3}), "6"),
        ("call", json!({"self_": 1, "arguments": -2, "transport": 4}), "3"),
        ("clone", json!({"surface": true, "index": "i", "interface": 0.5}), "0.5"),
        ("new", json!({"name": 7, "params": [1, 2], "slots": [3, 4]}), "[7,[4,6]]"),
        ("drop", json!(null), "null"),
        ("serve", json!([true]), "false"),
        ("dispatch", json!([false]), "true"),
        ("surface", json!([]), "1"),
        ("of_client", json!([]), "2"),
        ("fmt", json!([]), "3"),
        ("self_", json!([]), "4"),
        ("old", json!([]), "5"),
        ("async", json!({"type": 8, "fn": "fn"}), "9"),
    ] {
        let result = by_name(method, params)?;
        if result != expected {
            return Err(format!("{method}: {result}").into());
        }
    }
    // The proxy has no methods of its own that would hide those of the interface.
    let _: fn(&http_rpc::HttpClient, bool) -> Reply<bool> = |proxy, run| proxy.dispatch(run);
    let _: fn(&http_rpc::HttpClient) -> Reply<u8> = |proxy| proxy.fmt();
    let _: fn(&http_rpc::HttpClient) -> &dyn Http = Proxy::as_interface;
    Ok(())
}

//! The procedural macros of Mikobase.
//!
//! `#[mikobase_interface]` is a small compiler: it **parses** the trait and its attributes, **checks** them
//! (all mistakes are reported together), builds one **model** and **renders** all generated items from it.
//!
//! | step | where |
//! | --- | --- |
//! | parse | `args` (of the attribute itself), `options` (of `#[interface(…)]` on a method) |
//! | check | `check`, a file per subject; `errors` collects the mistakes |
//! | model | `model`, `types` |
//! | compare | `record`: the model with the recorded surface |
//! | render | `render`, a file per generated item |
//!
//! The expansions of two traits are checked in, in `expansions/`.

mod args;
mod check;
mod errors;
#[cfg(test)]
mod expansions;
mod model;
mod options;
mod record;
mod render;
mod test;
mod types;

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::Args;
use crate::errors::Errors;

/// Makes a trait remote: generates its server, its proxies, its JSON dispatch and its surface.
///
/// The trait itself is not changed: its methods are blocking, take `&self` and return a `Result` whose error
/// type implements `From<mikobase::Error>`. It may have any name and visibility.
///
/// ```
/// use mikobase::prelude::*;
///
/// /// Counts.
/// #[mikobase_interface]
/// pub trait Counter {
///     /// Adds `by` to the counter called `name`, and gives its new value.
///     fn add(&self, name: &str, by: i64) -> Result<i64>;
///
///     /// The value of the counter called `name`.
///     #[interface(read)]
///     fn get(&self, name: &str) -> Result<Option<i64>>;
/// }
/// # fn main() {}
/// ```
///
/// The attribute generates a module beside the trait, `counter_rpc`:
///
/// | item | contents |
/// | --- | --- |
/// | `CounterClient` | a blocking proxy that **implements `Counter`** |
/// | `CounterAsyncClient` | a proxy with the same methods, async. Its clones share one connection |
/// | `CounterRequest`, `CounterResponse` | a call and its result, a variant per method |
/// | `CounterServer` | serves any `Counter` on a channel of tarpc |
/// | `COUNTER_SURFACE` | the surface of the interface |
///
/// `dyn Counter` also implements [`mikobase::rpc::Interface`](../mikobase/rpc/trait.Interface.html), through
/// which a share, a server or a command serves it generically.
///
/// # Sharing it
///
/// An implementation is created in a server process, and each of twenty forked workers gets a proxy of it.
///
/// ```no_run
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use mikobase::prelude::*;
/// # #[mikobase_interface]
/// # pub trait Counter {
/// #     fn add(&self, name: &str, by: i64) -> Result<i64>;
/// #     #[interface(read)]
/// #     fn get(&self, name: &str) -> Result<Option<i64>>;
/// # }
///
/// #[derive(Default)]
/// struct Tally(Mutex<HashMap<String, i64>>);
///
/// impl Counter for Tally {
///     fn add(&self, name: &str, by: i64) -> Result<i64> {
///         let mut values = self.0.lock().unwrap();
///         let value = values.entry(name.to_owned()).or_default();
///         *value += by;
///         Ok(*value)
///     }
///
///     fn get(&self, name: &str) -> Result<Option<i64>> {
///         Ok(self.0.lock().unwrap().get(name).copied())
///     }
/// }
///
/// # fn main() -> Result<(), BoxError> {
/// let report = Uds::new()?.share::<dyn Counter, _>(
///     20,
///     || Ok(Box::new(Tally::default())),
///     |counter, worker| Ok(counter.add("ready", worker.index() as i64)?),
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// Calls are run one after another, so an implementation needs no lock against other workers. It needs
/// interior mutability: a `Mutex`, or a `Cell` if the trait does not require `Sync`.
///
/// # Calling it by name
///
/// `dispatch` takes the name of a method, and its params as a JSON object or array. All faults of the params
/// are reported together.
///
/// ```
/// use mikobase::prelude::*;
///
/// #[mikobase_interface]
/// trait Greeter {
///     fn greet(&self, name: &str, times: Option<u8>) -> Result<String>;
/// }
///
/// struct Polite;
///
/// impl Greeter for Polite {
///     fn greet(&self, name: &str, times: Option<u8>) -> Result<String> {
///         Ok(format!("Dear {name}! ").repeat(times.unwrap_or(1).into()))
///     }
/// }
///
/// # fn main() -> Result<(), mikobase::rpc::DispatchError> {
/// let greeter: &dyn Greeter = &Polite;
/// let greeting = greeter.dispatch("greet", json!({"name": "Data"}))?;
/// assert_eq!(greeting.get(), r#""Dear Data! ""#);
///
/// let error = greeter.dispatch("greet", json!({"times": 300})).unwrap_err().to_string();
/// assert!(error.contains("the param `name` is missing"));
/// assert!(error.contains("the param `times` does not fit"));
/// # Ok(())
/// # }
/// ```
///
/// # Calling it from a runtime
///
/// A blocking call would block the runtime, so the blocking proxy fails inside one. The async proxy has the
/// same methods. Their futures are `Send` and borrow nothing, so that they can be spawned.
///
/// ```no_run
/// use mikobase::prelude::*;
/// # #[mikobase_interface]
/// # pub trait Counter {
/// #     fn add(&self, name: &str, by: i64) -> Result<i64>;
/// # }
/// use counter_rpc::CounterAsyncClient;
///
/// # fn main() {}
/// # async fn example(path: &std::path::Path, token: mikobase::Token) -> Result<()> {
/// let counter = CounterAsyncClient::connect(path, &token).await?;
/// let later = tokio::spawn(counter.add("drums", 1));
/// let now = counter.add("drums", 1).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Arguments, results and errors
///
/// Arguments and results are serialized with serde and sent by value. Arguments may be `&str`, `&[T]` and
/// `&T`: the referenced value is sent, and the implementation gets a reference to a copy. A custom error type
/// needs a variant for calls that fail on the connection:
///
/// ```
/// use mikobase::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// enum StockError {
///     SoldOut { item: String },
///     Lost(mikobase::Error),
/// }
///
/// impl From<mikobase::Error> for StockError {
///     fn from(error: mikobase::Error) -> Self {
///         Self::Lost(error)
///     }
/// }
///
/// #[mikobase_interface]
/// trait Stock {
///     fn take(&self, item: &str) -> Result<u64, StockError>;
/// }
/// # fn main() {}
/// ```
///
/// All violations of the rules are reported together, each at its tokens and with a correction:
///
/// ```compile_fail
/// # use mikobase::prelude::*;
/// #[mikobase_interface]
/// trait Stock {
///     fn take(&mut self, item: Option<&str>) -> u64;
/// }
/// # fn main() {}
/// ```
///
/// `docs/interface-mistakes.md` lists every rule with its reason and its message.
///
/// # Attributes on a method
///
/// | attribute | meaning |
/// | --- | --- |
/// | `#[interface(read)]` | it changes nothing, so a call may be repeated |
/// | `#[interface(write)]` | it changes something: the default, made explicit |
/// | `#[interface(idempotent)]` | running it twice has the effect of running it once: it may be repeated |
/// | `#[interface(deadline = "30s")]` | its own deadline in `ms`, `s`, `m` or `h`, not the general one |
/// | `#[interface(local)]` | not remote: a default method that runs in the caller's process |
/// | `#[interface(name = "…")]` | its name on the wire, so that it can be renamed in Rust |
///
/// If the connection is lost before the answer arrives, the client cannot know whether the call was run. A
/// call that may be repeated is sent once more, on a new connection; any other fails with `server-gone`. A
/// call that was not sent completely cannot have been run, and is always sent again.
///
/// ```
/// use mikobase::prelude::*;
///
/// #[mikobase_interface]
/// trait Counter {
///     #[interface(idempotent, deadline = "2m", name = "counter.set")]
///     fn set(&self, to: i64) -> Result<()>;
///
///     /// Sets it to zero: calls `set` in the caller's process.
///     #[interface(local)]
///     fn reset(&self) -> Result<()> {
///         self.set(0)
///     }
/// }
/// # fn main() {}
/// ```
///
/// # The surface, and changing it
///
/// A client can use a server that was built from another version of the trait, if the server has all methods
/// of the client with the same parameters and results. Otherwise the connection is refused, with the names of
/// the methods that differ.
///
/// To detect incompatible changes, record the surface in a file and commit it with the sources:
///
/// ```
/// # use mikobase::prelude::*;
/// #[mikobase_interface(surface = "schema/counter.surface.json")]
/// pub trait Counter {
/// #   #[interface(deadline = "5s")]
/// #   fn add(&self, name: &str, by: i64) -> Result<i64>;
/// #   #[interface(read)]
/// #   fn get(&self, name: &str) -> Result<Option<i64>>;
///     // …
/// }
/// # fn main() {}
/// ```
///
/// The path is relative to the folder of `Cargo.toml`. A trait that differs from its record does not compile.
/// The error is at the method; it says what was added, removed, renamed or changed, and whether old clients
/// still work:
///
/// ```text
/// error: changed: it was `get(name: &str) -> Result<u8>` and is `get(name: &str) -> Result<i64>`.
///        Old clients are refused when they connect
/// ```
///
/// `MIKOBASE_RECORD=1 cargo build` writes the file, also for the first time.
///
/// # Arguments of the attribute
///
/// | argument | meaning |
/// | --- | --- |
/// | `surface = "file.json"` | compare with a recorded surface |
/// | `crate = path` | the path of `mikobase`; `::mikobase` by default |
/// | `cfg(condition)` | a condition under which the generated code exists |
///
/// # Limits
///
/// A trait that is defined inside a function cannot be an interface: the generated module could not name it.
#[proc_macro_attribute]
pub fn mikobase_interface(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(args.into(), item.into()).into()
}

/// A test that runs its body in a separate process, so that it can start a share.
///
/// A share forks, and a fork is sound only in a process with one thread; `#[test]` runs its function in a
/// second thread. Use this attribute instead of `#[test]`: filters, `#[ignore]`, `#[should_panic]` and a
/// `Result` work in the same way under `cargo test` and `cargo nextest`, and the output of the body is shown
/// if it fails.
///
/// ```
/// use mikobase::prelude::*;
///
/// #[mikobase::test]
/// fn every_worker_creates_a_record() -> Result<(), Error> {
///     let share = Uds::new()?.mikobase(4, |db, worker| {
///         Ok(db.create("test.org/item", &json!({"n": worker.index()}))?)
///     })?;
///     share.all_succeeded()
/// }
/// # fn main() {}
/// ```
///
/// The body runs before `main`. The attribute takes `crate = path` if `mikobase` is at another path.
#[proc_macro_attribute]
pub fn test(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    test::expand(args.into(), item.into()).into()
}

fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(args, &mut errors);
    let Some(item) = check::is_trait(&item, &mut errors) else {
        let errors = errors.into_compile_errors();
        return quote!(#item #errors);
    };
    let interface = check::interface(args, &item, &mut errors);
    let item = render::user_trait(&item);
    // The trait is emitted also after a mistake, so that its uses cause no further errors.
    let generated = match interface {
        Some(interface) if errors.is_empty() => {
            record::compare(&interface, &mut errors);
            render::interface(&interface)
        }
        _ => TokenStream::new(),
    };
    let errors = errors.into_compile_errors();
    quote!(#item #generated #errors)
}

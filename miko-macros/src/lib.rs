//! The procedural macros of Mikobase.
//!
//! `#[mikobase_interface]` is a compiler in miniature: it **parses** the trait and its attributes, **checks** them
//! (all mistakes at once), builds one **model** and **renders** everything from it.
//!
//! | step | where |
//! | --- | --- |
//! | parse | `args` (of the attribute itself), `options` (of `#[interface(…)]` on a method) |
//! | check | `check`, a file per subject; `errors` gathers what they find |
//! | model | `model`, `types` |
//! | compare | `record`: the model with the recorded surface |
//! | render | `render`, a file per generated item |
//!
//! What comes out is checked in, in `expansions/`.

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
/// The trait stays as it is written: plain blocking methods that take `&self` and return a `Result` whose error can be made
/// from `mikobase::Error`. What it calls `Counter` here may have any name and any visibility.
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
/// Beside the trait appears a module, `counter_rpc`:
///
/// | item | what it is |
/// | --- | --- |
/// | `CounterClient` | a proxy that **implements `Counter`**, blocking. What takes `&dyn Counter` or `&impl Counter` takes it |
/// | `CounterAsyncClient` | a proxy with the same methods, returning futures. Its clones share one connection |
/// | `CounterRequest`, `CounterResponse` | a call and its result, a variant per method |
/// | `CounterServer` | serves any `Counter` on a channel of tarpc |
/// | `COUNTER_SURFACE` | what the interface offers, as data |
///
/// and `dyn Counter` implements [`mikobase::rpc::Interface`](../mikobase/rpc/trait.Interface.html), through which a share, a
/// server or a command line serves it without knowing its methods.
///
/// # Sharing it
///
/// An implementation is made in a server process, and each of twenty forked workers gets a proxy of it.
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
/// Calls are applied one after another, so an implementation needs no lock against other workers; the `Mutex` here is what
/// Rust asks of a type that changes behind `&self` and is `Sync`. A `Cell` does as well, if the trait does not ask for `Sync`.
///
/// # Calling it by name
///
/// `dispatch` takes the name of a method, and its params as a JSON object or array. All that is wrong with them is told at once.
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
/// A blocking call would stop the runtime it is made in, so the blocking proxy refuses there. The async proxy has the same
/// methods. What they return is `Send` and borrows nothing: it can be spawned.
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
/// # What travels
///
/// Arguments and results travel by value, by serde. `&str`, `&[T]` and `&T` are fine as arguments: what is behind them is
/// sent, and the implementation gets a reference again. An error type of one's own has a way to hold a call that failed on its
/// way:
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
/// What breaks a rule is told where it is broken, all of it at once, with what to write instead:
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
/// `docs/interface-mistakes.md` shows every rule with its reason and its message.
///
/// # Attributes on a method
///
/// | attribute | meaning |
/// | --- | --- |
/// | `#[interface(read)]` | it changes nothing, so it may be sent again |
/// | `#[interface(write)]` | it changes something. It is what a method without `read` is taken for, said aloud |
/// | `#[interface(idempotent)]` | doing it twice is doing it once, so it may be sent again |
/// | `#[interface(deadline = "30s")]` | its own deadline, in `ms`, `s`, `m` or `h`, where the general one does not fit |
/// | `#[interface(local)]` | not remote: a default method that runs where it is called, in terms of the others |
/// | `#[interface(name = "…")]` | its name on the wire, so that it can be renamed in Rust |
///
/// When a connection is lost while an answer is awaited, nobody knows whether the call was run. One that may be sent again is
/// sent once more, on a new connection; any other fails with `server-gone`. A call of which not all was sent cannot have been
/// run, and is sent again in any case.
///
/// ```
/// use mikobase::prelude::*;
///
/// #[mikobase_interface]
/// trait Counter {
///     #[interface(idempotent, deadline = "2m", name = "counter.set")]
///     fn set(&self, to: i64) -> Result<()>;
///
///     /// Sets it to zero: a call of `set`, from whichever process.
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
/// A client may connect to a server that was built from another version of the trait, if that has all of the client's methods
/// with the same parameters and results. If not, it is refused when it connects, with the names of the methods that differ.
///
/// So that nobody breaks this by accident, the surface can be recorded in a file that is kept with the sources:
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
/// The path is relative to the folder of `Cargo.toml`. A trait that differs from its record does not compile; the error stands
/// at the method, says what was added, removed, renamed or changed, and whether old clients still work:
///
/// ```text
/// error: changed: it was `get(name: &str) -> Result<Option<i64>>` and is `get(name: &str) -> Result<i64>`. Old clients are refused when they connect
///        This is what differs from the recorded surface. If you mean it, record it: build once with `MIKOBASE_RECORD=1`
/// ```
///
/// `MIKOBASE_RECORD=1 cargo build` writes the file, the first time as well.
///
/// # Arguments of the attribute
///
/// | argument | meaning |
/// | --- | --- |
/// | `surface = "file.json"` | compare with a recorded surface |
/// | `crate = path` | where `mikobase` is found; `::mikobase` by default |
/// | `cfg(condition)` | a condition under which the generated code exists |
///
/// # Limits
///
/// A trait that is defined inside a function cannot be an interface: the generated module would not see it.
#[proc_macro_attribute]
pub fn mikobase_interface(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(args.into(), item.into()).into()
}

/// Makes a test whose body runs in a process of its own, in which it may share.
///
/// A share forks, and a fork is sound only in a process with one thread; `#[test]` runs its function in a second one. This
/// attribute takes its place: filters, `#[ignore]`, `#[should_panic]` and a `Result` work as with `#[test]`, under `cargo
/// test` and `cargo nextest`, and what the body prints is shown if it fails.
///
/// ```
/// use mikobase::prelude::*;
///
/// #[mikobase::test]
/// fn every_worker_creates_a_record() -> Result<(), Error> {
///     let share = Uds::new()?.mikobase(4, |db, worker| Ok(db.create("test.org/item", &json!({"n": worker.index()}))?))?;
///     share.all_succeeded()
/// }
/// # fn main() {}
/// ```
///
/// The body runs before `main`. The attribute takes `crate = path`, if `mikobase` has another name.
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
    // After a mistake the trait is still emitted, so that one mistake does not light up every use of it.
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

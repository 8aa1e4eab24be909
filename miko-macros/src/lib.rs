//! The procedural macros of Mikobase.
//!
//! `#[mikobase_interface]` is a compiler in miniature: it **parses** the trait and its attributes, **checks** them
//! (all mistakes at once), builds one **model** and **renders** everything from it.
//!
//! | step | where |
//! | --- | --- |
//! | parse | `args` (of the attribute itself), `options` (of `#[interface(…)]` on a method) |
//! | check | `check`, `errors` |
//! | model | `model`, `types` |
//! | render | `render`, a file per generated item |

mod args;
mod check;
mod errors;
#[cfg(test)]
mod expansions;
mod model;
mod options;
mod record;
mod render;
mod types;

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::Args;
use crate::errors::Errors;

/// Makes a trait remote: generates its service, proxy, JSON dispatch and surface.
///
/// The trait stays as it is written: plain blocking methods that take `&self` and return a `Result` whose error can be
/// made from `mikobase::Error`. Beside it appears a module, named after the trait (`counter_rpc` for `Counter`), with
/// `CounterRequest` and `CounterResponse`, `CounterClient` (a proxy that implements `Counter`), `CounterServer` (for a
/// tarpc channel) and `COUNTER_SURFACE`.
///
/// ```ignore
/// #[mikobase_interface]
/// pub trait Counter {
///     /// Adds `by` to the counter and gives its new value.
///     fn add(&self, name: &str, by: i64) -> mikobase::Result<i64>;
/// }
/// ```
///
/// # Arguments
///
/// | argument | meaning |
/// | --- | --- |
/// | `crate = path` | where `mikobase` is found; `::mikobase` by default |
/// | `cfg(…)` | a condition under which the generated code exists |
///
/// # Attributes on a method
///
/// | attribute | meaning |
/// | --- | --- |
/// | `#[interface(read)]`, `#[interface(write)]` | may it change state? |
/// | `#[interface(idempotent)]` | may a client repeat it after a lost connection? |
/// | `#[interface(deadline = "30s")]` | its own deadline, where the general one does not fit |
/// | `#[interface(local)]` | not remote: a default method that runs where it is called |
/// | `#[interface(name = "…")]` | its name on the wire |
#[proc_macro_attribute]
pub fn mikobase_interface(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(args.into(), item.into()).into()
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

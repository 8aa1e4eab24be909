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
//! | compare | `recorded_surface`: the model with the recorded surface |
//! | render | `render`, a file per generated item |
//!
//! The expansions of two traits are checked in, in `expansions/`. The guides are in `docs/`. Their examples
//! are tested in `tests/interface`: a dependency on `mikobase` here would make another build of all that
//! macros need.

mod args;
mod check;
mod errors;
#[cfg(test)]
mod expansions;
mod model;
mod options;
mod recorded_surface;
mod render;
mod test;
mod types;

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::Args;
use crate::errors::Errors;

#[doc = include_str!("../docs/mikobase_interface.md")]
#[proc_macro_attribute]
pub fn mikobase_interface(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(args.into(), item.into()).into()
}

#[doc = include_str!("../docs/test.md")]
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
            recorded_surface::compare(&interface, &mut errors);
            render::interface(&interface)
        }
        _ => TokenStream::new(),
    };
    let errors = errors.into_compile_errors();
    quote!(#item #generated #errors)
}

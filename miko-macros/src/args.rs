//! The arguments of the attribute itself: `#[mikobase_interface(crate = …, cfg(…))]`.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::{Path, parse_quote};

use crate::errors::Errors;

/// What the attribute was given.
pub(crate) struct Args {
    /// Where `mikobase` (or `miko_core`) is found.
    pub(crate) krate: Path,
    /// The condition under which the generated code exists: the tokens inside `cfg(…)`.
    pub(crate) cfg: Option<TokenStream>,
}

impl Args {
    /// Reads the arguments; a wrong one is noted and the default stands in for it.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self { krate: parse_quote!(::mikobase), cfg: None };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                args.krate = meta.value()?.call(Path::parse_mod_style)?;
                Ok(())
            } else if meta.path.is_ident("cfg") {
                let content;
                syn::parenthesized!(content in meta.input);
                args.cfg = Some(content.parse()?);
                Ok(())
            } else {
                Err(meta.error("unknown argument; known are `crate = path` and `cfg(condition)`"))
            }
        });
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        args
    }
}

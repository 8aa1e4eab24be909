//! The arguments of the attribute itself: `#[mikobase_interface(crate = …, cfg(…), surface = "…", schema)]`.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Path, parse_quote};

use crate::errors::Errors;

const KNOWN: &str = "`crate = path`, `cfg(condition)`, `surface = \"file.json\"`, `schema`";

/// The arguments of the attribute.
pub(crate) struct Args {
    /// The path of `mikobase` (or `miko_core`).
    pub(crate) krate: Path,
    /// The condition under which the generated code exists: the tokens inside `cfg(…)`.
    pub(crate) cfg: Option<TokenStream>,
    /// The file of the recorded surface, relative to the folder of the package.
    pub(crate) surface: Option<LitStr>,
    /// Whether the types are described, and the condition of that.
    pub(crate) schema: Option<Schema>,
}

/// The argument `schema`, or `schema(condition)`.
pub(crate) struct Schema {
    /// The tokens of the condition.
    pub(crate) condition: Option<TokenStream>,
}

impl Args {
    /// Parses the arguments. A wrong one goes to `errors` and is replaced by its default.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self { krate: parse_quote!(::mikobase), cfg: None, surface: None, schema: None };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                args.krate = meta.value()?.call(Path::parse_mod_style)?;
                Ok(())
            } else if meta.path.is_ident("cfg") {
                let content;
                syn::parenthesized!(content in meta.input);
                args.cfg = Some(content.parse()?);
                Ok(())
            } else if meta.path.is_ident("surface") {
                args.surface = Some(meta.value()?.parse()?);
                Ok(())
            } else if meta.path.is_ident("schema") {
                args.schema = Some(Schema::parse(meta.input)?);
                Ok(())
            } else {
                Err(meta.error(format!("unknown argument; known are {KNOWN}")))
            }
        });
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        args
    }
}

impl Schema {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(syn::token::Paren) {
            return Ok(Self { condition: None });
        }
        let content;
        syn::parenthesized!(content in input);
        Ok(Self { condition: Some(content.parse()?) })
    }
}

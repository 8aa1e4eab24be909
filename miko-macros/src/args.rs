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
        let mut krate = None;
        let parser = syn::meta::parser(|meta| {
            let said_before = if meta.path.is_ident("crate") {
                krate.replace(path_anywhere(meta.value()?.call(Path::parse_mod_style)?)?).is_some()
            } else if meta.path.is_ident("cfg") {
                let content;
                syn::parenthesized!(content in meta.input);
                args.cfg.replace(content.parse()?).is_some()
            } else if meta.path.is_ident("surface") {
                args.surface.replace(meta.value()?.parse()?).is_some()
            } else if meta.path.is_ident("schema") {
                args.schema.replace(Schema::parse(meta.input)?).is_some()
            } else {
                return Err(meta.error(format!("unknown argument; known are {KNOWN}")));
            };
            if said_before { Err(meta.error("duplicate argument: keep one of them")) } else { Ok(()) }
        });
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        if let Some(krate) = krate {
            args.krate = krate;
        }
        args
    }
}

/// The path of `mikobase`, which generated code uses in modules of its own.
fn path_anywhere(path: Path) -> syn::Result<Path> {
    if path.segments.first().is_some_and(|first| first.ident == "self" || first.ident == "super") {
        let message =
            "generated code is in a module of its own: write `crate = crate::…` or `crate = ::name`";
        return Err(syn::Error::new_spanned(path, message));
    }
    Ok(path)
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

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn what_would_be_ignored_or_not_found_is_refused() {
        let (elsewhere, twice) = ("generated code is in a module of its own", "duplicate argument: keep one");
        for (tokens, expected) in [
            (quote!(crate = crate::vendored, surface = "a", schema, cfg(all())), None),
            (quote!(crate = ::base), None),
            (quote!(crate = super::vendored), Some(elsewhere)),
            (quote!(crate = self::base), Some(elsewhere)),
            (quote!(surface = "a", surface = "b"), Some(twice)),
            (quote!(cfg(unix), cfg(windows)), Some(twice)),
            (quote!(schema, schema(unix)), Some(twice)),
            (quote!(crate = a, crate = b), Some(twice)),
        ] {
            let mut errors = Errors::default();
            Args::parse(tokens.clone(), &mut errors);
            let errors = errors.into_compile_errors().to_string();
            assert_eq!(expected.is_none(), errors.is_empty(), "{tokens}: {errors}");
            assert!(expected.is_none_or(|expected| errors.contains(expected)), "{tokens}: {errors}");
        }
    }
}

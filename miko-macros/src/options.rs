//! Parses `#[interface(…)]` on a method.

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Meta, Token};

use crate::errors::Errors;

const KNOWN: &str = "`read`, `write`, `idempotent`, `deadline = \"30s\"`, `lazy`, `settles`, \
                     `local`, `name = \"…\"`";

/// The options of a method.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) idempotent: bool,
    pub(crate) lazy: bool,
    pub(crate) settles: bool,
    pub(crate) local: bool,
    pub(crate) name: Option<LitStr>,
    pub(crate) deadline_ms: Option<u64>,
}

impl Options {
    /// Parses all `#[interface(…)]` among `attrs`; mistakes go to `errors`.
    pub(crate) fn parse(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for attr in attrs.iter().filter(|attr| is_interface(attr)) {
            if let Err(error) = attr.parse_nested_meta(|meta| options.parse_one(&meta)) {
                errors.push(error);
            }
            options.check_contradictions(attr, errors);
        }
        options
    }

    fn parse_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let said_before = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("read") => std::mem::replace(&mut self.read, true),
            Some("write") => std::mem::replace(&mut self.write, true),
            Some("idempotent") => std::mem::replace(&mut self.idempotent, true),
            Some("lazy") => std::mem::replace(&mut self.lazy, true),
            Some("settles") => std::mem::replace(&mut self.settles, true),
            Some("local") => std::mem::replace(&mut self.local, true),
            Some("name") => self.name.replace(wire_name(meta.value()?.parse()?)?).is_some(),
            Some("deadline") => self.deadline_ms.replace(milliseconds(&meta.value()?.parse()?)?).is_some(),
            _ => return Err(meta.error(format!("unknown attribute; known are {KNOWN}"))),
        };
        if said_before { Err(meta.error("duplicate option: keep one of them")) } else { Ok(()) }
    }

    fn check_contradictions(&self, attr: &Attribute, errors: &mut Errors) {
        if self.read && self.write {
            errors.at(attr, "a method is `read` or `write`, not both: `read` says that it changes nothing");
        }
        if self.lazy && self.settles {
            errors.at(
                attr,
                "`lazy` is about the object that a method returns, `settles` about that of the method",
            );
        }
        let flags = self.read || self.write || self.idempotent || self.lazy || self.settles;
        let remote_only = flags || self.name.is_some() || self.deadline_ms.is_some();
        if self.local && remote_only {
            errors.at(
                attr,
                "`local` cannot be combined with other options: a `local` method is never called remotely",
            );
        }
    }
}

/// Whether this is an `#[interface(…)]`.
fn is_interface(attr: &Attribute) -> bool {
    attr.path().is_ident("interface")
}

/// Whether this is an `#[interface(…)]`, or a `cfg_attr` that makes one. The emitted trait must have neither.
pub(crate) fn is_ours(attr: &Attribute) -> bool {
    is_interface(attr) || made_by_cfg_attr(&attr.meta).iter().any(|attr| attr.path().is_ident("interface"))
}

/// The attributes that a `cfg_attr` makes, also by way of another one. None of any other attribute.
pub(crate) fn made_by_cfg_attr(attr: &Meta) -> Vec<Meta> {
    match attr {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let made = parts.into_iter().flatten().skip(1);
            made.flat_map(|attr| [made_by_cfg_attr(&attr), vec![attr]].concat()).collect()
        }
        _ => Vec::new(),
    }
}

fn wire_name(name: LitStr) -> syn::Result<LitStr> {
    let text = name.value();
    let well_formed = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if text.is_empty() || !well_formed {
        return Err(syn::Error::new(
            name.span(),
            "a wire name consists of ASCII letters, digits, `_`, `-` and `.`",
        ));
    }
    if text.chars().all(|c| c == '.') {
        return Err(syn::Error::new(
            name.span(),
            "a wire name is not of dots alone: in a URL they are steps",
        ));
    }
    Ok(name)
}

/// The milliseconds of a duration such as `"30s"`.
fn milliseconds(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(milliseconds) if milliseconds > 0 => Ok(milliseconds),
        _ => Err(syn::Error::new(
            literal.span(),
            "a deadline is a positive whole number with a unit `ms`, `s`, `m` or `h`, such as \"30s\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn an_option_under_a_condition_is_found() {
        for (attr, expected) in [
            (quote!(#[interface(read)]), true),
            (quote!(#[cfg_attr(unix, interface(read))]), true),
            (quote!(#[cfg_attr(all(unix, feature = "x"), inline, cfg_attr(test, interface(read)))]), true),
            (quote!(#[cfg_attr(interface, inline)]), false),
            (quote!(#[inline]), false),
        ] {
            let method: syn::TraitItemFn = syn::parse2(quote!(#attr fn get(&self);)).unwrap();
            assert_eq!(is_ours(&method.attrs[0]), expected, "{attr}");
        }
    }

    #[test]
    fn a_wire_name_has_a_place_in_a_url() {
        for (name, expected) in [("take.one", true), ("a..", true), ("..", false), (".", false), ("", false)]
        {
            let literal: LitStr = syn::parse2(quote!(#name)).unwrap();
            assert_eq!(wire_name(literal).is_ok(), expected, "{name}");
        }
    }
}

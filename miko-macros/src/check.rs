//! The rules of an interface. Every broken one is noted where it is broken, with what to write instead.

mod arguments;
mod method;
mod supertraits;

use proc_macro2::TokenStream;
use syn::{ItemTrait, TraitItem};

use crate::args::Args;
use crate::errors::Errors;
use crate::model::{Interface, Method};

/// The attribute stands on a trait; anything else gets an error and is emitted as it is.
pub(crate) fn is_trait(item: &TokenStream, errors: &mut Errors) -> Option<ItemTrait> {
    match syn::parse2(item.clone()) {
        Ok(item) => Some(item),
        Err(error) => {
            let a_trait = item.clone().into_iter().any(|token| token.to_string() == "trait");
            if a_trait {
                errors.push(error);
            } else {
                errors.at(item, "`#[mikobase_interface]` goes on a trait");
            }
            None
        }
    }
}

/// The model of the trait, or `None` after noting every mistake in it.
pub(crate) fn interface<'a>(args: Args, item: &'a ItemTrait, errors: &mut Errors) -> Option<Interface<'a>> {
    check_trait(item, errors);
    let mut methods = Vec::new();
    for member in &item.items {
        match member {
            TraitItem::Fn(member) => methods.extend(method::check(member, errors)),
            TraitItem::Type(ty) => {
                errors.at(ty, "an interface has no associated types: each side could only guess the other's");
            }
            TraitItem::Const(constant) => errors.at(
                constant,
                "an interface has no associated constants: return the value from a method, or define it beside the trait",
            ),
            other => errors.at(other, "an interface consists of methods: write them out"),
        }
    }
    check_names(&methods, errors);
    if methods.is_empty() && errors.is_empty() {
        errors.at(
            &item.ident,
            "an interface needs a method that is not `local`: there is nothing to call from afar",
        );
    }
    errors.is_empty().then_some(Interface { args, item, methods })
}

fn check_trait(item: &ItemTrait, errors: &mut Errors) {
    if let Some(unsafety) = &item.unsafety {
        errors.at(
            unsafety,
            "an interface is a safe trait: a caller in another process could not keep its promises",
        );
    }
    if let Some(auto) = &item.modifiers.auto_token {
        errors.at(auto, "an interface is an ordinary trait");
    }
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an interface is not generic: server and client could disagree on the types. Name them in the methods",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.at(
            clause,
            "an interface has no where clause: allowed are the supertraits `Send`, `Sync` and `'static`",
        );
    }
    supertraits::check(&item.supertraits, errors);
}

/// Wire names and variants of the generated enums must not clash.
fn check_names(methods: &[Method], errors: &mut Errors) {
    for (i, method) in methods.iter().enumerate() {
        let earlier = &methods[..i];
        if earlier.iter().any(|other| other.wire_name == method.wire_name) {
            errors.at(
                &method.ident,
                format!(
                    "two methods have the wire name `{}`: give one of them another with `#[interface(name = \"…\")]`",
                    method.wire_name
                ),
            );
        } else if let Some(other) = earlier.iter().find(|other| other.variant() == method.variant()) {
            errors.at(
                &method.ident,
                format!(
                    "`{}` and `{}` differ only in underscores: rename one of them",
                    other.ident, method.ident
                ),
            );
        }
    }
}

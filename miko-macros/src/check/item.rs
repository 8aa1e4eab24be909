//! The rules of the trait itself, and of its members that are not methods.

use proc_macro2::TokenStream;
use syn::{ItemTrait, Path, TraitItem};

use super::supertraits;
use crate::errors::Errors;

/// The trait that has the attribute; `None` and an error for any other item, which is emitted unchanged.
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

/// Checks the trait itself; returns the supertraits that are to be interfaces.
pub(super) fn check(item: &ItemTrait, errors: &mut Errors) -> Vec<Path> {
    if let Some(unsafety) = &item.unsafety {
        errors.at(
            unsafety,
            "an interface is a safe trait: a caller in another process cannot uphold an unsafe contract",
        );
    }
    if let Some(auto) = &item.modifiers.auto_token {
        errors.at(auto, "an interface is an ordinary trait");
    }
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an interface is not generic: server and client could disagree on the types. \
             Name them in the methods",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.at(
            clause,
            "an interface has no where clause: allowed are the supertraits `Send`, `Sync` and `'static`",
        );
    }
    supertraits::check(&item.supertraits, errors)
}

/// Reports a member that is not a method.
pub(super) fn check_member(member: &TraitItem, errors: &mut Errors) {
    let message = match member {
        TraitItem::Type(_) => {
            "an interface has no associated types: client and server could choose different types"
        }
        TraitItem::Const(_) => {
            "an interface has no associated constants: return the value from a method, \
             or define it beside the trait"
        }
        _ => "an interface consists of methods: write them out",
    };
    errors.at(member, message);
}

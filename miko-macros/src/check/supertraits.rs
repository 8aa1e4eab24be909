//! The rule of supertraits: `Send`, `Sync`, `'static`, and other interfaces.

use syn::punctuated::Punctuated;
use syn::{Path, Token, TraitBound, TypeParamBound};

use crate::errors::Errors;

/// Traits of the standard library that people write as supertraits, and that a proxy cannot implement as an
/// implementation would.
const NOT_INTERFACES: &[&str] = &[
    "AsRef",
    "Borrow",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Deref",
    "Display",
    "Drop",
    "Eq",
    "Error",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "Hash",
    "Into",
    "Iterator",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Sized",
    "ToString",
    "Unpin",
];

/// The supertraits that are to be interfaces. Reports each that is none, as far as its name shows it.
pub(super) fn check(supertraits: &Punctuated<TypeParamBound, Token![+]>, errors: &mut Errors) -> Vec<Path> {
    supertraits.iter().filter_map(|bound| check_one(bound, errors)).collect()
}

fn check_one(bound: &TypeParamBound, errors: &mut Errors) -> Option<Path> {
    match bound {
        TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static" => None,
        TypeParamBound::Trait(bound) if is_named(bound, &["Send", "Sync"]) => None,
        TypeParamBound::Trait(bound) if may_be_interface(bound) => Some(bound.path.clone()),
        _ => {
            errors.at(
                bound,
                "the proxy could not implement this supertrait: allowed are `Send`, `Sync`, `'static` and other \
                 interfaces",
            );
            None
        }
    }
}

fn may_be_interface(bound: &TraitBound) -> bool {
    let is_generic = bound.path.segments.iter().any(|segment| !segment.arguments.is_empty());
    bound.maybe.is_none() && bound.lifetimes.is_none() && !is_generic && !is_named(bound, NOT_INTERFACES)
}

/// Whether the last part of the path is one of `names`.
fn is_named(bound: &TraitBound, names: &[&str]) -> bool {
    bound.maybe.is_none()
        && bound.path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}

//! The rule of supertraits: only `Send`, `Sync` and `'static` are allowed.

use syn::punctuated::Punctuated;
use syn::{Token, TypeParamBound};

use crate::errors::Errors;

/// Reports every supertrait that is not `Send`, `Sync` or `'static`.
pub(super) fn check(supertraits: &Punctuated<TypeParamBound, Token![+]>, errors: &mut Errors) {
    for bound in supertraits {
        let allowed = match bound {
            TypeParamBound::Trait(bound) => bound.maybe.is_none() && is_send_or_sync(&bound.path),
            TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
            _ => false,
        };
        if !allowed {
            errors.at(
                bound,
                "the proxy could not implement this supertrait: allowed are `Send`, `Sync` and `'static`",
            );
        }
    }
}

/// Whether the path ends in `Send` or `Sync`.
fn is_send_or_sync(path: &syn::Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "Send" || last.ident == "Sync")
}

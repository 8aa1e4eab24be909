//! The rules of a `local` method: it runs in the caller's process, and must not prevent `dyn Trait`.

use quote::ToTokens;
use syn::{FnArg, GenericParam, TraitItemFn, TypeParamBound, WherePredicate};

use crate::errors::Errors;

pub(super) fn check(method: &TraitItemFn, errors: &mut Errors) {
    if method.default.is_none() {
        errors.at(&method.sig, "a `local` method needs a body: it runs in the process of the caller");
    }
    if !is_only_for_sized(method) && needs_sized(method) {
        errors.at(
            &method.sig,
            "a `local` method that is generic or has no `&self` needs `where Self: Sized`, \
             so that `dyn Trait` exists",
        );
    }
}

/// Whether the method would prevent `dyn Trait`.
fn needs_sized(method: &TraitItemFn) -> bool {
    let sig = &method.sig;
    let is_generic = sig.generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_)));
    let takes_impl = sig.inputs.iter().any(|input| match input {
        FnArg::Typed(argument) => {
            argument.ty.to_token_stream().into_iter().any(|token| token.to_string() == "impl")
        }
        FnArg::Receiver(_) => false,
    });
    let has_receiver = matches!(sig.inputs.first(), Some(FnArg::Receiver(_)));
    is_generic || takes_impl || !has_receiver || sig.asyncness.is_some()
}

fn is_only_for_sized(method: &TraitItemFn) -> bool {
    let clause = method.sig.generics.where_clause.iter();
    clause.flat_map(|clause| &clause.predicates).any(|predicate| match predicate {
        WherePredicate::Type(predicate) => {
            predicate.to_token_stream().to_string().replace(' ', "").starts_with("Self:")
                && predicate.bounds.iter().any(is_sized)
        }
        _ => false,
    })
}

/// Whether the bound is `Sized`, which may be written with its path.
fn is_sized(bound: &TypeParamBound) -> bool {
    match bound {
        TypeParamBound::Trait(bound) => {
            bound.maybe.is_none() && bound.path.segments.last().is_some_and(|last| last.ident == "Sized")
        }
        _ => false,
    }
}

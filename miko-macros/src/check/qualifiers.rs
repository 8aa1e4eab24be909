//! The rules of the qualifiers of a remote method: no `async`, `unsafe`, generics or conditions.

use syn::{Generics, Safety, TraitItemFn};

use crate::errors::Errors;

pub(super) fn check(method: &TraitItemFn, errors: &mut Errors) {
    let sig = &method.sig;
    if let Some(asyncness) = &sig.asyncness {
        errors.at(
            asyncness,
            "an interface is blocking: remove `async`. Callers with a runtime use the generated async client",
        );
    }
    if let Some(constness) = &sig.constness {
        errors.at(constness, "a remote method cannot be `const`: it runs in another process");
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        errors.at(
            unsafety,
            "a remote method is safe: a caller in another process cannot uphold an unsafe contract",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a remote method has no ABI of its own: remove `extern`");
    }
    if let Some(cfg) = method.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
        errors.at(cfg, "a remote method is not conditional: two builds would have different surfaces");
    }
    check_generics(&sig.generics, errors);
}

fn check_generics(generics: &Generics, errors: &mut Errors) {
    if !generics.params.is_empty() {
        errors.at(
            generics,
            "a remote method has no generic parameters and no explicit lifetimes: name the types, or make it \
             `#[interface(local)]` with `where Self: Sized`",
        );
    } else if let Some(clause) = &generics.where_clause {
        errors.at(
            clause,
            "a remote method has no where clause: make it `#[interface(local)]`, or remove the clause",
        );
    }
}

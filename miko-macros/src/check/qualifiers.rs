//! The rules of the qualifiers of a remote method: no `async`, `unsafe`, generics or conditions.

use syn::{Attribute, Generics, Meta, Safety, TraitItemFn};

use crate::errors::Errors;
use crate::options::made_by_cfg_attr;

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
    check_conditions(&method.attrs, errors);
    check_generics(&sig.generics, errors);
}

/// Refuses conditions, of a remote method or of one of its arguments.
pub(super) fn check_conditions(attrs: &[Attribute], errors: &mut Errors) {
    if let Some(condition) = attrs.iter().find(|attr| is_condition(&attr.meta)) {
        errors.at(condition, "a remote method is not conditional: two builds would have different surfaces");
    }
}

/// Whether it is a `cfg`, or a `cfg_attr` that makes one, or an option of the method.
fn is_condition(attr: &Meta) -> bool {
    let made = made_by_cfg_attr(attr);
    attr.path().is_ident("cfg")
        || made.iter().any(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("interface"))
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

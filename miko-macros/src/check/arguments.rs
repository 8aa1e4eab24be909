//! The rules of arguments and of what is inside a type.

use syn::visit::Visit;
use syn::{FnArg, Lifetime, Pat, Signature, Type, TypeImplTrait, TypeReference};

use crate::errors::Errors;
use crate::model::Param;
use crate::types;

/// The parameters of a method after the receiver.
pub(super) fn check(sig: &Signature, errors: &mut Errors) -> Vec<Param> {
    let typed = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    let mut params = Vec::new();
    for argument in typed {
        check_type(&argument.ty, errors);
        let Pat::Ident(pattern) = &*argument.pat else {
            errors.at(
                &argument.pat,
                "an argument has a name, not a pattern: the name is what JSON callers use",
            );
            continue;
        };
        if pattern.by_ref.is_some() || pattern.mutability.is_some() || pattern.subpat.is_some() {
            errors.at(pattern, "an argument is a plain name: move `mut` or `ref` into the body");
        }
        let (owned, borrowed) = types::owned(&argument.ty);
        params.push(Param { ident: pattern.ident.clone(), ty: (*argument.ty).clone(), owned, borrowed });
    }
    params
}

/// An argument may be a shared reference; what it refers to must be owned.
fn check_type(ty: &Type, errors: &mut Errors) {
    const INSIDE: &str = "only the argument itself may be a reference, such as `&str`, `&[T]` or `&T`: \
                          inside a type write the owned one, such as `String`";
    match ty {
        Type::Reference(reference) => {
            if let Some(mutability) = &reference.mutability {
                errors.at(
                    mutability,
                    "a remote method cannot change its caller's values: take `&T` or `T`, and return what changed",
                );
            }
            if let Some(lifetime) = &reference.lifetime {
                errors.at(lifetime, "a remote method has no explicit lifetimes: remove it");
            }
            match &*reference.elem {
                Type::Slice(slice) => check_owned(&slice.elem, INSIDE, errors),
                elem => check_owned(elem, INSIDE, errors),
            }
        }
        ty => check_owned(ty, INSIDE, errors),
    }
}

/// Notes every reference, lifetime, `impl Trait` and `dyn Trait` inside `ty`.
pub(super) fn check_owned(ty: &Type, on_reference: &'static str, errors: &mut Errors) {
    OwnedOnly { on_reference, errors }.visit_type(ty);
}

struct OwnedOnly<'e> {
    on_reference: &'static str,
    errors: &'e mut Errors,
}

impl<'ast> Visit<'ast> for OwnedOnly<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.errors.at(reference, self.on_reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.errors.at(lifetime, "a value that travels borrows nothing: use an owned type");
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.errors.at(ty, "`impl Trait` cannot travel: name the type");
    }

    fn visit_type_trait_object(&mut self, ty: &'ast syn::TypeTraitObject) {
        self.errors.at(ty, "`dyn Trait` cannot travel: name the type");
    }
}

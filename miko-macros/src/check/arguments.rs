//! The rules of arguments.

use syn::{FnArg, Pat, PatIdent, PatType, Signature, Type};

use super::{qualifiers, sent_types};
use crate::errors::Errors;
use crate::model::ParamModel;
use crate::types;

const INSIDE: &str = "only the argument itself may be a reference, such as `&str`, `&[T]` or `&T`: \
                      inside a type write the owned one, such as `String`";

/// The parameters of a method after the receiver.
pub(super) fn check(sig: &Signature, errors: &mut Errors) -> Vec<ParamModel> {
    let arguments = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    arguments.filter_map(|argument| check_one(argument, errors)).collect()
}

fn check_one(argument: &PatType, errors: &mut Errors) -> Option<ParamModel> {
    qualifiers::check_conditions(&argument.attrs, errors);
    let ty = types::without_groups(&argument.ty);
    check_type(&ty, errors);
    let Pat::Ident(pattern) = &*argument.pat else {
        errors.at(&argument.pat, "an argument has a name, not a pattern: the name is what JSON callers use");
        return None;
    };
    check_name(pattern, errors);
    Some(ParamModel { ident: pattern.ident.clone(), ty })
}

fn check_name(pattern: &PatIdent, errors: &mut Errors) {
    if pattern.by_ref.is_some() || pattern.mutability.is_some() || pattern.subpat.is_some() {
        errors.at(pattern, "an argument is a plain name: move `mut` or `ref` into the body");
    }
}

/// An argument may be a shared reference; what it refers to must be owned.
fn check_type(ty: &Type, errors: &mut Errors) {
    let Type::Reference(reference) = ty else {
        return sent_types::check_argument(ty, INSIDE, errors);
    };
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
        Type::Slice(slice) => sent_types::check_argument(&slice.elem, INSIDE, errors),
        elem => sent_types::check_argument(elem, INSIDE, errors),
    }
}

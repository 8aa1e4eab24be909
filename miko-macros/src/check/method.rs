//! Checks one remote method and builds its model.

use syn::{Attribute, Expr, ExprLit, Lit, Meta, TraitItemFn};

use super::{arguments, output, qualifiers, receiver};
use crate::errors::Errors;
use crate::model::{MethodModel, Sending, unraw};
use crate::options::Options;
use crate::types;

/// The model of a remote method; `None` if its mistakes prevent one.
pub(super) fn check(method: &TraitItemFn, options: &Options, errors: &mut Errors) -> Option<MethodModel> {
    qualifiers::check(method, errors);
    receiver::check(&method.sig, errors);
    let params = arguments::check(&method.sig, errors);
    let output = output::check(&method.sig, errors)?;
    let sending = match options {
        Options { lazy: true, .. } => Sending::Lazy,
        Options { settles: true, .. } => Sending::Settling,
        _ => Sending::Plain,
    };
    if options.lazy && !types::is_object(&output) {
        let message =
            "a `lazy` method returns `Result<Remote<dyn …>>`: the first call on the object has its error";
        errors.at(&output, message);
    }
    let ident = method.sig.ident.clone();
    let wire_name = match &options.name {
        Some(name) => name.value(),
        None => unraw(&ident),
    };
    Some(MethodModel {
        ident,
        wire_name,
        params,
        output,
        doc: doc_text(&method.attrs),
        read: if options.read { Some(true) } else { options.write.then_some(false) },
        idempotent: options.idempotent,
        deadline_ms: options.deadline_ms,
        sending,
    })
}

/// The text of the doc comments among `attrs`, without the space that follows `///`.
fn doc_text(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    lines.join("\n")
}

//! The rules of one method.

use syn::{
    Attribute, Expr, ExprLit, FnArg, Lit, Meta, Receiver, ReceiverKind, ReturnType, Safety, TraitItemFn, Type,
};

use super::arguments;
use crate::errors::Errors;
use crate::model::Method;
use crate::options::Options;

/// The model of a remote method; `None` for a local one, and for one whose mistakes leave nothing to model.
pub(super) fn check(method: &TraitItemFn, errors: &mut Errors) -> Option<Method> {
    let options = Options::parse(&method.attrs, errors);
    if options.local {
        check_local(method, errors);
        return None;
    }
    check_qualifiers(method, errors);
    check_generics(method, errors);
    check_receiver(method, errors);
    let params = arguments::check(&method.sig, errors);
    let output = check_output(method, errors)?;
    let ident = method.sig.ident.clone();
    let wire_name = match &options.name {
        Some(name) => name.value(),
        None => ident.to_string().trim_start_matches("r#").to_owned(),
    };
    Some(Method {
        ident,
        wire_name,
        params,
        output,
        doc: doc_text(&method.attrs),
        read: if options.read { Some(true) } else { options.write.then_some(false) },
        idempotent: options.idempotent,
        deadline_ms: options.deadline_ms,
    })
}

/// A local method runs where it is called, so the trait itself must say what it does.
fn check_local(method: &TraitItemFn, errors: &mut Errors) {
    if method.default.is_none() {
        errors.at(
            &method.sig,
            "a `local` method needs a body: it runs where it is called, in terms of the others",
        );
    }
}

fn check_qualifiers(method: &TraitItemFn, errors: &mut Errors) {
    let sig = &method.sig;
    if let Some(asyncness) = &sig.asyncness {
        errors.at(asyncness, "an interface is blocking: remove `async`");
    }
    if let Some(constness) = &sig.constness {
        errors.at(constness, "a remote method cannot be `const`");
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        errors
            .at(unsafety, "a remote method is safe: a caller in another process could not keep its promises");
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, "a remote method has no ABI of its own");
    }
    if let Some(cfg) = method.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
        errors.at(cfg, "a remote method is not conditional: two builds would have different surfaces");
    }
}

fn check_generics(method: &TraitItemFn, errors: &mut Errors) {
    let generics = &method.sig.generics;
    if !generics.params.is_empty() {
        errors.at(
            generics,
            "a remote method has no generic parameters and no explicit lifetimes: name the types, or make it \
             `#[interface(local)]` with `where Self: Sized`",
        );
    } else if let Some(clause) = &generics.where_clause {
        errors.at(clause, "a remote method has no where clause");
    }
}

fn check_receiver(method: &TraitItemFn, errors: &mut Errors) {
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => check_receiver_kind(receiver, errors),
        _ => errors.at(
            &method.sig,
            "a remote method takes `&self`: write it as the first parameter, or make the method `#[interface(local)]`",
        ),
    }
}

fn check_receiver_kind(receiver: &Receiver, errors: &mut Errors) {
    match &receiver.kind {
        ReceiverKind::Reference(_, None, None) => {}
        ReceiverKind::Reference(_, _, Some(_)) => errors.at(
            receiver,
            "a remote method takes `&self`: many workers share one object, which guards its state itself (`Mutex`, `Cell`)",
        ),
        ReceiverKind::Reference(_, Some(lifetime), None) => {
            errors.at(lifetime, "a remote method has no explicit lifetimes: write `&self`");
        }
        _ => errors.at(receiver, "a remote method takes `&self`: the shared object stays where it is"),
    }
}

fn check_output(method: &TraitItemFn, errors: &mut Errors) -> Option<Type> {
    let ReturnType::Type(_, output) = &method.sig.output else {
        errors.at(
            &method.sig,
            "a remote method returns a `Result`, since a call can fail on its way: write `-> mikobase::Result<()>`",
        );
        return None;
    };
    let is_result = match &**output {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result"))
        }
        _ => false,
    };
    if !is_result {
        errors.at(
            output,
            "a remote method returns a `Result`, since a call can fail on its way: write `mikobase::Result<…>`",
        );
    }
    arguments::check_owned(output, "a result travels by value: return an owned type", errors);
    Some((**output).clone())
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

//! The rule of the receiver: it must be `&self`.

use syn::{FnArg, Receiver, ReceiverKind, Signature};

use crate::errors::Errors;

pub(super) fn check(sig: &Signature, errors: &mut Errors) {
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => check_kind(receiver, errors),
        _ => errors.at(
            sig,
            "a remote method takes `&self`: write it as the first parameter, or make the method \
             `#[interface(local)]`",
        ),
    }
}

fn check_kind(receiver: &Receiver, errors: &mut Errors) {
    match &receiver.kind {
        ReceiverKind::Reference(_, None, None) => {}
        ReceiverKind::Reference(_, _, Some(_)) => errors.at(
            receiver,
            "a remote method takes `&self`: many workers share one object, so its state needs interior mutability \
             (`Mutex`, `Cell`)",
        ),
        ReceiverKind::Reference(_, Some(lifetime), None) => {
            errors.at(lifetime, "a remote method has no explicit lifetimes: write `&self`");
        }
        _ => errors.at(receiver, "a remote method takes `&self`: a call cannot consume the shared object"),
    }
}

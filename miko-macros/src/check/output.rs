//! The rules of return types.

use syn::{ReturnType, Signature, Type};

use super::sent_types;
use crate::errors::Errors;

/// The return type as written.
pub(super) fn check(sig: &Signature, errors: &mut Errors) -> Option<Type> {
    let ReturnType::Type(_, output) = &sig.output else {
        errors.at(
            sig,
            "a remote method returns a `Result`, since a call can fail in transport: \
             write `-> mikobase::Result<()>`",
        );
        return None;
    };
    if !is_result(output) {
        errors.at(
            output,
            "a remote method returns a `Result`, since a call can fail in transport: \
             write `mikobase::Result<…>`",
        );
    }
    sent_types::check(output, "a result travels by value: return an owned type", errors);
    Some((**output).clone())
}

/// Whether the type is called `Result`, or an alias such as `io::Result` or `MyResult`. The type checker
/// finds out whether it is one.
fn is_result(output: &Type) -> bool {
    match output {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result"))
        }
        _ => false,
    }
}

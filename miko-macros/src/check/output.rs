//! The rules of return types.

use syn::{ReturnType, Signature, Type};

use super::sent_types;
use crate::errors::Errors;
use crate::types;

/// Common return types that are not a `Result`. Others are left to the type checker: an alias of `Result` may
/// have any name.
const NOT_RESULTS: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
    "u128", "usize", "Arc", "BTreeMap", "Box", "Cow", "HashMap", "HashSet", "Option", "Rc", "String",
    "Value", "Vec",
];

/// The return type, without the groups that `macro_rules!` puts around types.
pub(super) fn check(sig: &Signature, errors: &mut Errors) -> Option<Type> {
    let ReturnType::Type(_, output) = &sig.output else {
        errors.at(
            sig,
            "a remote method returns a `Result`, since a call can fail in transport: \
             write `-> mikobase::Result<()>`",
        );
        return None;
    };
    let output = types::without_groups(output);
    if !may_be_result(&output) {
        errors.at(
            &output,
            "a remote method returns a `Result`, since a call can fail in transport: \
             write `mikobase::Result<…>`",
        );
    }
    sent_types::check_result(&output, "a result travels by value: return an owned type", errors);
    Some(output)
}

fn may_be_result(output: &Type) -> bool {
    match output {
        Type::Path(path) => {
            let last = path.path.segments.last();
            !last.is_some_and(|last| NOT_RESULTS.iter().any(|name| last.ident == name))
        }
        _ => false,
    }
}

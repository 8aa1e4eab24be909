//! The rules of names: wire names and the variants of the generated enums are unique.

use crate::errors::Errors;
use crate::model::MethodModel;

pub(super) fn check(methods: &[MethodModel], errors: &mut Errors) {
    for (i, method) in methods.iter().enumerate() {
        let earlier = &methods[..i];
        if earlier.iter().any(|other| other.wire_name == method.wire_name) {
            errors.at(
                &method.ident,
                format!(
                    "two methods have the wire name `{}`: \
                     give one of them another with `#[interface(name = \"…\")]`",
                    method.wire_name
                ),
            );
        } else if let Some(other) = earlier.iter().find(|other| other.variant() == method.variant()) {
            errors.at(
                &method.ident,
                format!(
                    "`{}` and `{}` differ only in underscores: rename one of them",
                    other.ident, method.ident
                ),
            );
        }
    }
}

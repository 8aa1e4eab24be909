//! The rules of names: wire names are unique, and no type has the name of the async trait.

use syn::visit::{Visit, visit_path};
use syn::{ItemTrait, Path};

use crate::errors::Errors;
use crate::model::{MethodModel, unraw};

pub(super) fn check(item: &ItemTrait, methods: &[MethodModel], errors: &mut Errors) {
    check_wire_names(methods, errors);
    let mut capture = CaptureCheck { async_trait: format!("{}Async", unraw(&item.ident)), errors };
    for method in methods {
        method.params.iter().for_each(|param| capture.visit_type(&param.ty));
        capture.visit_type(&method.output);
    }
}

fn check_wire_names(methods: &[MethodModel], errors: &mut Errors) {
    for (i, method) in methods.iter().enumerate() {
        if !method.wire_name.is_ascii() {
            errors.at(
                &method.ident,
                "a wire name consists of ASCII letters, digits, `_`, `-` and `.`: give the method one with \
                 `#[interface(name = \"…\")]`",
            );
        }
        if methods[..i].iter().any(|other| other.wire_name == method.wire_name) {
            errors.at(
                &method.ident,
                format!(
                    "two methods have the wire name `{}`: \
                     give one of them another with `#[interface(name = \"…\")]`",
                    method.wire_name
                ),
            );
        }
    }
}

/// Finds types that would mean the generated async trait in its module.
struct CaptureCheck<'e> {
    async_trait: String,
    errors: &'e mut Errors,
}

impl<'ast> Visit<'ast> for CaptureCheck<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none()
            && path.segments.first().is_some_and(|first| first.ident == self.async_trait)
        {
            let message = format!(
                "`{0}` is the name of the generated trait with the async methods: write `self::{0}`",
                self.async_trait
            );
            self.errors.at(path, message);
        }
        visit_path(self, path);
    }
}

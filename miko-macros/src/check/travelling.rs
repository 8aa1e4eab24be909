//! The rules of types that are sent, as far as syntax shows a violation.

use syn::visit::{Visit, visit_path};
use syn::{Lifetime, Path, Type, TypeImplTrait, TypeReference, TypeTraitObject};

use crate::errors::Errors;

/// Reports every reference, lifetime, `impl Trait`, `dyn Trait` and `Self` inside `ty`.
pub(super) fn check(ty: &Type, on_reference: &'static str, errors: &mut Errors) {
    Travelling { on_reference, errors }.visit_type(ty);
}

struct Travelling<'e> {
    on_reference: &'static str,
    errors: &'e mut Errors,
}

impl<'ast> Visit<'ast> for Travelling<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.errors.at(reference, self.on_reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        // `Cow<'static, str>` can be deserialized, as an owned value.
        if lifetime.ident != "static" {
            self.errors.at(lifetime, "a value that travels borrows nothing: use an owned type");
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.errors.at(ty, "`impl Trait` cannot travel: name the type");
    }

    fn visit_type_trait_object(&mut self, ty: &'ast TypeTraitObject) {
        self.errors.at(ty, "`dyn Trait` cannot travel: name the type");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            self.errors.at(path, "`Self` is another type on each side: name the type that travels");
        } else {
            visit_path(self, path);
        }
    }
}

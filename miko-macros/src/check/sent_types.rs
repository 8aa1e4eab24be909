//! The rules of types that are sent, as far as syntax shows a violation.

use syn::visit::{Visit, visit_path};
use syn::{Lifetime, Path, Type, TypeImplTrait, TypeReference, TypeTraitObject};

use crate::errors::Errors;

/// Reports every reference, lifetime, `impl Trait`, `dyn Trait` and `Self` inside `ty`.
pub(super) fn check(ty: &Type, on_reference: &'static str, errors: &mut Errors) {
    SentTypeCheck { on_reference, errors }.visit_type(ty);
}

struct SentTypeCheck<'e> {
    on_reference: &'static str,
    errors: &'e mut Errors,
}

impl<'ast> Visit<'ast> for SentTypeCheck<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.errors.at(reference, self.on_reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        // `Cow<'static, str>` can be deserialized, as an owned value.
        if lifetime.ident != "static" {
            self.errors.at(lifetime, "a value that is sent cannot borrow: use an owned type");
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.errors.at(ty, "`impl Trait` cannot be sent: name a concrete type");
    }

    fn visit_type_trait_object(&mut self, ty: &'ast TypeTraitObject) {
        self.errors.at(ty, "`dyn Trait` cannot be sent: name a concrete type");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            self.errors.at(path, "`Self` differs between client and server: name the type");
        } else {
            visit_path(self, path);
        }
    }
}

//! The rules of types that are sent, as far as syntax shows a violation.

use syn::visit::{Visit, visit_path, visit_path_segment};
use syn::{
    GenericArgument, Lifetime, Path, PathArguments, PathSegment, Type, TypeImplTrait, TypeReference,
    TypeTraitObject,
};

use crate::errors::Errors;

/// The types of the standard library that hold a trait object. None can be sent with one.
const OWNERS: &[&str] = &["Arc", "Box", "Cell", "Cow", "Mutex", "Option", "Rc", "RefCell", "RwLock", "Vec"];

/// Reports every reference, lifetime, `impl Trait`, `dyn Trait` and `Self` inside the argument type `ty`.
pub(super) fn check_argument(ty: &Type, on_reference: &'static str, errors: &mut Errors) {
    SentTypeCheck { on_reference, allows_objects: false, errors }.visit_type(ty);
}

/// As [`check_argument`], for a return type: `dyn Trait` may be what another type is generic over, as in
/// `Remote<dyn Trait>`.
pub(super) fn check_result(ty: &Type, on_reference: &'static str, errors: &mut Errors) {
    SentTypeCheck { on_reference, allows_objects: true, errors }.visit_type(ty);
}

struct SentTypeCheck<'e> {
    on_reference: &'static str,
    allows_objects: bool,
    errors: &'e mut Errors,
}

impl SentTypeCheck<'_> {
    /// Whether a trait object may be an argument of this generic type.
    fn may_hold_object(&self, segment: &PathSegment) -> bool {
        self.allows_objects && !OWNERS.iter().any(|name| segment.ident == name)
    }
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
        self.errors.at(
            ty,
            "`dyn Trait` cannot be sent: name a concrete type, or return an object that stays on the server as \
             `Remote<dyn Trait>`",
        );
    }

    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        match &segment.arguments {
            PathArguments::AngleBracketed(arguments) if self.may_hold_object(segment) => {
                let is_object = |argument: &&GenericArgument| {
                    matches!(argument, GenericArgument::Type(Type::TraitObject(_)))
                };
                arguments.args.iter().filter(|argument| !is_object(argument)).for_each(|argument| {
                    self.visit_generic_argument(argument);
                });
            }
            _ => visit_path_segment(self, segment),
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            self.errors.at(path, "`Self` differs between client and server: name the type");
        } else {
            visit_path(self, path);
        }
    }
}

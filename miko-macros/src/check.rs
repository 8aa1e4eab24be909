//! The rules of an interface, a file per subject. Each violation is reported at its tokens, with a
//! correction; `docs/interface-mistakes.md` lists all of them with their messages.

mod arguments;
mod item;
mod local;
mod method;
mod names;
mod output;
mod qualifiers;
mod receiver;
mod sent_types;
mod supertraits;

use syn::{ItemTrait, TraitItem};

use crate::args::Args;
use crate::errors::Errors;
use crate::model::InterfaceModel;
use crate::options::Options;

pub(crate) use item::is_trait;

/// The model of the trait; `None` if it has mistakes, all of which go to `errors`.
pub(crate) fn interface<'a>(
    args: Args,
    item: &'a ItemTrait,
    errors: &mut Errors,
) -> Option<InterfaceModel<'a>> {
    let supertraits = item::check(item, errors);
    let mut methods = Vec::new();
    for member in &item.items {
        match member {
            TraitItem::Fn(member) => {
                let options = Options::parse(&member.attrs, errors);
                if options.local {
                    local::check(member, errors);
                } else {
                    methods.extend(method::check(member, &options, errors));
                }
            }
            other => item::check_member(other, errors),
        }
    }
    names::check(item, &methods, errors);
    if methods.is_empty() && supertraits.is_empty() && errors.is_empty() {
        errors.at(&item.ident, "an interface needs a method that is not `local`: it has no remote method");
    }
    errors.is_empty().then_some(InterfaceModel { args, item, supertraits, methods })
}

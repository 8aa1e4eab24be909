//! The model of an interface, from which all generated items are rendered.

use std::borrow::Cow;

use miko_surface::Surface;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Ident, ItemTrait, Meta, Path, TraitItem, Type, Visibility, parse_quote};

use crate::args::Args;
use crate::types;

/// A trait that passed all checks.
pub(crate) struct InterfaceModel<'a> {
    pub(crate) args: Args,
    pub(crate) item: &'a ItemTrait,
    /// The supertraits that are interfaces.
    pub(crate) supertraits: Vec<Path>,
    /// Its remote methods, in order.
    pub(crate) methods: Vec<MethodModel>,
}

/// A remote method.
pub(crate) struct MethodModel {
    pub(crate) ident: Ident,
    /// Its name on the wire.
    pub(crate) wire_name: String,
    pub(crate) params: Vec<ParamModel>,
    /// The return type as written.
    pub(crate) output: Type,
    /// The text of its doc comment.
    pub(crate) doc: String,
    /// Whether the method only reads: `Some(true)` for `read`, `Some(false)` for `write`, `None` if the trait
    /// specifies neither.
    pub(crate) read: Option<bool>,
    /// Whether a call may be repeated, as `idempotent` declares.
    pub(crate) idempotent: bool,
    /// The deadline of a call, if the trait specifies one.
    pub(crate) deadline_ms: Option<u64>,
    /// How its blocking proxy sends a call.
    pub(crate) sending: Sending,
}

/// How a blocking proxy sends a call.
pub(crate) enum Sending {
    /// At once.
    Plain,
    /// With the first call on the object that it returns.
    Lazy,
    /// At once; then the object that was called holds nothing, until its next call.
    Settling,
}

/// A parameter of a remote method.
pub(crate) struct ParamModel {
    pub(crate) ident: Ident,
    /// The type as written.
    pub(crate) ty: Type,
}

impl InterfaceModel<'_> {
    pub(crate) fn ident(&self) -> &Ident {
        &self.item.ident
    }

    /// The path of the run-time support: `::mikobase::rpc`.
    pub(crate) fn rpc(&self) -> TokenStream {
        let krate = &self.args.krate;
        quote!(#krate::rpc)
    }

    /// The module of the generated items: `counter_rpc`.
    pub(crate) fn module(&self) -> Ident {
        generated(format!("{}_rpc", snake_case(&unraw(self.ident()))))
    }

    /// The visibility of the generated items: that of the trait, as written in the generated module.
    pub(crate) fn visibility(&self) -> Visibility {
        let Visibility::Restricted(restricted) = &self.item.vis else {
            return match &self.item.vis {
                Visibility::Inherited => parse_quote!(pub(super)),
                public => public.clone(),
            };
        };
        let path = &restricted.path;
        match path.segments.first() {
            Some(first) if first.ident == "crate" => self.item.vis.clone(),
            Some(first) if first.ident == "self" => {
                let rest = path.segments.iter().skip(1);
                parse_quote!(pub(in super #(::#rest)*))
            }
            _ => parse_quote!(pub(in super::#path)),
        }
    }

    /// The name of a generated type: `CounterClient`.
    pub(crate) fn named(&self, role: &str) -> Ident {
        generated(format!("{}{role}", unraw(self.ident())))
    }

    /// The name of the trait with the async methods: `CounterAsync`.
    pub(crate) fn async_trait(&self) -> Ident {
        self.named("Async")
    }

    /// The name of the constant with the surface: `COUNTER_SURFACE`.
    pub(crate) fn surface_name(&self) -> Ident {
        generated(format!("{}_SURFACE", snake_case(&unraw(self.ident())).to_uppercase()))
    }

    /// The surface, without the version, which only the generated code knows.
    pub(crate) fn surface(&self) -> Surface {
        Surface {
            interface: Cow::Owned(unraw(self.ident())),
            methods: self.methods.iter().map(MethodModel::entry).collect(),
            ..Surface::default()
        }
    }

    /// The interfaces whose objects the methods return, as far as the return types name them.
    pub(crate) fn objects(&self) -> Vec<Type> {
        let mut objects: Vec<Type> = Vec::new();
        for object in self.methods.iter().flat_map(|method| types::objects(&method.output)) {
            let text = types::as_written(&object);
            if objects.iter().all(|known| types::as_written(known) != text) {
                objects.push(object);
            }
        }
        objects
    }

    /// Whether the trait has the attribute `deprecated`.
    pub(crate) fn is_deprecated(&self) -> bool {
        self.item.attrs.iter().any(is_deprecated)
    }

    /// Whether a method has the attribute `deprecated`.
    pub(crate) fn has_deprecated_method(&self) -> bool {
        self.attrs_of_methods().any(is_deprecated)
    }

    fn attrs_of_methods(&self) -> impl Iterator<Item = &Attribute> {
        self.item.items.iter().flat_map(|member| match member {
            TraitItem::Fn(method) => &*method.attrs,
            _ => &[],
        })
    }

    /// The levels of lints that the trait and its methods have, for generated code, which repeats their
    /// tokens. There an expected lint may report nothing.
    pub(crate) fn lint_levels(&self) -> impl Iterator<Item = Attribute> {
        self.item.attrs.iter().chain(self.attrs_of_methods()).filter_map(|attr| match &attr.meta {
            Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("warn") => {
                Some(attr.clone())
            }
            Meta::List(list) if list.path.is_ident("expect") => {
                let lints = &list.tokens;
                Some(parse_quote!(#[allow(#lints)]))
            }
            _ => None,
        })
    }

    /// The `cfg` conditions of the trait, which the generated items get too.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.item.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }
}

impl MethodModel {
    /// Its entry in the surface.
    fn entry(&self) -> miko_surface::Method {
        let param = |param: &ParamModel| miko_surface::Param {
            name: Cow::Owned(unraw(&param.ident)),
            ty: Cow::Owned(types::as_written(&param.ty)),
        };
        miko_surface::Method {
            name: Cow::Owned(self.wire_name.clone()),
            params: self.params.iter().map(param).collect(),
            returns: Cow::Owned(types::as_written(&self.output)),
            doc: Cow::Owned(self.doc.clone()),
            read: self.read,
            idempotent: self.idempotent,
            deadline_ms: self.deadline_ms,
        }
    }

    /// The return type, as written in the module of the async trait.
    pub(crate) fn output_in_module(&self) -> Type {
        types::two_modules_down(&self.output)
    }
}

impl ParamModel {
    /// The type, as written in the module of the async trait.
    pub(crate) fn ty_in_module(&self) -> Type {
        types::two_modules_down(&self.ty)
    }

    /// The type that the server reads: `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`.
    pub(crate) fn owned(&self, rpc: &TokenStream) -> Type {
        types::owned(&self.ty, rpc)
    }

    /// Whether the parameter is a reference.
    pub(crate) fn is_borrowed(&self) -> bool {
        matches!(self.ty, Type::Reference(_))
    }
}

fn is_deprecated(attr: &Attribute) -> bool {
    attr.path().is_ident("deprecated")
}

/// A name in generated code. At the place of the attribute, lints of unused items find nothing.
fn generated(name: String) -> Ident {
    Ident::new(&name, Span::call_site())
}

/// A name without the `r#` of a raw identifier.
pub(crate) fn unraw(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// `MyCounter` as `my_counter`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

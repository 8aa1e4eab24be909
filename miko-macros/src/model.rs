//! The model of an interface: what every generated item is rendered from.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemTrait, Type, Visibility, parse_quote};

use crate::args::Args;

/// A trait that passed all checks.
pub(crate) struct Interface<'a> {
    pub(crate) args: Args,
    pub(crate) item: &'a ItemTrait,
    /// Its remote methods, in order.
    pub(crate) methods: Vec<Method>,
}

/// A remote method.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// Its name on the wire.
    pub(crate) wire_name: String,
    pub(crate) params: Vec<Param>,
    /// The return type as written.
    pub(crate) output: Type,
    /// The text of its doc comment.
    pub(crate) doc: String,
    pub(crate) read: Option<bool>,
    pub(crate) idempotent: bool,
    pub(crate) deadline_ms: Option<u64>,
}

/// A parameter of a remote method.
pub(crate) struct Param {
    pub(crate) ident: Ident,
    /// The type as written.
    pub(crate) ty: Type,
    /// The type it travels as: `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`.
    pub(crate) owned: Type,
    /// Is it taken by reference?
    pub(crate) borrowed: bool,
}

impl Interface<'_> {
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
        format_ident!("{}_rpc", snake_case(&self.ident().to_string()))
    }

    /// The visibility of the generated items: that of the trait, as it is said one module further down.
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

    /// A generated type, named after the trait so that it hides no type of the author's: `CounterRequest`.
    pub(crate) fn named(&self, role: &str) -> Ident {
        format_ident!("{}{}", self.ident(), role)
    }

    /// The constant of the surface: `COUNTER_SURFACE`.
    pub(crate) fn surface(&self) -> Ident {
        format_ident!("{}_SURFACE", snake_case(&self.ident().to_string()).to_uppercase())
    }
}

impl Method {
    /// The variant of the request and response types: `RecordByPk` for `record_by_pk`.
    pub(crate) fn variant(&self) -> Ident {
        let name = self.ident.to_string();
        let words = name.trim_start_matches("r#").split('_').filter(|word| !word.is_empty());
        let camel: String = words.map(capitalized).collect();
        // A name of underscores and digits only is a name all the same.
        let starts_well = camel.starts_with(|c: char| c.is_alphabetic());
        Ident::new(&if starts_well { camel } else { format!("M{camel}") }, self.ident.span())
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `MyCounter` as `my_counter`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, c) in name.trim_start_matches("r#").chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

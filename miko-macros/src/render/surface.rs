//! The surface: the manifest of the interface as a constant.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Interface, Method, Param};
use crate::types::as_written;

pub(super) fn render(interface: &Interface<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (constant, name) = (interface.surface(), interface.ident().to_string());
    let doc = format!("The surface of [`{name}`].");
    let methods = interface.methods.iter().map(|method| render_method(method, &rpc));
    quote! {
        #[doc = #doc]
        #vis static #constant: #rpc::Surface = #rpc::Surface {
            interface: ::std::borrow::Cow::Borrowed(#name),
            version: ::std::borrow::Cow::Borrowed(::core::env!("CARGO_PKG_VERSION")),
            methods: ::std::borrow::Cow::Borrowed(&[#(#methods),*]),
        };
    }
}

fn render_method(method: &Method, rpc: &TokenStream) -> TokenStream {
    let Method { wire_name, doc, idempotent, .. } = method;
    let returns = as_written(&method.output);
    let params = method.params.iter().map(|param| render_param(param, rpc));
    let read = option(method.read);
    let deadline_ms = option(method.deadline_ms);
    quote! {
        #rpc::Method {
            name: ::std::borrow::Cow::Borrowed(#wire_name),
            params: ::std::borrow::Cow::Borrowed(&[#(#params),*]),
            returns: ::std::borrow::Cow::Borrowed(#returns),
            doc: ::std::borrow::Cow::Borrowed(#doc),
            read: #read,
            idempotent: #idempotent,
            deadline_ms: #deadline_ms,
        }
    }
}

fn render_param(param: &Param, rpc: &TokenStream) -> TokenStream {
    let name = param.ident.to_string().trim_start_matches("r#").to_owned();
    let ty = as_written(&param.ty);
    quote! {
        #rpc::Param { name: ::std::borrow::Cow::Borrowed(#name), ty: ::std::borrow::Cow::Borrowed(#ty) }
    }
}

fn option(value: Option<impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

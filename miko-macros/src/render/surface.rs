//! Renders the constant with the surface, and its dependency on the recorded file.

use miko_surface::{Method, Param};
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{InterfaceModel, unraw};
use crate::recorded_surface;

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (constant, name) = (interface.surface_name(), unraw(interface.ident()));
    let doc = format!("The surface of [`{name}`](super::{name}).");
    let surface = interface.surface();
    let methods = surface.methods.iter().map(|method| render_method(method, &rpc));
    let dependencies = recorded_surface::dependencies(interface);
    let types_test = render_types_test(interface);
    quote! {
        #[doc = #doc]
        #vis const #constant: &#rpc::Surface = &#rpc::Surface {
            interface: ::std::borrow::Cow::Borrowed(#name),
            version: ::std::borrow::Cow::Borrowed(::core::env!("CARGO_PKG_VERSION")),
            methods: ::std::borrow::Cow::Borrowed(&[#(#methods),*]),
            errors: ::std::borrow::Cow::Borrowed(#rpc::ERROR_MEANINGS),
            schemas: ::core::option::Option::None,
            objects: ::std::borrow::Cow::Borrowed(&[]),
        };
        #dependencies
        #types_test
    }
}

/// The test that compares the schemas with the recorded ones. While compiling, only names of types are known.
fn render_types_test(interface: &InterfaceModel<'_>) -> Option<TokenStream> {
    let (file, schema) = (interface.args.surface.as_ref()?, interface.args.schema.as_ref()?);
    let (rpc, name) = (interface.rpc(), interface.ident());
    let condition = schema.condition.as_ref().map(|condition| quote!(, #condition));
    Some(quote! {
        #[cfg(all(test #condition))]
        #[::core::prelude::v1::test]
        fn types_are_as_recorded() {
            #rpc::assert_types_as_recorded(
                <dyn super::#name as #rpc::Interface>::surface(),
                ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #file),
            );
        }
    })
}

fn render_method(method: &Method, rpc: &TokenStream) -> TokenStream {
    let Method { name, params, returns, doc, idempotent, .. } = method;
    let params = params.iter().map(|param| render_param(param, rpc));
    let read = option(method.read);
    let deadline_ms = option(method.deadline_ms);
    quote! {
        #rpc::Method {
            name: ::std::borrow::Cow::Borrowed(#name),
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
    let Param { name, ty } = param;
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

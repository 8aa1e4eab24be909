//! Renders `Interface` for the trait: serving a request, and calling a method by its name.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{InterfaceModel, MethodModel};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (name, surface) = (interface.ident(), interface.surface_name());
    let [request, response, client, async_client, server] =
        ["Request", "Response", "Client", "AsyncClient", "Server"].map(|role| interface.named(role));
    let served = interface.methods.iter().map(|method| render_served(interface, method));
    let dispatched = interface
        .methods
        .iter()
        .enumerate()
        .map(|(index, method)| render_dispatched(interface, index, method));
    let (method, params) = (local("method"), local("params"));
    let server_doc = format!("Serves any [`{name}`] on a tarpc channel, one call at a time.");
    quote! {
        impl #rpc::Interface for dyn #name {
            type Request = #request;
            type Response = #response;
            type Client = #client;
            type AsyncClient = #async_client;

            fn surface() -> &'static #rpc::Surface {
                #surface
            }

            fn serve(&self, request: #request) -> #response {
                match request {
                    #(#served)*
                }
            }

            fn dispatch(
                &self,
                #method: &str,
                #params: #rpc::serde_json::Value,
            ) -> ::core::result::Result<
                ::std::boxed::Box<#rpc::serde_json::value::RawValue>,
                #rpc::DispatchError
            > {
                match #method {
                    #(#dispatched)*
                    unknown => ::core::result::Result::Err(#rpc::unknown_method(#surface, unknown)),
                }
            }
        }

        #[doc = #server_doc]
        #vis type #server = #rpc::TarpcServer<dyn #name>;
    }
}

/// An arm of `serve`.
fn render_served(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let (request, response, variant) =
        (interface.named("Request"), interface.named("Response"), method.variant());
    let idents = method.params.iter().map(|param| &param.ident);
    let call = render_call(interface, method);
    quote! {
        #request::#variant { #(#idents),* } => #response::#variant(#call),
    }
}

/// An arm of `dispatch`: takes all params before it reports any fault.
fn render_dispatched(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let rpc = interface.rpc();
    let (surface, wire_name) = (interface.surface_name(), &method.wire_name);
    let (name, params) = (local("method"), local("params"));
    let idents: Vec<_> = method.params.iter().map(|param| &param.ident).collect();
    let taken = method.params.iter().enumerate().map(|(position, param)| {
        let (ident, ty) = (&param.ident, param.owned());
        quote_spanned!(param.ty.span()=> let #ident = #params.take::<#ty>(#position);)
    });
    let call = render_call(interface, method);
    let span = method.output.span();
    let rpc_there = interface.rpc_at(span);
    let render = quote_spanned!(span=> #rpc_there::render(#call));
    // `finish` has failed if a param is missing.
    let all_there = (!idents.is_empty()).then(|| {
        quote! {
            let (#(::core::option::Option::Some(#idents),)*) = (#(#idents,)*) else {
                return ::core::result::Result::Err(#rpc::unknown_method(#surface, #name));
            };
        }
    });
    quote! {
        #wire_name => {
            let mut #params = #rpc::Params::new(&#surface.methods[#index], #params);
            #(#taken)*
            #params.finish()?;
            #all_there
            #render
        }
    }
}

/// A generated variable that cannot collide with an argument of the same name.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The guarded call. It uses the path of the trait, since an inherent method may have the same name.
fn render_call(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let span = method.output.span();
    let (rpc, name) = (interface.rpc_at(span), interface.ident());
    let (ident, wire_name) = (&method.ident, &method.wire_name);
    let arguments = method.params.iter().map(|param| {
        let ident = &param.ident;
        if param.is_borrowed() { quote!(&#ident) } else { quote!(#ident) }
    });
    quote_spanned!(span=> #rpc::guard(#wire_name, || #name::#ident(self, #(#arguments),*)))
}

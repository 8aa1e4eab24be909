//! Renders the client: a blocking proxy that implements the trait.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{InterfaceModel, MethodModel};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (name, client) = (interface.ident(), interface.named("Client"));
    let doc = format!("A proxy that implements [`{name}`] by sending each call to a server.");
    let methods =
        interface.methods.iter().enumerate().map(|(index, method)| render_method(interface, index, method));
    quote! {
        #[doc = #doc]
        #vis struct #client {
            transport: ::std::boxed::Box<dyn #rpc::Transport<dyn #name>>,
        }

        impl #rpc::Proxy for #client {
            type Interface = dyn #name;

            fn new(transport: ::std::boxed::Box<dyn #rpc::Transport<dyn #name>>) -> Self {
                Self { transport }
            }

            fn as_interface(&self) -> &(dyn #name + 'static) {
                self
            }
        }

        impl ::core::fmt::Debug for #client {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#client)).finish_non_exhaustive()
            }
        }

        impl #name for #client {
            #(#methods)*
        }
    }
}

fn render_method(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let rpc = interface.rpc();
    let (request, surface) = (interface.named("Request"), interface.surface_name());
    let (ident, output) = (&method.ident, method.output_in_module());
    let variant = method.variant();
    let arguments = arguments(method);
    let fields = fields(interface, method);
    let response = response(interface, method);
    quote! {
        fn #ident(&self, #(#arguments),*) -> #output {
            let request = #request::#variant { #(#fields),* };
            let result = #rpc::Transport::call(&*self.transport, &#surface.methods[#index], request);
            #response
        }
    }
}

/// The parameters as the trait declares them.
pub(super) fn arguments(method: &MethodModel) -> impl Iterator<Item = TokenStream> {
    method.params.iter().map(|param| {
        let (ident, ty) = (&param.ident, param.ty_in_module());
        quote!(#ident: #ty)
    })
}

/// The fields of a request, with the arguments converted to owned values.
pub(super) fn fields(
    interface: &InterfaceModel<'_>,
    method: &MethodModel,
) -> impl Iterator<Item = TokenStream> {
    let rpc = interface.rpc();
    method.params.iter().map(move |param| {
        let ident = &param.ident;
        if param.is_borrowed() {
            quote!(#ident: ::std::borrow::ToOwned::to_owned(#ident))
        } else {
            quote!(#ident: #rpc::travel::argument::bounded(#ident))
        }
    })
}

/// Converts the `result` of a call to the return value of the method.
pub(super) fn response(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let (rpc, response) = (interface.rpc(), interface.named("Response"));
    let (variant, wire_name) = (method.variant(), &method.wire_name);
    let span = method.output.span();
    let rpc_there = interface.rpc_at(span);
    let failed = quote_spanned!(span=> #rpc_there::Fallible::failed);
    quote! {
        match result {
            ::core::result::Result::Ok(#response::#variant(returned)) => returned,
            ::core::result::Result::Ok(_) => #failed(#rpc::wrong_response(#wire_name)),
            ::core::result::Result::Err(error) => #failed(error),
        }
    }
}

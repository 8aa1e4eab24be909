//! The client: a blocking proxy that implements the trait.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Interface, Method};

pub(super) fn render(interface: &Interface<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (name, client) = (interface.ident(), interface.named("Client"));
    let doc = format!("A proxy that implements [`{name}`] by sending each call to whoever serves it.");
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

        impl #name for #client {
            #(#methods)*
        }
    }
}

fn render_method(interface: &Interface<'_>, index: usize, method: &Method) -> TokenStream {
    let rpc = interface.rpc();
    let (request, response, surface) =
        (interface.named("Request"), interface.named("Response"), interface.surface());
    let Method { ident, output, wire_name, .. } = method;
    let variant = method.variant();
    let arguments = method.params.iter().map(|param| {
        let (ident, ty) = (&param.ident, &param.ty);
        quote!(#ident: #ty)
    });
    let fields = method.params.iter().map(|param| {
        let ident = &param.ident;
        if param.borrowed { quote!(#ident: ::std::borrow::ToOwned::to_owned(#ident)) } else { quote!(#ident) }
    });
    quote! {
        fn #ident(&self, #(#arguments),*) -> #output {
            let request = #request::#variant { #(#fields),* };
            match self.transport.call(&#surface.methods[#index], request) {
                ::core::result::Result::Ok(#response::#variant(result)) => result,
                ::core::result::Result::Ok(_) => #rpc::Fallible::failed(#rpc::wrong_response(#wire_name)),
                ::core::result::Result::Err(error) => #rpc::Fallible::failed(error),
            }
        }
    }
}

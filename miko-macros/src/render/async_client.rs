//! Renders the async client: the same methods for callers in a runtime.

use proc_macro2::TokenStream;
use quote::quote;

use super::client;
use crate::model::{InterfaceModel, MethodModel};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (name, client) = (interface.ident(), interface.named("AsyncClient"));
    let doc = format!(
        "A proxy for callers with a runtime: the methods of [`{name}`], async. Its clones share one \
         connection, and what its methods return borrows nothing."
    );
    let methods =
        interface.methods.iter().enumerate().map(|(index, method)| render_method(interface, index, method));
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone)]
        #vis struct #client {
            transport: ::std::sync::Arc<dyn #rpc::AsyncTransport<dyn #name>>,
        }

        impl #rpc::AsyncProxy for #client {
            type Interface = dyn #name;

            fn new(transport: ::std::sync::Arc<dyn #rpc::AsyncTransport<dyn #name>>) -> Self {
                Self { transport }
            }
        }

        impl ::core::fmt::Debug for #client {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#client)).finish_non_exhaustive()
            }
        }

        impl #client {
            #(#methods)*
        }
    }
}

fn render_method(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (request, surface) = (interface.named("Request"), interface.surface_name());
    let (ident, output, doc) = (&method.ident, method.output_in_module(), &method.doc);
    let variant = method.variant();
    let arguments = client::arguments(method);
    let fields = client::fields(interface, method);
    let response = client::response(interface, method);
    quote! {
        #[doc = #doc]
        #vis fn #ident(
            &self,
            #(#arguments),*
        ) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send + use<> {
            let request = #request::#variant { #(#fields),* };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result =
                    #rpc::AsyncTransport::call(&*transport, &#surface.methods[#index], request).await;
                #response
            }
        }
    }
}

//! Renders the async methods: a trait with the methods of the interface, which return futures, implemented
//! for every async proxy whose interface is the trait or has it as a supertrait.

use proc_macro2::TokenStream;
use quote::quote;

use super::client;
use crate::model::{InterfaceModel, MethodModel};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let (name, methods_name) = (interface.ident(), interface.async_trait());
    let client_name = interface.named("AsyncClient");
    let doc = format!(
        "The async methods of [`{name}`](super::super::{name}). The futures that they return borrow nothing."
    );
    let client_doc = format!(
        "A proxy for callers with a runtime. [`{methods_name}`] has its methods. Its clones share one \
         connection."
    );
    let signatures = interface.methods.iter().map(|method| {
        let (doc, signature) = (&method.doc, render_signature(&rpc, method));
        quote!(#[doc = #doc] #signature;)
    });
    let methods = interface.methods.iter().enumerate().map(|(index, method)| {
        let (signature, surface) = (render_signature(&rpc, method), interface.surface_name());
        let sent = client::sent(interface, method);
        quote!(#signature { #rpc::call_async(self, &super::#surface.methods[#index], #sent) })
    });
    quote! {
        #[doc = #client_doc]
        #vis type #client_name = #rpc::AsyncClient<dyn super::#name>;

        #vis use self::asynchronous::#methods_name;

        mod asynchronous {
            use super::super::*;

            #[doc = #doc]
            pub trait #methods_name {
                #(#signatures)*
            }

            #[automatically_derived]
            impl<__I: #rpc::Interface + super::super::#name + ?::core::marker::Sized> #methods_name
                for #rpc::AsyncClient<__I>
            {
                #(#methods)*
            }
        }
    }
}

fn render_signature(rpc: &TokenStream, method: &MethodModel) -> TokenStream {
    let (ident, output) = (&method.ident, method.output_in_module());
    let arguments = method.params.iter().map(|param| {
        let (ident, ty) = (&param.ident, param.ty_in_module());
        quote!(#ident: #ty)
    });
    quote!(fn #ident(&self, #(#arguments),*) -> #rpc::PendingCall<#output>)
}

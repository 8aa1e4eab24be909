//! Renders the request and the response type, with a variant per method.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::LitStr;
use syn::spanned::Spanned;

use crate::model::InterfaceModel;

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, vis) = (interface.rpc(), interface.visibility());
    let path = |tokens: TokenStream| tokens.to_string().replace(' ', "");
    let (serde_path, argument_path, result_path) =
        (path(quote!(#rpc::serde)), path(quote!(#rpc::travel::argument)), path(quote!(#rpc::travel::result)));
    let (request, response) = (interface.named("Request"), interface.named("Response"));
    let request_doc = format!("One call of [`{}`].", interface.ident());
    let response_doc = format!("The result of one call of [`{}`].", interface.ident());
    let request_variants = interface.methods.iter().map(|method| {
        let (wire_name, variant) = (&method.wire_name, method.variant());
        let doc = format!("A call of `{}`.", method.ident);
        let fields = method.params.iter().map(|param| {
            let (ident, ty) = (&param.ident, param.owned());
            let doc = format!("The argument `{ident}`.");
            let argument_path = LitStr::new(&argument_path, param.ty.span());
            quote_spanned!(param.ty.span()=> #[doc = #doc] #[serde(with = #argument_path)] #ident: #ty)
        });
        quote!(#[doc = #doc] #[serde(rename = #wire_name)] #variant { #(#fields),* })
    });
    let response_variants = interface.methods.iter().map(|method| {
        let (wire_name, variant, output) = (&method.wire_name, method.variant(), method.output_in_module());
        let doc = format!("The result of `{}`.", method.ident);
        let result_path = LitStr::new(&result_path, output.span());
        quote_spanned!(output.span()=>
            #[doc = #doc] #[serde(rename = #wire_name)] #variant(#[serde(with = #result_path)] #output)
        )
    });
    let names = interface.methods.iter().map(|method| {
        let (wire_name, variant) = (&method.wire_name, method.variant());
        quote!(#request::#variant { .. } => #wire_name)
    });
    quote! {
        #[doc = #request_doc]
        #[derive(#rpc::serde::Serialize, #rpc::serde::Deserialize)]
        #[serde(crate = #serde_path)]
        #vis enum #request {
            #(#request_variants,)*
        }

        impl #rpc::tarpc::RequestName for #request {
            fn name(&self) -> &str {
                match self {
                    #(#names,)*
                }
            }
        }

        #[doc = #response_doc]
        #[derive(#rpc::serde::Serialize, #rpc::serde::Deserialize)]
        #[serde(crate = #serde_path)]
        #vis enum #response {
            #(#response_variants,)*
        }
    }
}

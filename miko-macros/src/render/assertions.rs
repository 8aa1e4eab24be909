//! What only the type checker can check, asserted where its message names the method and the argument.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{Interface, Method};

pub(super) fn render(interface: &Interface<'_>) -> TokenStream {
    let assertions = interface.methods.iter().map(|method| render_method(interface, method));
    quote! {
        const _: () = {
            #(#assertions)*
        };
    }
}

fn render_method(interface: &Interface<'_>, method: &Method) -> TokenStream {
    let rpc = interface.rpc();
    let plain = method.ident.to_string().trim_start_matches("r#").to_owned();
    let (output, result) = (&method.output, format_ident!("result_of_{plain}"));
    let arguments = method.params.iter().map(|param| {
        let argument = param.ident.to_string().trim_start_matches("r#").to_owned();
        let (ty, check) = (&param.owned, format_ident!("argument_{argument}_of_{plain}"));
        let assertion = quote_spanned!(param.ty.span()=> let _ = #check::<#ty>;);
        quote! {
            fn #check<T: #rpc::Wire>() {}
            #assertion
        }
    });
    let assertion = quote_spanned!(output.span()=> let _ = #result::<#output>;);
    quote! {
        {
            fn #result<T: #rpc::Wire + #rpc::Fallible>() {}
            #assertion
            #(#arguments)*
        }
    }
}

//! Assertions for the type checker, placed so that its message names the method and the argument.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{InterfaceModel, MethodModel, unraw};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let assertions = interface.methods.iter().map(|method| render_method(interface, method));
    quote! {
        const _: () = {
            #(#assertions)*
        };
    }
}

fn render_method(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let rpc = interface.rpc();
    let name = unraw(&method.ident);
    let output = method.output_in_module();
    let result = format_ident!("result_of_{name}", span = method.output.span());
    let arguments = method.params.iter().map(|param| {
        let ty = param.owned();
        let check = format_ident!("argument_{}_of_{name}", unraw(&param.ident), span = param.ty.span());
        let assertion = quote_spanned!(param.ty.span()=> let _ = #check::<#ty>;);
        quote! {
            fn #check<T: #rpc::Wire>() {}
            #assertion
        }
    });
    let assertion = quote_spanned!(output.span()=> let _ = #result::<#output>;);
    quote! {
        {
            fn #result<R: #rpc::Fallible>()
            where
                R::Value: #rpc::Wire,
                R::Error: #rpc::Wire,
            {}
            #assertion
            #(#arguments)*
        }
    }
}

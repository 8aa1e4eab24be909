//! Assertions for the type checker, placed so that its message names the method and the argument.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{InterfaceModel, MethodModel, unraw};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let supertraits = render_supertraits(interface);
    let assertions = interface.methods.iter().map(|method| render_method(interface, method));
    quote!(#supertraits #(#assertions)*)
}

/// Asserts that supertraits are interfaces, and that no wire name occurs twice.
fn render_supertraits(interface: &InterfaceModel<'_>) -> TokenStream {
    if interface.supertraits.is_empty() {
        return TokenStream::new();
    }
    let (rpc, name) = (interface.rpc(), interface.ident());
    let are_interfaces = interface.supertraits.iter().map(|supertrait| {
        let assertion = quote_spanned!(supertrait.span()=> let _ = is_interface::<dyn #supertrait>;);
        quote! {
            {
                fn is_interface<I: #rpc::IsInterface + ?::core::marker::Sized>() {}
                #assertion
            }
        }
    });
    let not_inherited = interface.methods.iter().map(|method| {
        let wire_name = &method.wire_name;
        let message = format!(
            "a supertrait has a method of the wire name `{wire_name}`: give this one another with \
             `#[interface(name = \"…\")]`"
        );
        quote_spanned!(method.ident.span()=>
            const _: () = ::core::assert!(!__NAMES.is_inherited(#wire_name), #message);
        )
    });
    let distinct = quote_spanned!(name.span()=>
        const _: () = ::core::assert!(
            __NAMES.supertraits_are_distinct(),
            "two supertraits have methods of the same wire name: give one of them another with \
             `#[interface(name = \"…\")]`"
        );
    );
    quote! {
        const __NAMES: &#rpc::MethodNames = <dyn #name as #rpc::Interface>::NAMES;
        #(#are_interfaces)*
        #(#not_inherited)*
        #distinct
    }
}

fn render_method(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let rpc = interface.rpc();
    let name = unraw(&method.ident);
    let output = &method.output;
    let (result, result_there) = check_names(format!("result_of_{name}"), output.span());
    let arguments = method.params.iter().map(|param| {
        let (ty, span) = (param.owned(&rpc), param.ty.span());
        let (check, check_there) = check_names(format!("argument_{}_of_{name}", unraw(&param.ident)), span);
        let assertion = quote_spanned!(span=> let _ = #check_there::<#ty>;);
        quote! {
            fn #check<T: #rpc::Wire>() {}
            #assertion
        }
    });
    let assertion = quote_spanned!(output.span()=> let _ = #result_there::<#output>;);
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

/// The name of a function that asserts something: where it is defined, as generated code, in which lints for
/// names find nothing; and where it is used, at the tokens at which the type checker is to report.
fn check_names(name: String, span: Span) -> (Ident, Ident) {
    (Ident::new(&name, Span::call_site()), Ident::new(&name, span))
}

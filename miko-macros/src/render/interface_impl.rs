//! Renders `Interface` for the trait: its surface, and serving a call.

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::model::{InterfaceModel, MethodModel, unraw};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, name) = (interface.rpc(), interface.ident());
    let surface = render_surface(interface);
    let (name_text, supertraits) = (unraw(name), &interface.supertraits);
    let own = interface.methods.iter().map(|method| &method.wire_name);
    let arms =
        interface.methods.iter().enumerate().map(|(index, method)| render_arm(interface, index, method));
    let inherited = interface.supertraits.iter().map(|supertrait| {
        quote! {
            method if <dyn #supertrait as #rpc::Interface>::surface().has_method(method) => {
                <dyn #supertrait as #rpc::Interface>::serve(self, call)
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #rpc::Interface for dyn #name {
            const NAMES: &'static #rpc::MethodNames = &#rpc::MethodNames {
                interface: #name_text,
                own: &[#(#own),*],
                supertraits: &[#(<dyn #supertraits as #rpc::Interface>::NAMES),*],
            };

            fn surface() -> &'static #rpc::Surface {
                #surface
            }

            fn serve(&self, call: #rpc::Call<'_>) -> #rpc::Result<#rpc::Served> {
                match call.method() {
                    #(#arms)*
                    #(#inherited)*
                    _ => call.unknown(<dyn #name as #rpc::Interface>::surface()),
                }
            }

            fn of_client(client: &#rpc::Client<dyn #name>) -> &(dyn #name + 'static) {
                client
            }
        }
    }
}

/// The surface of the trait, joined with those of its supertraits.
fn render_surface(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, module, surface) = (interface.rpc(), interface.module(), interface.surface_name());
    if interface.supertraits.is_empty() {
        return quote!(#module::#surface);
    }
    let supertraits = &interface.supertraits;
    quote! {
        static JOINED: ::std::sync::LazyLock<#rpc::Surface> = ::std::sync::LazyLock::new(|| {
            #module::#surface.joined_with(&[#(<dyn #supertraits as #rpc::Interface>::surface()),*])
        });
        &JOINED
    }
}

/// An arm of `serve`. The method is called by the path of the trait, since an inherent method may have the
/// same name.
fn render_arm(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let (module, surface, name) = (interface.module(), interface.surface_name(), interface.ident());
    let wire_name = &method.wire_name;
    // At the place of the attribute, a call of a deprecated method is no use of it.
    let mut ident = method.ident.clone();
    ident.set_span(Span::call_site());
    let (pattern, list) =
        method.params.iter().rev().fold((quote!(()), quote!(())), |(pattern, list), param| {
            let (ident, ty) = (&param.ident, param.owned());
            (quote!((#ident, #pattern)), quote!((#ty, #list)))
        });
    let arguments = method.params.iter().map(|param| {
        let ident = &param.ident;
        if param.is_borrowed() { quote!(&#ident) } else { quote!(#ident) }
    });
    quote! {
        #wire_name => call.run(
            &#module::#surface.methods[#index],
            |#pattern: #list| #name::#ident(self, #(#arguments),*),
        ),
    }
}

//! Renders `Interface` for the trait: its surface, and serving a call.

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::args::Schema;
use crate::model::{InterfaceModel, MethodModel, unraw};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, name) = (interface.rpc(), interface.ident());
    let (surface, objects) = (render_surface(interface), render_objects(interface));
    let (name_text, supertraits) = (unraw(name), &interface.supertraits);
    let own = interface.methods.iter().map(|method| &method.wire_name);
    let arms =
        interface.methods.iter().enumerate().map(|(index, method)| render_arm(interface, index, method));
    let inherited = interface.supertraits.iter().map(|supertrait| {
        quote! {
            method if <dyn #supertrait as #rpc::Interface>::own_surface().has_method(method) => {
                <dyn #supertrait as #rpc::Interface>::serve(self, call)
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #rpc::Interface for dyn #name {
            const NAMES: &'static #rpc::MethodNames = &#rpc::MethodNames {
                interface: ::core::concat!(::core::module_path!(), "::", #name_text),
                own: &[#(#own),*],
                supertraits: &[#(<dyn #supertraits as #rpc::Interface>::NAMES),*],
            };

            #surface
            #objects

            fn serve(&self, call: #rpc::Call<'_>) -> #rpc::Result<#rpc::Served> {
                match call.method() {
                    #(#arms)*
                    #(#inherited)*
                    _ => call.unknown(<dyn #name as #rpc::Interface>::own_surface()),
                }
            }

            fn of_client(client: &#rpc::Client<dyn #name>) -> &(dyn #name + 'static) {
                client
            }
        }
    }
}

/// The functions `surface` and `objects`, if the methods may return objects.
fn render_objects(interface: &InterfaceModel<'_>) -> Option<TokenStream> {
    let (rpc, name, supertraits) = (interface.rpc(), interface.ident(), &interface.supertraits);
    let objects = interface.objects();
    if objects.is_empty() && supertraits.is_empty() {
        return None;
    }
    Some(quote! {
        fn surface() -> &'static #rpc::Surface {
            static __SURFACE: ::std::sync::LazyLock<#rpc::Surface> =
                ::std::sync::LazyLock::new(#rpc::ObjectInterface::join::<dyn #name>);
            &__SURFACE
        }

        fn objects() -> ::std::vec::Vec<#rpc::ObjectInterface> {
            let mut objects = ::std::vec![#(#rpc::ObjectInterface::of::<#objects>()),*];
            #(objects.append(&mut <dyn #supertraits as #rpc::Interface>::objects());)*
            objects
        }
    })
}

/// The function `own_surface`, once for each value of the condition of `schema`.
fn render_surface(interface: &InterfaceModel<'_>) -> TokenStream {
    match &interface.args.schema {
        None => render_surface_with(interface, None),
        Some(Schema { condition: None }) => render_surface_with(interface, Some(render_schemas(interface))),
        Some(Schema { condition: Some(condition) }) => {
            let described = render_surface_with(interface, Some(render_schemas(interface)));
            let plain = render_surface_with(interface, None);
            quote!(#[cfg(#condition)] #described #[cfg(not(#condition))] #plain)
        }
    }
}

/// The function that returns the surface of the trait, with schemas, joined with those of its supertraits.
fn render_surface_with(interface: &InterfaceModel<'_>, schemas: Option<TokenStream>) -> TokenStream {
    let (rpc, module, surface) = (interface.rpc(), interface.module(), interface.surface_name());
    let supertraits = &interface.supertraits;
    let described = schemas.map(|schemas| quote!(.described(#schemas)));
    let joined = (!supertraits.is_empty())
        .then(|| quote!(.joined_with(&[#(<dyn #supertraits as #rpc::Interface>::own_surface()),*])));
    let body = if described.is_none() && joined.is_none() {
        quote!(#module::#surface)
    } else {
        quote! {
            static __SURFACE: ::std::sync::LazyLock<#rpc::Surface> =
                ::std::sync::LazyLock::new(|| #module::#surface #described #joined);
            &__SURFACE
        }
    };
    quote!(fn own_surface() -> &'static #rpc::Surface { #body })
}

/// The schemas of all types of the trait.
fn render_schemas(interface: &InterfaceModel<'_>) -> TokenStream {
    let rpc = interface.rpc();
    let methods = interface.methods.iter().map(|method| {
        let (wire_name, output) = (&method.wire_name, &method.output);
        let params = method.params.iter().map(|param| {
            let (name, ty) = (unraw(&param.ident), param.owned(&rpc));
            quote!(#name: #ty,)
        });
        quote!(#wire_name -> #output { #(#params)* })
    });
    quote!(#rpc::schemas! { #(#methods)* })
}

/// An arm of `serve`. The method is called by the path of the trait, since an inherent method may have the
/// same name.
fn render_arm(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let (module, surface, name) = (interface.module(), interface.surface_name(), interface.ident());
    let rpc = interface.rpc();
    let wire_name = &method.wire_name;
    // With the span of the attribute, the call of a deprecated method is not reported.
    let mut ident = method.ident.clone();
    ident.set_span(Span::call_site());
    let (pattern, list) =
        method.params.iter().rev().fold((quote!(()), quote!(())), |(pattern, list), param| {
            let (ident, ty) = (&param.ident, param.owned(&rpc));
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

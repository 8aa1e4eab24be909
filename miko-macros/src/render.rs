//! Renders the generated code from the model, a file per item.
//!
//! Code that uses types of the trait goes into `const _: () = { … }` beside it: types resolve there as in the
//! trait, and no generated item hides one. What users name goes into the generated module. Of that, only the
//! async trait uses types; it has a module of its own, which imports the names around the trait.

mod assertions;
mod async_client;
mod client;
mod interface_impl;
mod surface;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemTrait, TraitItem};

use crate::model::InterfaceModel;
use crate::options::is_ours;

/// The trait as written, without `#[interface(…)]` on its methods, also under a condition.
pub(crate) fn user_trait(item: &ItemTrait) -> ItemTrait {
    let mut item = item.clone();
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            method.attrs.retain(|attr| !is_ours(attr));
        }
    }
    item
}

/// The generated items beside the trait.
pub(crate) fn interface(interface: &InterfaceModel<'_>) -> TokenStream {
    let vis = &interface.item.vis;
    let (rpc, name, module) = (interface.rpc(), interface.ident(), interface.module());
    let conditions: Vec<_> = interface.conditions().collect();
    let cfg = interface.args.cfg.as_ref().map(|condition| quote!(#[cfg(#condition)]));
    let doc = format!("The generated proxies, server and surface of [`{name}`].");
    let vis_inside = interface.visibility();
    let [client_name, async_client_name, server_name] =
        ["Client", "AsyncClient", "Server"].map(|role| interface.named(role));
    let client_doc =
        format!("A proxy that implements [`{name}`](super::{name}) by sending each call to a server.");
    let server_doc = format!("Serves any [`{name}`](super::{name}) on a tarpc channel, one call at a time.");
    // Nothing is allowed without need: an `allow` is an error where the lint is forbidden.
    let allow_deprecated = quote!(#[allow(deprecated)]);
    let of_trait = interface.is_deprecated().then_some(&allow_deprecated);
    let deprecated =
        (interface.is_deprecated() || interface.has_deprecated_method()).then_some(&allow_deprecated);
    let lints: Vec<_> = interface.lint_levels().collect();
    let assertions = assertions::render(interface);
    let client = client::render(interface);
    let interface_impl = interface_impl::render(interface);
    let surface = surface::render(interface);
    let async_client = async_client::render(interface);
    quote! {
        #(#conditions)*
        #cfg
        #deprecated
        #(#lints)*
        const _: () = {
            #assertions
            #client
            #interface_impl
            // In a trait that `macro_rules!` wrote, an unused alias would be reported.
            const _: ::core::option::Option<(&#module::#client_name, &#module::#async_client_name)> =
                ::core::option::Option::None;
        };

        #(#conditions)*
        #cfg
        #of_trait
        #(#lints)*
        #[doc = #doc]
        #vis mod #module {
            #surface

            #[doc = #client_doc]
            #vis_inside type #client_name = #rpc::Client<dyn super::#name>;

            #rpc::tarpc_server! {
                #[doc = #server_doc]
                #vis_inside type #server_name = dyn super::#name;
            }

            #async_client
        }
    }
}

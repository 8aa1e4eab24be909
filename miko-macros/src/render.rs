//! Renders the generated code from the model, a file per item.

mod assertions;
mod async_client;
mod client;
mod interface_impl;
mod messages;
mod surface;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemTrait, TraitItem};

use crate::model::InterfaceModel;
use crate::options::is_interface;

/// The trait as written, without `#[interface(…)]` on its methods.
pub(crate) fn user_trait(item: &ItemTrait) -> ItemTrait {
    let mut item = item.clone();
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            method.attrs.retain(|attr| !is_interface(attr));
        }
    }
    item
}

/// The generated module beside the trait.
pub(crate) fn interface(interface: &InterfaceModel<'_>) -> TokenStream {
    let vis = &interface.item.vis;
    let module = interface.module();
    let conditions = interface.conditions();
    let cfg = interface.args.cfg.as_ref().map(|condition| quote!(#[cfg(#condition)]));
    let doc = format!("The generated proxies, server and dispatch of [`{}`].", interface.ident());
    let messages = messages::render(interface);
    let surface = surface::render(interface);
    let client = client::render(interface);
    let async_client = async_client::render(interface);
    let interface_impl = interface_impl::render(interface);
    let assertions = assertions::render(interface);
    quote! {
        #(#conditions)*
        #cfg
        #[doc = #doc]
        #[allow(
            clippy::all,
            clippy::pedantic,
            dead_code,
            deprecated,
            private_interfaces,
            unreachable_patterns,
            unreachable_pub,
            unused_imports,
        )]
        #vis mod #module {
            use super::*;

            #assertions
            #messages
            #surface
            #client
            #async_client
            #interface_impl
        }
    }
}

//! Renders the client: the trait, implemented for every proxy whose interface is the trait or has it as a
//! supertrait, and for every object of such an interface.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::model::{InterfaceModel, MethodModel, Sending};

pub(super) fn render(interface: &InterfaceModel<'_>) -> TokenStream {
    let (rpc, name) = (interface.rpc(), interface.ident());
    let methods =
        interface.methods.iter().enumerate().map(|(index, method)| render_method(interface, index, method));
    let forwarded = interface.methods.iter().map(|method| render_forwarded(interface, method));
    let supertraits = &interface.supertraits;
    let clause = (!supertraits.is_empty()).then(|| quote!(where #(Self: #supertraits,)*));
    quote! {
        #[automatically_derived]
        impl<__I: #rpc::Interface + #name + ?::core::marker::Sized> #name for #rpc::Client<__I>
        #clause
        {
            #(#methods)*
        }

        #[automatically_derived]
        impl<__I> #name for #rpc::Remote<__I>
        where
            __I: #rpc::Interface
                + #name
                + ::core::marker::Send
                + ::core::marker::Sync
                + ?::core::marker::Sized,
            #(Self: #supertraits,)*
        {
            #(#forwarded)*
        }
    }
}

/// A method of an object: that of the proxy, or of the local implementation.
fn render_forwarded(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let (name, ident, output) = (interface.ident(), &method.ident, &method.output);
    // With the span of the attribute, the call of a deprecated method is not reported.
    let mut called = ident.clone();
    called.set_span(Span::call_site());
    let arguments = declared_params(method);
    let passed = method.params.iter().map(|param| &param.ident);
    quote! {
        fn #ident(&self, #(#arguments),*) -> #output {
            #name::#called(&**self, #(#passed),*)
        }
    }
}

fn render_method(interface: &InterfaceModel<'_>, index: usize, method: &MethodModel) -> TokenStream {
    let (rpc, module, surface) = (interface.rpc(), interface.module(), interface.surface_name());
    let (ident, output) = (&method.ident, &method.output);
    let arguments = declared_params(method);
    let passed = method.params.iter().map(|param| &param.ident);
    let sent = sent(interface, method);
    let call = match method.sending {
        Sending::Plain => quote!(call),
        Sending::Lazy => quote!(call_lazily),
        Sending::Settling => quote!(call_settling),
    };
    // The inner function is not generic. So it is compiled in the package of the interface, with the code
    // that writes its arguments and reads its answer, and not again in each program that calls it.
    let (send, client) = (name_of_no_param(method, "__call"), name_of_no_param(method, "__client"));
    quote! {
        fn #ident(&self, #(#arguments),*) -> #output {
            fn #send(#client: &#rpc::UntypedClient, #(#arguments),*) -> #output {
                #rpc::#call(#client, &#module::#surface.methods[#index], #sent)
            }
            #send(#rpc::untyped(self), #(#passed),*)
        }
    }
}

/// The parameters of a method as a signature declares them, without `&self`.
fn declared_params(method: &MethodModel) -> Vec<TokenStream> {
    let declared = method.params.iter().map(|param| {
        let (ident, ty) = (&param.ident, &param.ty);
        quote!(#ident: #ty)
    });
    declared.collect()
}

/// A name that begins like this, and that no parameter of the method has.
fn name_of_no_param(method: &MethodModel, start: &str) -> Ident {
    let mut name = start.to_owned();
    while method.params.iter().any(|param| param.ident == name) {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}

/// The list of the arguments as they are sent: references, with bounded depth.
pub(super) fn sent(interface: &InterfaceModel<'_>, method: &MethodModel) -> TokenStream {
    let rpc = interface.rpc();
    method.params.iter().rev().fold(quote!(()), |rest, param| {
        let ident = &param.ident;
        if param.is_borrowed() {
            quote!((#rpc::bounded_ref(#ident), #rest))
        } else {
            quote!((&#rpc::bounded(#ident), #rest))
        }
    })
}

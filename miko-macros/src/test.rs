//! `#[mikobase::test]`: a test that runs its body in a separate process.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{ItemFn, Path, Safety, parse_quote};

use crate::errors::Errors;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let krate = parse_args(args, &mut errors);
    let test = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(test) => test,
        Err(_) => {
            errors.at(&item, "`#[mikobase::test]` belongs on a function");
            let errors = errors.into_compile_errors();
            return quote!(#item #errors);
        }
    };
    check(&test, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_compile_errors();
        return quote!(#test #errors);
    }
    render(&krate, &test)
}

/// The path of `mikobase` (or `miko_shared`).
fn parse_args(args: TokenStream, errors: &mut Errors) -> Path {
    let mut krate = parse_quote!(::mikobase);
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("crate") {
            return Err(meta.error("unknown argument; known is `crate = path`"));
        }
        krate = meta.value()?.call(Path::parse_mod_style)?;
        Ok(())
    });
    if let Err(error) = parser.parse2(args) {
        errors.push(error);
    }
    krate
}

fn check(test: &ItemFn, errors: &mut Errors) {
    let signature = &test.sig;
    if let Some(attribute) = test.attrs.iter().find(|attribute| attribute.path().is_ident("test")) {
        errors.at(attribute, "`#[mikobase::test]` makes a test by itself: remove `#[test]`");
    }
    if !signature.inputs.is_empty() {
        errors.at(&signature.inputs, "a test takes no arguments");
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "a test has no generic parameters");
    }
    if let Some(asyncness) = &signature.asyncness {
        errors.at(
            asyncness,
            "a share forks, which no async runtime allows: write a plain `fn`, and start a runtime inside",
        );
    }
    for qualifier in [
        signature.constness.as_ref().map(ToTokens::to_token_stream),
        (!matches!(signature.safety, Safety::Default)).then(|| signature.safety.to_token_stream()),
        signature.abi.as_ref().map(ToTokens::to_token_stream),
    ]
    .into_iter()
    .flatten()
    {
        errors.at(qualifier, "a test is a plain `fn`");
    }
}

fn render(krate: &Path, test: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = test;
    let (name, output) = (&sig.ident, &sig.output);
    // The items have names that no author uses: they are in scope in his block.
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() {
            const __MIKOBASE_TEST: &str =
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name));

            fn __mikobase_body() #output #block

            extern "C" fn __mikobase_before_main() {
                #krate::testing::run_if_started_for(__MIKOBASE_TEST, __mikobase_body);
            }

            // SAFETY: The loader calls each pointer in this section once, with arguments that a C function
            // may ignore. No panic leaves it: an `extern "C"` function aborts first.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static __MIKOBASE_BEFORE_MAIN: extern "C" fn() = __mikobase_before_main;

            #krate::testing::run_in_own_process(__MIKOBASE_TEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn what_is_no_plain_test_is_refused_with_a_reason() {
        let plain = "a test is a plain `fn`";
        let cases = [
            (
                quote!(),
                quote!(
                    struct Test;
                ),
                "`#[mikobase::test]` belongs on a function",
            ),
            (
                quote!(),
                quote!(
                    #[test]
                    fn f() {}
                ),
                "`#[mikobase::test]` makes a test by itself: remove `#[test]`",
            ),
            (
                quote!(),
                quote!(
                    fn f(n: u8) {}
                ),
                "a test takes no arguments",
            ),
            (
                quote!(),
                quote!(
                    fn f<T>() {}
                ),
                "a test has no generic parameters",
            ),
            (
                quote!(),
                quote!(
                    async fn f() {}
                ),
                "a share forks, which no async runtime allows",
            ),
            (
                quote!(),
                quote!(
                    const fn f() {}
                ),
                plain,
            ),
            (
                quote!(),
                quote!(
                    unsafe fn f() {}
                ),
                plain,
            ),
            (
                quote!(),
                quote!(
                    extern "C" fn f() {}
                ),
                plain,
            ),
            (
                quote!(workers = 3),
                quote!(
                    fn f() {}
                ),
                "unknown argument; known is `crate = path`",
            ),
        ];
        for (args, item, message) in cases {
            let expanded = expand(args, item.clone()).to_string();
            assert!(expanded.contains("compile_error"), "{item}: {expanded}");
            assert!(expanded.contains(message), "{item}: {expanded}");
        }
    }

    #[test]
    fn a_plain_test_expands_without_an_error() {
        let expanded = expand(
            quote!(crate = miko_shared),
            quote!(
                fn f() -> Result<(), ()> {
                    Ok(())
                }
            ),
        );
        let expanded = expanded.to_string();
        assert!(!expanded.contains("compile_error"), "{expanded}");
        assert!(expanded.contains("miko_shared :: testing"), "{expanded}");
    }
}

//! Compares the expansions of two traits with formatted copies, which show a reviewer the effect of a change
//! of the macro: `expansions/counter.expanded.rs` and `expansions/mikobase.expanded.rs`.
//!
//! `MIKOBASE_RECORD=1 cargo test -p miko-macros expansions` writes them.

use std::path::Path;
use std::{env, fs};

use proc_macro2::TokenStream;
use syn::{Attribute, File, Item, ItemTrait, Meta};

const RECORD_VARIABLE: &str = "MIKOBASE_RECORD";

#[test]
fn a_small_trait() {
    check("", "expansions/counter.rs", "expansions/counter.expanded.rs");
}

#[test]
fn the_trait_mikobase() {
    check("../miko-core/", "src/mikobase.rs", "expansions/mikobase.expanded.rs");
}

/// Expands the trait with the attribute in the file `source` of the package in `folder` and compares the
/// result with the file `expected` of this package.
fn check(folder: &str, source: &str, expected: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(package.join(folder).join(source)).unwrap();
    // The recorded surface is found from the package that is compiled, which is this one.
    let source = source.replace("surface = \"", &format!("surface = \"{folder}"));
    let file: File = syn::parse_file(&source).unwrap();
    let (args, item) = file.items.into_iter().find_map(with_the_attribute).unwrap();
    let expanded: File = syn::parse2(crate::expand(args, quote::quote!(#item))).unwrap();
    let formatted = prettyplease::unparse(&expanded);
    let path = package.join(expected);
    if env::var_os(RECORD_VARIABLE).is_some() {
        fs::write(&path, &formatted).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap();
    let differs = recorded.lines().zip(formatted.lines()).position(|(old, new)| old != new);
    assert!(
        recorded == formatted,
        "{expected} differs from line {} on: look at the change, and record it with `{RECORD_VARIABLE}=1`",
        differs.unwrap_or(recorded.lines().count().min(formatted.lines().count())) + 1
    );
}

/// The arguments of the attribute, and the trait without it.
fn with_the_attribute(item: Item) -> Option<(TokenStream, ItemTrait)> {
    let Item::Trait(mut item) = item else { return None };
    let is_ours = |attr: &Attribute| attr.path().is_ident("mikobase_interface");
    let attr = item.attrs.remove(item.attrs.iter().position(is_ours)?);
    let args = match attr.meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    Some((args, item))
}

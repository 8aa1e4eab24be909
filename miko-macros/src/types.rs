//! Types in signatures: how they travel, and how the surface writes them.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Type, parse_quote};

/// The type that `ty` travels as, and whether the method takes a reference to it.
pub(crate) fn owned(ty: &Type) -> (Type, bool) {
    let Type::Reference(reference) = ty else {
        return (ty.clone(), false);
    };
    let owned = match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => parse_quote!(::std::string::String),
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote!(::std::vec::Vec<#element>)
        }
        other => other.clone(),
    };
    (owned, true)
}

/// The type as an author writes it, `Result<Option<Record>>`, on every compiler: how token streams print is not
/// specified, and the surface is compared across builds.
pub(crate) fn as_written(ty: &Type) -> String {
    let mut text = String::new();
    write_tokens(ty.to_token_stream(), &mut text);
    text
}

fn write_tokens(tokens: TokenStream, text: &mut String) {
    let mut after_word = false;
    let mut joined = false;
    for token in tokens {
        let is_word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if is_word && after_word {
            text.push(' ');
        }
        match &token {
            TokenTree::Punct(punct) => {
                write_punct(punct.as_char(), joined, text);
                joined = punct.spacing() == Spacing::Joint;
            }
            TokenTree::Group(group) => write_group(group, text),
            word => text.push_str(&word.to_string()),
        }
        if !matches!(token, TokenTree::Punct(_)) {
            joined = false;
        }
        after_word = is_word;
    }
}

fn write_punct(punct: char, joined: bool, text: &mut String) {
    match punct {
        ',' | ';' => {
            text.push(punct);
            text.push(' ');
        }
        '+' | '=' => {
            text.push(' ');
            text.push(punct);
            text.push(' ');
        }
        // The arrow of a function type.
        '-' => text.push_str(" -"),
        '>' if joined && text.ends_with('-') => text.push_str("> "),
        _ => text.push(punct),
    }
}

fn write_group(group: &proc_macro2::Group, text: &mut String) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::None => ("", ""),
    };
    text.push_str(open);
    write_tokens(group.stream(), text);
    text.push_str(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_an_author_writes_them() {
        let cases = [
            "&str",
            "&[Query]",
            "Vec<Query>",
            "Result<Option<Record>>",
            "Result<(), my::Error>",
            "[u8; 32]",
            "std::collections::HashMap<String, Vec<(u8, i64)>>",
            "Box<dyn Fn(u8) -> bool>",
        ];
        for case in cases {
            let ty: Type = syn::parse_str(case).unwrap();
            assert_eq!(as_written(&ty), case);
        }
    }

    #[test]
    fn references_travel_as_what_they_own() {
        let cases = [
            ("u64", "u64", false),
            ("&str", "::std::string::String", true),
            ("&[u8]", "::std::vec::Vec<u8>", true),
            ("&Query", "Query", true),
        ];
        for (written, expected, borrowed) in cases {
            let (ty, is_borrowed) = owned(&syn::parse_str(written).unwrap());
            assert_eq!((as_written(&ty).as_str(), is_borrowed), (expected, borrowed), "{written}");
        }
    }
}

//! Types in signatures: their owned form, and their text in the surface.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::{Visit, visit_path_segment};
use syn::visit_mut::{VisitMut, visit_expr_path_mut, visit_path_mut, visit_type_mut, visit_type_path_mut};
use syn::{ExprPath, GenericArgument, Path, PathArguments, PathSegment, QSelf, Type, TypePath, parse_quote};

/// The same type without the invisible groups that `macro_rules!` puts around the types that it is given.
pub(crate) fn without_groups(ty: &Type) -> Type {
    let mut ty = ty.clone();
    WithoutGroups.visit_type_mut(&mut ty);
    ty
}

struct WithoutGroups;

impl VisitMut for WithoutGroups {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        while let Type::Group(group) = ty {
            *ty = (*group.elem).clone();
        }
        visit_type_mut(self, ty);
    }
}

/// The names of unsized types that an argument may refer to, beside slices; the server reads their owned
/// form. Another type may have such a name, so the type checker decides.
const UNSIZED: &[&str] = &["str", "Path", "OsStr", "CStr"];

/// The type as which a value of `ty` is sent. `rpc` is the path of the run-time support.
pub(crate) fn owned(ty: &Type, rpc: &TokenStream) -> Type {
    let Type::Reference(reference) = ty else {
        return ty.clone();
    };
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => parse_quote!(::std::string::String),
        Type::Path(path) if is_unsized(&path.path) => parse_quote!(<#path as #rpc::Referred>::Owned),
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote!(::std::vec::Vec<#element>)
        }
        other => other.clone(),
    }
}

fn is_unsized(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| UNSIZED.iter().any(|name| last.ident == name))
}

/// The interfaces in a return type: each `dyn Trait` of a `Remote<dyn Trait>`.
pub(crate) fn objects(ty: &Type) -> Vec<Type> {
    let mut objects = Objects::default();
    objects.visit_type(ty);
    objects.0
}

/// Whether a return type is a `Result` of a `Remote`, with the error of Mikobase, by their usual names.
pub(crate) fn is_object(ty: &Type) -> bool {
    fn last<'t>(ty: &'t Type, name: &str) -> Option<&'t PathSegment> {
        let Type::Path(path) = ty else { return None };
        path.path.segments.last().filter(|segment| segment.ident == name)
    }
    let Some(PathSegment { arguments: PathArguments::AngleBracketed(arguments), .. }) = last(ty, "Result")
    else {
        return false;
    };
    let mut values = arguments.args.iter();
    match (values.next(), values.next()) {
        (Some(GenericArgument::Type(value)), None) => last(value, "Remote").is_some(),
        _ => false,
    }
}

#[derive(Default)]
struct Objects(Vec<Type>);

impl<'ast> Visit<'ast> for Objects {
    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        if let PathArguments::AngleBracketed(arguments) = &segment.arguments
            && segment.ident == "Remote"
        {
            self.0.extend(arguments.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(object @ Type::TraitObject(_)) => Some(object.clone()),
                _ => None,
            }));
        }
        visit_path_segment(self, segment);
    }
}

/// The same type as written two modules down: `super::Thing` becomes `super::super::super::Thing`.
pub(crate) fn two_modules_down(ty: &Type) -> Type {
    let mut ty = ty.clone();
    TwoModulesDown.visit_type_mut(&mut ty);
    ty
}

struct TwoModulesDown;

impl VisitMut for TwoModulesDown {
    fn visit_path_mut(&mut self, path: &mut Path) {
        visit_path_mut(self, path);
        let Some(first) = path.segments.first() else { return };
        if first.ident == "self" {
            path.segments[0] = parse_quote!(super);
            path.segments.insert(0, parse_quote!(super));
        } else if first.ident == "super" {
            path.segments.insert(0, parse_quote!(super));
            path.segments.insert(0, parse_quote!(super));
        }
    }

    fn visit_type_path_mut(&mut self, ty: &mut TypePath) {
        let written = ty.path.segments.len();
        visit_type_path_mut(self, ty);
        move_self_type(&mut ty.qself, ty.path.segments.len() - written);
    }

    fn visit_expr_path_mut(&mut self, expr: &mut ExprPath) {
        let written = expr.path.segments.len();
        visit_expr_path_mut(self, expr);
        move_self_type(&mut expr.qself, expr.path.segments.len() - written);
    }
}

/// `<T as super::Trait>::Item`: the trait takes `inserted` segments more of the path.
fn move_self_type(qself: &mut Option<QSelf>, inserted: usize) {
    if let Some(qself) = qself
        && qself.position > 0
    {
        qself.position += inserted;
    }
}

/// The type as in source code: `Result<Option<Record>>`. The text is the same with every compiler, which the
/// `Display` of token streams does not guarantee, and which comparing surfaces across builds needs.
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
    use quote::quote;

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
            ("u64", "u64"),
            ("&str", "::std::string::String"),
            ("&[u8]", "::std::vec::Vec<u8>"),
            ("&Query", "Query"),
            ("&std::path::Path", "<std::path::Path as rpc::Referred>::Owned"),
        ];
        for (written, expected) in cases {
            assert_eq!(
                as_written(&owned(&syn::parse_str(written).unwrap(), &quote!(rpc))),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn paths_are_followed_from_the_module_of_the_async_trait() {
        let cases = [
            ("&super::Thing", "&super::super::super::Thing"),
            ("Vec<self::inner::Thing>", "Vec<super::super::inner::Thing>"),
            ("crate::Thing", "crate::Thing"),
            ("Thing", "Thing"),
            ("<T as super::Trait>::Item", "<T as super::super::super::Trait>::Item"),
            ("<super::T as self::Trait>::Item", "<super::super::super::T as super::super::Trait>::Item"),
            ("<T>::Item", "<T>::Item"),
            ("[u8; <u8 as self::Size>::SIZE]", "[u8; <u8 as super::super::Size>::SIZE]"),
        ];
        for (written, expected) in cases {
            let ty = two_modules_down(&syn::parse_str(written).unwrap());
            assert_eq!(as_written(&ty), expected, "{written}");
        }
    }
}

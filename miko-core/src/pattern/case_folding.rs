//! Bounds the time in which `regex_syntax` translates the syntax tree of a case-insensitive regular
//! expression to its intermediate form (`Hir`).
//!
//! For each character of a class such as `[a-z]`, the translation looks up the other cases of the character:
//! for `(?i)\p{any}`, those of a million characters. Parsing the text to the syntax tree needs no lookups. So
//! an upper bound of their number is computed from the tree, before the translation.

use regex_syntax::ast::{
    Ast, ClassBracketed, ClassPerlKind, ClassSet, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind,
};

/// The number of all characters: here the code points of Unicode, surrogates included.
const ALL: u64 = 0x11_0000;

/// More than the number of characters of `\w`.
const WORD_CHARACTERS: u64 = 1 << 18;

/// More than the number of characters of `\d`, and of `\s`.
const DIGITS_OR_SPACES: u64 = 1 << 10;

/// The maximal number of characters that are equal if case is ignored.
const MAX_CASES: u64 = 4;

/// An upper bound of the number of characters of which the translation looks up the other cases.
pub(super) fn lookups(tree: &Ast) -> u64 {
    if ignores_case(tree) { lookups_ignoring_case(tree) } else { 0 }
}

/// Whether the flag `i` occurs anywhere. If so, all classes are counted, also those to which the flag does
/// not apply.
fn ignores_case(tree: &Ast) -> bool {
    let has_flag = |flags: &Flags| {
        flags.items.iter().any(|item| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive))
    };
    match tree {
        Ast::Flags(set) => has_flag(&set.flags),
        Ast::Group(group) => {
            matches!(&group.kind, GroupKind::NonCapturing(flags) if has_flag(flags))
                || ignores_case(&group.ast)
        }
        Ast::Repetition(repetition) => ignores_case(&repetition.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().any(ignores_case),
        Ast::Concat(concat) => concat.asts.iter().any(ignores_case),
        _ => false,
    }
}

/// As [`lookups`], for a tree in which every literal and every class counts as ignoring case.
fn lookups_ignoring_case(tree: &Ast) -> u64 {
    match tree {
        // The Perl classes (`\d`, `\s`, `\w`) contain all cases of their characters, so nothing is looked up.
        Ast::Empty(_) | Ast::Flags(_) | Ast::Dot(_) | Ast::Assertion(_) | Ast::ClassPerl(_) => 0,
        Ast::Literal(_) => 1,
        Ast::ClassUnicode(_) => ALL,
        Ast::ClassBracketed(class) => CharacterSet::of_class(class).lookups,
        Ast::Group(group) => lookups_ignoring_case(&group.ast),
        Ast::Repetition(repetition) => lookups_ignoring_case(&repetition.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().map(lookups_ignoring_case).sum(),
        Ast::Concat(concat) => concat.asts.iter().map(lookups_ignoring_case).sum(),
    }
}

/// Upper bounds for a set of characters: a bracketed class or a part of one.
#[derive(Clone, Copy, Default)]
struct CharacterSet {
    /// The number of characters in the set.
    characters: u64,
    /// The number of lookups by which the translation makes the set.
    lookups: u64,
}

impl CharacterSet {
    fn of(characters: u64) -> Self {
        Self { characters: characters.min(ALL), lookups: 0 }
    }

    /// A bracketed class. The translation adds all cases before it negates the class.
    fn of_class(class: &ClassBracketed) -> Self {
        let set = Self::of_set(&class.kind).with_all_cases();
        if class.negated { Self { characters: ALL, ..set } } else { set }
    }

    /// The content of brackets. The translation adds all cases to both operands of an operator.
    fn of_set(set: &ClassSet) -> Self {
        match set {
            ClassSet::Item(item) => Self::of_item(item),
            ClassSet::BinaryOp(operation) => {
                let [left, right] =
                    [&operation.lhs, &operation.rhs].map(|operand| Self::of_set(operand).with_all_cases());
                left.plus(right)
            }
        }
    }

    fn of_item(item: &ClassSetItem) -> Self {
        match item {
            ClassSetItem::Empty(_) => Self::default(),
            ClassSetItem::Literal(_) => Self::of(1),
            ClassSetItem::Range(range) => {
                Self::of(u64::from(u32::from(range.end.c).saturating_sub(range.start.c.into())) + 1)
            }
            // The translation adds all cases to an ASCII class before it adds the class to the set.
            ClassSetItem::Ascii(class) => {
                let set = Self::of(128).with_all_cases();
                if class.negated { Self { characters: ALL, ..set } } else { set }
            }
            ClassSetItem::Unicode(_) => Self { characters: ALL, lookups: ALL },
            ClassSetItem::Perl(class) => Self::of(match class.kind {
                _ if class.negated => ALL,
                ClassPerlKind::Word => WORD_CHARACTERS,
                ClassPerlKind::Digit | ClassPerlKind::Space => DIGITS_OR_SPACES,
            }),
            ClassSetItem::Bracketed(class) => Self::of_class(class),
            ClassSetItem::Union(union) => {
                union.items.iter().map(Self::of_item).fold(Self::default(), Self::plus)
            }
        }
    }

    /// The set after a lookup of the other cases of each character.
    fn with_all_cases(self) -> Self {
        Self { lookups: self.lookups + self.characters, ..Self::of(MAX_CASES * self.characters) }
    }

    /// The sums of the bounds. They bound the result of any operator.
    fn plus(self, other: Self) -> Self {
        let lookups = self.lookups + other.lookups;
        Self { lookups, ..Self::of(self.characters + other.characters) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_syntax::ast::parse::Parser;
    use regex_syntax::hir::{Class, HirKind};

    use super::*;

    fn lookups_of(text: &str) -> u64 {
        lookups(&Parser::new().parse(text).unwrap())
    }

    #[test]
    fn only_classes_that_ignore_case_take_lookups() {
        for text in [r"\p{any}[\pL]\w", r"(?i)\w\W.^", "(?s:[^a])"] {
            assert_eq!(lookups_of(text), 0, "{text}");
        }
        for (text, expected) in [
            ("(?i)[a-z]b", 27),
            ("(?i)[^a-z]", 26),
            (r"(?i:\p{any}){9}", ALL),
            (r"\pL(?i)\pL", 2 * ALL),
            (r"(?i)[\pL]", 2 * ALL),
            ("(?i)[[:alpha:]a]", 128 + 4 * 128 + 1),
            ("(?i)[[:^alpha:]]", 128 + ALL),
            ("(?i)[[a-b]c]", 2 + 4 * 2 + 1),
            ("(?i)[[^a]]", 1 + ALL),
            ("(?i)[a-b&&[c]]", 2 + (1 + 4) + 4 * 2 + 16),
        ] {
            assert_eq!(lookups_of(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_class_has_more_characters_than_estimated(
            text in r"\(\?i\)\[\^?(a|[a-c]-[d-z]|\\w|\\d|\\pL|\[k-s\]|\[\^a\]|é-ö|\[a-z&&m\]|ſ){1,5}\]",
        ) {
            let tree = Parser::new().parse(&text);
            prop_assume!(tree.is_ok());
            let Ok(Ast::Concat(concat)) = &tree else { return Err(TestCaseError::fail("no concatenation")) };
            let Some(Ast::ClassBracketed(class)) = concat.asts.last() else {
                return Err(TestCaseError::fail("no class"));
            };
            let characters = match regex_syntax::parse(&text).unwrap().kind() {
                HirKind::Class(Class::Unicode(class)) => {
                    class.ranges().iter().map(|range| range.len() as u64).sum()
                }
                HirKind::Literal(_) => 1,
                _ => 0,
            };
            prop_assert!(characters <= CharacterSet::of_class(class).characters, "{text}: {characters}");
        }
    }
}

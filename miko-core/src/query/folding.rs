//! Normalizes texts before they are compared.

use std::borrow::Cow;

/// The modifiers `case-sensitive` and `collapse`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Folding {
    /// `"case-sensitive": false`: texts are compared in lower case, by Unicode.
    pub(super) ignores_case: bool,
    /// `"collapse": true`: white space is trimmed, and each run of it counts as one space.
    pub(super) collapses_whitespace: bool,
}

impl Folding {
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        let text = if self.ignores_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
        if !self.collapses_whitespace {
            return text;
        }
        let mut words = text.split_whitespace();
        let mut collapsed = String::with_capacity(text.len());
        collapsed.extend(words.next());
        for word in words {
            collapsed.push(' ');
            collapsed.push_str(word);
        }
        Cow::Owned(collapsed)
    }

    pub(super) const fn is_identity(self) -> bool {
        !(self.ignores_case || self.collapses_whitespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_are_folded() {
        let cases = [
            (false, false, " A  b\n", " A  b\n"),
            (true, false, " A  ÉΣ\n", " a  éς\n"),
            (true, false, "ΟΔΟΣ İ", "οδος i\u{307}"),
            (false, true, " A \t b\u{a0}\n", "A b"),
            (true, true, "\u{2003}A\u{85}B ", "a b"),
            (false, true, " \n ", ""),
        ];
        for (ignores_case, collapses_whitespace, text, expected) in cases {
            assert_eq!(Folding { ignores_case, collapses_whitespace }.apply(text), expected, "{text:?}");
        }
    }
}

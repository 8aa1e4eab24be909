//! Normalizes texts before they are compared.

use std::borrow::Cow;

/// The modifiers `case-sensitive` and `collapse`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Folding {
    /// `"case-sensitive": false`: texts are compared in lower case, by Unicode. Each character has one lower
    /// case, wherever it is in the text, so that a text contains each of its parts.
    pub(super) ignores_case: bool,
    /// `"collapse": true`: white space is trimmed, and each run of it counts as one space.
    pub(super) collapses_whitespace: bool,
}

impl Folding {
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        let text = if self.ignores_case { Cow::Owned(lower_case(text)) } else { Cow::Borrowed(text) };
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

/// The text in lower case. Greek words end with another form of the small sigma, `ς`. By `str::to_lowercase`
/// the lower case of `Σ` is that or `σ`, depending on its place. Here both forms are `σ`.
fn lower_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|letter| if letter == 'ς' { 'σ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_are_folded() {
        let cases = [
            (false, false, " A  b\n", " A  b\n"),
            (true, false, " A  B\n", " a  b\n"),
            (true, false, " A  ÉΣ\n", " a  éσ\n"),
            (true, false, "ΟΔΟΣ οδος οδοσ İ", "οδοσ οδοσ οδοσ i\u{307}"),
            (false, true, " A \t b\u{a0}\n", "A b"),
            (true, true, "\u{2003}A\u{85}B ", "a b"),
            (false, true, " \n ", ""),
        ];
        for (ignores_case, collapses_whitespace, text, expected) in cases {
            assert_eq!(Folding { ignores_case, collapses_whitespace }.apply(text), expected, "{text:?}");
        }
    }
}

//! Folds texts before they are compared: ignores case and collapses white space, by the modifiers of a path.

use std::borrow::Cow;

/// The modifiers `case-sensitive` and `collapse`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Folding {
    /// `"case-sensitive": false`: texts are compared in Unicode lower case. Exception: `Σ` always becomes `σ`
    /// ([`lower_case`]), so the lower case of a character never depends on the characters around it. Thus, if
    /// text A contains text B, then A in lower case contains B in lower case. The operator `contains` needs
    /// this.
    pub(super) ignores_case: bool,
    /// `"collapse": true`: white space at both ends is removed, and each other run of white space becomes one
    /// space.
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

    /// Whether folding leaves every text as it is.
    pub(super) const fn is_identity(self) -> bool {
        !(self.ignores_case || self.collapses_whitespace)
    }
}

/// The text in lower case. `str::to_lowercase` depends on the position of `Σ`: it makes `ς` at the end of a
/// Greek word, and `σ` elsewhere. Here both forms of the small sigma become `σ`.
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

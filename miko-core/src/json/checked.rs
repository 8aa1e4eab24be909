//! Checks the text of a JSON object in one pass and finds its members, without parsing them as values.
//!
//! Only text that the [writer](super::writer) could have written passes: compact, with the shortest escapes
//! and numbers, and without duplicate keys. Parsed and written again, it is the same text. So a bucket that
//! passes may be stored unchanged. Any other bucket must be parsed.

use std::ops::Range;

use serde_json::{Number, Value};

use super::{MAX_BUCKET_DEPTH, from_text};

/// The maximal number of keys of an object that passes. Here each key is compared with all others to find
/// duplicates. An object with more keys must be parsed, which finds duplicates by hashing.
const MAX_KEYS: usize = 32;

/// Any integer with at most this many digits fits into 64 bits.
const MAX_SAFE_DIGITS: usize = 18;

/// A decimal number with at most this many significant digits, and without zeros at the end, is the shortest
/// form of its nearest float.
const MAX_SAFE_FLOAT_DIGITS: usize = 15;

/// Checks the texts of objects, one after the other. Reuses its allocations.
#[derive(Debug, Default)]
pub(crate) struct TextChecker {
    /// The members of the object itself, without those of inner objects.
    members: Vec<Member>,
    /// The ranges of keys in the text: the keys of each object whose end is not read yet, from the outermost
    /// object to the innermost.
    keys: Vec<Range<usize>>,
}

/// An object whose text was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedObject<'t> {
    text: &'t str,
    members: &'t [Member],
}

/// A member of a [`CheckedObject`]: where its key and value are in the text.
#[derive(Debug, Clone)]
struct Member {
    /// The range of the key without its quotes.
    key: Range<usize>,
    value: Range<usize>,
    kind: Kind,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    /// A string without escapes.
    PlainString,
    EscapedString,
    /// An array or an object.
    Composite,
}

/// A value of a [`CheckedObject`]. Null and strings without escapes are read without building a [`Value`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CheckedValue<'t> {
    Null,
    /// A string without escapes.
    Text(&'t str),
    /// Any other value.
    Other(Value),
}

impl TextChecker {
    /// Checks a text. `None` if it must be parsed: it is not an object, it might be a different text after
    /// parsing and writing, it nests too deep, or an object in it has more than [`MAX_KEYS`] keys.
    pub(crate) fn check<'t>(&'t mut self, text: &'t str) -> Option<CheckedObject<'t>> {
        self.check_start(text).filter(|(_, length)| *length == text.len()).map(|(object, _)| object)
    }

    /// As [`check`](Self::check), for an object at the start of a text. Returns the length of the object as
    /// well.
    pub(crate) fn check_start<'t>(&'t mut self, text: &'t str) -> Option<(CheckedObject<'t>, usize)> {
        self.members.clear();
        self.keys.clear();
        let mut scan = Scan { text, at: 0, keys: &mut self.keys };
        scan.expect(b'{')?;
        let members = &mut self.members;
        let on_member = &mut |key, value, kind| members.push(Member { key, value, kind });
        // An import also checks whole records (the entries of a worldlet) with this limit, although a record
        // may nest one level deeper. An entry that nests deeper is parsed.
        scan.members(on_member, MAX_BUCKET_DEPTH)?;
        let length = scan.at;
        Some((CheckedObject { text: &text[..length], members }, length))
    }
}

impl<'t> CheckedObject<'t> {
    /// The number of members.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The position of the member with this key. The key must need no escapes, since it is compared with the
    /// text of the keys.
    pub(crate) fn position(&self, key: &str) -> Option<usize> {
        self.members.iter().position(|member| self.text[member.key.clone()] == *key)
    }

    /// The key at a position.
    #[inline]
    pub(crate) fn key(&self, position: usize) -> Option<&'t str> {
        self.members.get(position).map(|member| &self.text[member.key.clone()])
    }

    /// The text of the member at a position, with its key.
    pub(crate) fn member(&self, position: usize) -> &'t str {
        let Member { key, value, .. } = &self.members[position];
        &self.text[key.start - 1..value.end]
    }

    /// The text of the value at a position.
    pub(crate) fn value_text(&self, position: usize) -> &'t str {
        &self.text[self.members[position].value.clone()]
    }

    /// The text of the object with another value at a position. `value` is JSON text.
    pub(crate) fn with_value(&self, position: usize, value: &str) -> String {
        let old = &self.members[position].value;
        [&self.text[..old.start], value, &self.text[old.end..]].concat()
    }

    /// The text of the object with one more member, which becomes the last. The object must not have the key
    /// yet, and the key must need no escapes. `value` is JSON text.
    pub(crate) fn with_member(&self, key: &str, value: &str) -> String {
        let members = &self.text[..self.text.len() - 1];
        let comma = if self.members.is_empty() { "" } else { "," };
        [members, comma, "\"", key, "\":", value, "}"].concat()
    }

    /// Whether the value at a position is null.
    pub(crate) fn is_null(&self, position: usize) -> bool {
        self.members[position].kind == Kind::Null
    }

    /// The value at a position. `None` if the parser refuses its text, which is not expected of checked text.
    pub(crate) fn value(&self, position: usize) -> Option<CheckedValue<'t>> {
        let text = self.value_text(position);
        Some(match self.members[position].kind {
            Kind::Null => CheckedValue::Null,
            Kind::PlainString => CheckedValue::Text(&text[1..text.len() - 1]),
            Kind::Bool => CheckedValue::Other(Value::Bool(text == "true")),
            Kind::Integer => CheckedValue::Other(Value::Number(integer(text)?)),
            Kind::Float | Kind::EscapedString | Kind::Composite => CheckedValue::Other(from_text(text).ok()?),
        })
    }
}

fn integer(text: &str) -> Option<Number> {
    text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok()
}

/// A text that is being read. Each method advances past the part that it has read, or returns `None` for a
/// text that does not pass.
struct Scan<'t, 'k> {
    text: &'t str,
    /// The position of the next byte.
    at: usize,
    /// See [`TextChecker::keys`].
    keys: &'k mut Vec<Range<usize>>,
}

impl Scan<'_, '_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Reads the members of an object and its closing brace; the opening one is read already. Calls
    /// `on_member` for each member, with the ranges of key and value, and the kind of the value. The object
    /// may nest `levels` deep, itself included.
    fn members(
        &mut self,
        on_member: &mut impl FnMut(Range<usize>, Range<usize>, Kind),
        levels: usize,
    ) -> Option<()> {
        let levels = levels.checked_sub(1)?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let outer_keys = self.keys.len();
        loop {
            let key = self.key(outer_keys)?;
            self.expect(b':')?;
            let start = self.at;
            let kind = self.value(levels)?;
            on_member(key, start..self.at, kind);
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.keys.truncate(outer_keys);
        Some(())
    }

    /// Reads a key. `keys` has `outer_keys` keys of outer objects, then the earlier keys of this object.
    fn key(&mut self, outer_keys: usize) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        self.string()?;
        let key = start..self.at - 1;
        let bytes = self.text.as_bytes();
        let others = &self.keys[outer_keys..];
        let is_same = |other: &Range<usize>| bytes[other.clone()] == bytes[key.clone()];
        if others.len() >= MAX_KEYS || others.iter().any(is_same) {
            return None;
        }
        self.keys.push(key.clone());
        Some(key)
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Reads a value, which may nest `levels` deep.
    fn value(&mut self, levels: usize) -> Option<Kind> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string()
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Kind::Bool),
            b'f' => self.literal("false", Kind::Bool),
            b'n' => self.literal("null", Kind::Null),
            b'{' => {
                self.at += 1;
                self.members(&mut |_, _, _| {}, levels)?;
                Some(Kind::Composite)
            }
            b'[' => {
                self.at += 1;
                self.elements(levels)?;
                Some(Kind::Composite)
            }
            _ => None,
        }
    }

    /// Reads the elements of an array and its closing bracket; the opening one is read already. The array may
    /// nest `levels` deep, itself included.
    fn elements(&mut self, levels: usize) -> Option<()> {
        let levels = levels.checked_sub(1)?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(levels)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads `literal`, which is `true`, `false` or `null`.
    fn literal(&mut self, literal: &str, kind: Kind) -> Option<Kind> {
        self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()).then(|| {
            self.at += literal.len();
            kind
        })
    }

    /// Reads a string and its closing quote; the opening one is read already.
    fn string(&mut self) -> Option<Kind> {
        let bytes = self.text.as_bytes();
        let mut kind = Kind::PlainString;
        loop {
            self.at += plain_length(&bytes[self.at..]);
            match self.next()? {
                b'"' => return Some(kind),
                b'\\' => {
                    kind = Kind::EscapedString;
                    self.escape()?;
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// Reads an escape in the form that the writer gives it; its backslash is read already.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                self.at += 4;
                // The writer gives these control characters a short escape, such as `\n`.
                let has_short_escape = |low: u8| matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
                match digits {
                    [b'0', b'0', b'0', low @ (b'0'..=b'9' | b'a'..=b'f')] if !has_short_escape(*low) => {
                        Some(())
                    }
                    [b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f'] => Some(()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Reads a number in the form that the writer gives it.
    fn number(&mut self) -> Option<Kind> {
        let start = self.at;
        let is_negative = self.peek()? == b'-';
        self.at += usize::from(is_negative);
        let whole_digits = self.digits();
        let has_leading_zero = whole_digits > 1 && self.text.as_bytes()[self.at - whole_digits] == b'0';
        if whole_digits == 0 || has_leading_zero {
            return None;
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            let number = &self.text[start..self.at];
            // The parser reads `-0` as a float, so it would be written as `-0.0`.
            let is_exact = number != "-0" && (whole_digits <= MAX_SAFE_DIGITS || integer(number).is_some());
            return is_exact.then_some(Kind::Integer);
        }
        let is_shortest = self.fraction(whole_digits);
        // Reads the exponent, or the rest of a malformed number, which `is_canonical` refuses.
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        (is_shortest || is_canonical(number)).then_some(Kind::Float)
    }

    /// Reads the fraction of a number with `whole_digits` digits before the point, if there is a fraction.
    /// Returns whether the number ends with the fraction and is known to be in its shortest form.
    fn fraction(&mut self, whole_digits: usize) -> bool {
        let bytes = self.text.as_bytes();
        if bytes[self.at] != b'.' {
            return false;
        }
        self.at += 1;
        let start = self.at;
        let decimals = self.digits();
        let is_last = !matches!(self.peek(), Some(b'e' | b'E' | b'.' | b'+' | b'-'));
        // The writer may give a number below 0.1 an exponent, so `is_canonical` decides about its form.
        let is_small = bytes[start - 2] == b'0' && whole_digits == 1 && bytes.get(start) == Some(&b'0');
        // The writer gives a whole float one zero, as in `1.0`, and removes all other zeros at the end.
        let is_trimmed = decimals == 1 || (decimals > 1 && bytes[self.at - 1] != b'0');
        is_last && is_trimmed && !is_small && whole_digits + decimals <= MAX_SAFE_FLOAT_DIGITS
    }

    /// Reads digits, and returns their number.
    fn digits(&mut self) -> usize {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }
}

/// Whether the text of a number is the same after parsing and writing.
fn is_canonical(number: &str) -> bool {
    let write = |value: Value| serde_json::to_string(&value).ok();
    from_text(number).ok().and_then(write).is_some_and(|written| written == number)
}

/// Whether the JSON text of a string has escapes.
pub(crate) fn needs_escapes(string: &str) -> bool {
    plain_length(string.as_bytes()) < string.len()
}

/// The length of the part of a string before its first quote, backslash or control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    const ONES: u64 = u64::from_ne_bytes([1; WORD]);
    /// The highest bit of each byte.
    const HIGH: u64 = ONES << 7;
    // The highest bit of each byte that is below `limit`, and perhaps of bytes after the first such byte: the
    // subtraction borrows from these.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<WORD>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word, u64::from(b' ')) | equal(word, b'"') | equal(word, b'\\');
        if special != 0 {
            // The first byte of a text is the lowest of a word.
            return index * WORD + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::json::arbitrary::value;
    use crate::json::{nests_deeper_than, object_from_text, parse, text_of};

    fn passes(text: &str) -> bool {
        TextChecker::default().check(text).is_some()
    }

    /// Replacements of single characters of a text: the index of the character, and the new text.
    fn replacements() -> impl Strategy<Value = Vec<(prop::sample::Index, String)>> {
        prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}\",:\\\\abeu01.n \u{1}-]"), 1..3)
    }

    #[test]
    fn the_plain_part_of_a_string_ends_at_its_first_special_character() {
        for special in (0..=u8::MAX).filter(|byte| *byte < b' ' || b"\"\\".contains(byte)) {
            for other in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff, special] {
                for at in 0..20 {
                    let bytes =
                        [vec![b'a'; at], vec![special, other, special, other], vec![other; 9]].concat();
                    assert_eq!(plain_length(&bytes), at, "{bytes:?}");
                    let bytes = [vec![b' '; at], vec![0x7f, 0x80, 0xff, b'!', b'#', b'[', b']']].concat();
                    assert_eq!(plain_length(&bytes), bytes.len(), "{bytes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_that_the_writer_wrote_passes_and_has_the_members_of_its_value(
            members in prop::collection::vec(("[a-c\"\u{1}é]{0,3}", value()), 0..6)
        ) {
            let object: Map<String, Value> = members.into_iter().collect();
            let text = text_of(&object);
            let mut checker = TextChecker::default();
            let checked = checker.check(&text).expect("what is written passes");
            prop_assert_eq!(checked.len(), object.len());
            for (index, (key, value)) in object.iter().enumerate() {
                let written = format!("{}:{value}", json!(key));
                prop_assert_eq!(checked.member(index), written);
                let read = match checked.value(index).expect("a value is read") {
                    CheckedValue::Null => Value::Null,
                    CheckedValue::Text(text) => text.into(),
                    CheckedValue::Other(value) => value,
                };
                prop_assert_eq!(&read, value);
            }
        }

        #[test]
        fn a_text_that_passes_is_equal_after_parsing_and_writing(
            object in value().prop_map(|value| json!({"a": value, "b": 1}).to_string()),
            replacements in replacements(),
        ) {
            let mut text: Vec<char> = object.chars().collect();
            for (index, replacement) in replacements {
                let index = index.index(text.len());
                text.splice(index..=index, replacement.chars());
            }
            let text: String = text.into_iter().collect();
            if passes(&text) {
                let read = parse(&text).expect("what passes is JSON without duplicates and lossy numbers");
                prop_assert!(!nests_deeper_than(&read, MAX_BUCKET_DEPTH));
                prop_assert_eq!(text_of(read.as_object().unwrap()), text);
            }
        }

        #[test]
        fn a_number_passes_in_the_form_in_which_it_is_written(
            literal in "-?[01]?[0-9]{0,20}(\\.[0-9]{0,8}){0,2}([eE][+-]?[0-9]{0,3})?"
        ) {
            let text = format!("{{\"n\":{literal}}}");
            let is_written = |object: Map<String, Value>| text_of(&object) == text;
            let is_same = parse(&text).is_ok() && object_from_text(&text).is_ok_and(is_written);
            prop_assert_eq!(passes(&text), is_same, "{}", text);
        }
    }

    #[test]
    fn a_text_that_would_be_written_in_another_form_does_not_pass() {
        let not_canonical = [
            "",
            "[]",
            "1",
            " {}",
            "{} ",
            "{}{}",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1 }"#,
            r#"{"a":1,"a":2}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":"\u000A"}"#,
            r#"{"a":"\u000a"}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":01}"#,
            r#"{"a":-0}"#,
            r#"{"a":1.10}"#,
            r#"{"a":1e2}"#,
            r#"{"a":0.00000001}"#,
            r#"{"a":1.}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":1.2.3}"#,
            r#"{"a":tru}"#,
            r#"{"a":nul"#,
            "{\"a\":\"\n\"}",
        ];
        for text in not_canonical {
            assert!(!passes(text), "{text}");
        }
    }

    #[test]
    fn an_object_that_nests_too_deep_or_has_many_keys_is_read_as_a_value() {
        let nested =
            |levels: usize| (1..levels).fold("{}".to_owned(), |inner, _| format!(r#"{{"a":{inner}}}"#));
        assert!(passes(&nested(MAX_BUCKET_DEPTH)));
        assert!(!passes(&nested(MAX_BUCKET_DEPTH + 1)));
        assert!(!passes(&nested(100_000)));
        let many = |keys: usize| text_of(&(0..keys).map(|key| (key.to_string(), Value::Null)).collect());
        assert!(passes(&many(MAX_KEYS)));
        assert!(!passes(&many(MAX_KEYS + 1)));
    }
}

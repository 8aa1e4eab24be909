//! Regular expressions of users: limited in size, cached per thread, and compiled at their first match.
//!
//! Compiling takes time and memory in proportion to the size of the compiled program, which a short text can
//! make huge (`\w{200}`). The size is estimated before compilation, from the intermediate form (`Hir`) of the
//! pattern, in which repetitions are not unrolled. The estimate depends on the text alone, and a cached
//! pattern keeps it. So whether a pattern is accepted does not depend on what was cached or compiled before.
//!
//! Two steps before the estimate take time as well. Parsing the text to a syntax tree takes time by the
//! length of the text. Translating the tree to the intermediate form may take a *lookup* per character: in a
//! character class that ignores case, the translation looks up the other cases of each character.
//! [`case_folding`] computes an upper bound of the number of lookups. The length and the lookups count as
//! size.

mod case_folding;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use miko_rpc::memory;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// The maximal estimated size of one regular expression in bytes. `^\w{1,255}$` has about half of it.
pub(crate) const MAX_SIZE: u64 = 64 << 20;

/// The maximal total of the estimated sizes of the regular expressions in one request or one class
/// definition.
pub(crate) const MAX_TOTAL: u64 = 2 * MAX_SIZE;

/// The estimated size of a pattern is at least this number times the length of its text. This bounds the
/// length of a text, and so the time in which its syntax tree is made.
const SIZE_PER_BYTE: u64 = 2 << 10;

/// A pattern is too large if this number, times the number of its lookups, exceeds [`MAX_SIZE`]. This bounds
/// the time in which a syntax tree is translated: a lookup takes some nanoseconds.
const SIZE_PER_LOOKUP: u64 = 2;

/// Lookups take time, but no memory. So only this fraction (1/8) of their size counts towards the estimated
/// size of a pattern. With this fraction the patterns of 25 fields for names, such as
/// `(?i)^[\p{L}\p{M}' -]+$`, are together within [`MAX_TOTAL`].
const LOOKUPS_DIVISOR: u64 = 8;

/// The maximal total of the estimated sizes of the patterns in the pattern cache of a thread, in bytes,
/// without a memory limit.
const MAX_CACHED_SIZE: u64 = 2 * MAX_TOTAL;

/// The patterns in the pattern cache of a thread may take this fraction (1/16) of a memory limit.
const CACHE_DIVISOR: u64 = 16;

/// The expected number of patterns in the pattern cache of a thread.
const CACHED_PATTERNS: usize = 64;

/// A well-formed regular expression of acceptable size. It is compiled when it is first matched.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Arc<SharedPattern>);

#[derive(Debug)]
struct SharedPattern {
    text: String,
    /// The estimated size of the pattern in bytes: that of the compiled program and the counted part of the
    /// lookups, or [`SIZE_PER_BYTE`] times the length of the text, if that is more.
    size: u64,
    compiled: OnceLock<Result<Regex, regex::Error>>,
}

/// The reason for refusing a pattern.
#[derive(Debug, Clone)]
pub(crate) enum PatternFault {
    /// The text is not a regular expression.
    Malformed(String),
    /// The pattern exceeds [`MAX_SIZE`].
    TooLarge,
    /// The pattern and those before it together exceed [`MAX_TOTAL`].
    TooLargeTogether,
}

impl PatternFault {
    /// The exceeded limit in bytes; `None` if the pattern is malformed.
    pub(crate) fn limit(&self) -> Option<u64> {
        match self {
            Self::Malformed(_) => None,
            Self::TooLarge => Some(MAX_SIZE),
            Self::TooLargeTogether => Some(MAX_TOTAL),
        }
    }
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "this is not a regular expression: {reason}"),
            Self::TooLarge => f.write_str("the regular expression is too large or too costly to compile"),
            Self::TooLargeTogether => {
                f.write_str("the regular expressions are together too large or too costly to compile")
            }
        }
    }
}

impl Pattern {
    /// Parses a pattern, or takes it from the pattern cache of this thread.
    pub(crate) fn new(text: &str) -> Result<Self, PatternFault> {
        thread_local! {
            static PATTERNS: RefCell<Cache<String, Pattern, SizeWeighter>> =
                RefCell::new(Cache::with_weighter(CACHED_PATTERNS, MAX_CACHED_SIZE, SizeWeighter));
        }
        PATTERNS.with_borrow_mut(|patterns| {
            if let Some(pattern) = patterns.get(text) {
                return Ok(pattern.clone());
            }
            let pattern = Self::parse(text)?;
            // The memory limit may have been set since the cache was made.
            let capacity = cache_capacity(memory::current_limit());
            if patterns.capacity() != capacity {
                patterns.set_capacity(capacity);
            }
            patterns.insert(text.to_owned(), pattern.clone());
            Ok(pattern)
        })
    }

    fn parse(text: &str) -> Result<Self, PatternFault> {
        let text_size = SIZE_PER_BYTE.saturating_mul(text.len() as u64);
        if text_size > MAX_SIZE {
            return Err(PatternFault::TooLarge);
        }
        let malformed = |fault: &dyn fmt::Display| PatternFault::Malformed(fault.to_string());
        let tree = Parser::new().parse(text).map_err(|fault| malformed(&fault))?;
        let lookups_size = SIZE_PER_LOOKUP.saturating_mul(case_folding::lookups(&tree));
        if lookups_size > MAX_SIZE {
            return Err(PatternFault::TooLarge);
        }
        let hir = Translator::new().translate(text, &tree).map_err(|fault| malformed(&fault))?;
        let lookups_size = lookups_size / LOOKUPS_DIVISOR;
        let size = estimated_size(&hir).saturating_add(FIXED_SIZE + lookups_size).max(text_size);
        if size > MAX_SIZE {
            return Err(PatternFault::TooLarge);
        }
        Ok(Self(Arc::new(SharedPattern { text: text.to_owned(), size, compiled: OnceLock::new() })))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether the pattern matches some part of `text`. A pattern that does not compile would match nothing;
    /// no such pattern is known.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.compiled().as_ref().is_ok_and(|regex| regex.is_match(text))
    }

    fn compiled(&self) -> &Result<Regex, regex::Error> {
        self.0.compiled.get_or_init(|| {
            // `is_match` has no error to return, so the error is ignored: beyond the memory limit, the next
            // charge of the same call fails.
            let _ = memory::charge(usize::try_from(self.0.size).unwrap_or(usize::MAX));
            // The size is limited already, by the estimate.
            RegexBuilder::new(&self.0.text).size_limit(usize::MAX).build()
        })
    }
}

/// The maximal total of the estimated sizes of the patterns in a pattern cache, with this memory limit.
fn cache_capacity(memory_limit: Option<usize>) -> u64 {
    memory_limit.map_or(MAX_CACHED_SIZE, |limit| MAX_CACHED_SIZE.min(limit as u64 / CACHE_DIVISOR))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// The patterns read so far in a request or a definition. Equal patterns that were accepted count once.
#[derive(Debug, Default)]
pub(crate) struct PatternBudget {
    /// The total estimated size in bytes. A pattern that is malformed or too large alone counts with the size
    /// of its text.
    total: u64,
    read: HashMap<String, Pattern>,
}

impl PatternBudget {
    /// Reads a pattern within the rest of [`MAX_TOTAL`]. If the size of the text alone exceeds this rest, the
    /// pattern is not parsed.
    pub(crate) fn read(&mut self, text: &str) -> Result<Pattern, PatternFault> {
        if let Some(pattern) = self.read.get(text) {
            return Ok(pattern.clone());
        }
        let text_size = SIZE_PER_BYTE.saturating_mul(text.len() as u64);
        // A text that is too large alone is left to `Pattern::new`, whose fault says so.
        if text_size <= MAX_SIZE && self.total.saturating_add(text_size) > MAX_TOTAL {
            return Err(PatternFault::TooLargeTogether);
        }
        let parsed = Pattern::new(text);
        self.total = self.total.saturating_add(parsed.as_ref().map_or(text_size, |pattern| pattern.0.size));
        let pattern = parsed?;
        if self.total > MAX_TOTAL {
            return Err(PatternFault::TooLargeTogether);
        }
        self.read.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }
}

#[derive(Clone)]
struct SizeWeighter;

impl Weighter<String, Pattern> for SizeWeighter {
    fn weight(&self, _: &String, pattern: &Pattern) -> u64 {
        // `Cache` never evicts an entry of weight 0.
        pattern.0.size.max(1)
    }
}

/// The size in bytes of one state of the compiled program.
const STATE_SIZE: u64 = 40;

/// The size of a program without states, in bytes.
const FIXED_SIZE: u64 = 4 << 10;

/// An upper bound of the size of the program to which an intermediate form compiles. Stops early when
/// [`MAX_SIZE`] is exceeded: the result is then larger than [`MAX_SIZE`], but no upper bound.
fn estimated_size(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| {
        let mut size = STATE_SIZE;
        for part in parts {
            size = size.saturating_add(estimated_size(part)).saturating_add(STATE_SIZE);
            if size > MAX_SIZE {
                break;
            }
        }
        size
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE_SIZE,
        HirKind::Literal(literal) => STATE_SIZE.saturating_mul(literal.0.len() as u64),
        HirKind::Class(Class::Unicode(class)) => {
            let sequences =
                class.ranges().iter().flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
            STATE_SIZE + sequences.map(|sequence| STATE_SIZE * sequence.len() as u64).sum::<u64>()
        }
        HirKind::Class(Class::Bytes(class)) => STATE_SIZE + STATE_SIZE * class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            // `x{2,}` compiles to two copies and a loop, which is less than three copies. `x{0}` compiles to
            // nothing: one copy is an upper bound.
            let count = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            let once = estimated_size(&repetition.sub).saturating_add(2 * STATE_SIZE);
            once.saturating_mul(u64::from(count)).saturating_add(STATE_SIZE)
        }
        HirKind::Capture(capture) => estimated_size(&capture.sub).saturating_add(4 * STATE_SIZE),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bounded_repetition_of_word_characters_is_accepted() {
        let pattern = Pattern::new(r"^\w{1,255}$").unwrap();
        assert!(pattern.0.compiled.get().is_none(), "the pattern should be compiled only when it is matched");
        assert!(pattern.is_match(&"ä".repeat(255)) && !pattern.is_match(&"ä".repeat(256)));
        assert!(pattern.0.size < MAX_SIZE, "{}", pattern.0.size);
    }

    #[test]
    fn a_pattern_is_compiled_once() {
        let (one, other) = (Pattern::new("a+b").unwrap(), Pattern::new("a+b").unwrap());
        assert!(one.is_match("aab"));
        assert!(Arc::ptr_eq(&one.0, &other.0) && other.0.compiled.get().is_some());
    }

    #[test]
    fn a_pattern_that_is_too_large_is_refused_before_compilation() {
        for text in [
            r"\w{10000}",
            r"((a{1000}){1000}){1000}",
            &r"\w".repeat(100_000),
            r"(\pL{500}|x){9}",
            &format!("(?i){}", r"\p{any}".repeat(100)),
            &format!("(?i){}", r"[^\p{any}]".repeat(100)),
        ] {
            assert!(matches!(Pattern::new(text), Err(PatternFault::TooLarge)), "{:.30}", text);
        }
        assert!(matches!(Pattern::new("("), Err(PatternFault::Malformed(_))));
    }

    #[test]
    fn patterns_that_ignore_case_are_accepted() {
        for text in [r"(?i)^[\w.+-]+@[\w-]+(\.[\w-]+)+$", r"(?i)\p{L}+\s\p{Lu}", "(?i)^(a|b|[^c-x]){1,50}$"] {
            assert!(Pattern::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn with_a_memory_limit_the_cache_takes_a_sixteenth_of_it() {
        for (limit, capacity) in [(None, 256 << 20), (Some(64 << 20), 4 << 20), (Some(64 << 30), 256 << 20)] {
            assert_eq!(cache_capacity(limit), capacity);
        }
    }

    #[test]
    fn equal_patterns_count_once() {
        let mut budget = PatternBudget::default();
        assert!((0..100).all(|_| budget.read(r"^\w{1,255}$").is_ok()));
        let mut others = (200..220).map(|count| budget.read(&format!(r"\w{{{count}}}")));
        assert!(others.any(|other| matches!(other, Err(PatternFault::TooLargeTogether))));
    }

    proptest! {
        #[test]
        fn no_program_exceeds_its_estimated_size(
            text in concat!(
                r"((\\w|\\pL|.|\[a-z\]|\[\\u\{81\}-\\u\{10FFFE\}\]|abc|\(x\|yz\|é\)|\(\?i:k\)|\^|\\b)",
                r"(\{[0-9]\}|\{1,9\}|\*|\+\?|)){1,6}",
            ),
        ) {
            let parsed = regex_syntax::parse(&text);
            prop_assume!(parsed.is_ok());
            let limit = usize::try_from(estimated_size(&parsed.unwrap()) + FIXED_SIZE).unwrap();
            let compiled = RegexBuilder::new(&text).size_limit(limit).build();
            prop_assert!(compiled.is_ok(), "{text}: more than {limit}");
        }
    }
}

//! A cache of parsed stacks, by their text: most records of a class have equal stacks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use miko_rpc::Result;
use serde_json::{Map, Value};

use crate::engine::store::stored_json::{MAX_CACHED_STACK_LENGTH, parse_object};

/// The most stacks that are kept. All are dropped when one more is added.
const MAX_STACKS: usize = 256;

/// The cache of parsed stacks. It need not be cleared after a write: a parsed stack depends only on its
/// text.
#[derive(Debug, Default)]
pub(super) struct ParsedStacks(RefCell<Stacks>);

/// Stacks by their text.
type Stacks = HashMap<Box<str>, Arc<Map<String, Value>>, RandomState>;

impl ParsedStacks {
    /// Parses the stored text of a stack, or takes the parsed stack from this cache.
    ///
    /// # Errors
    /// `internal`, if the text is not a JSON object.
    pub(super) fn parse(&self, text: &str) -> Result<Arc<Map<String, Value>>> {
        let mut stacks = self.0.borrow_mut();
        if let Some(stack) = stacks.get(text) {
            return Ok(Arc::clone(stack));
        }
        let stack = Arc::new(parse_object(text)?);
        if text.len() <= MAX_CACHED_STACK_LENGTH {
            if stacks.len() == MAX_STACKS {
                stacks.clear();
            }
            stacks.insert(text.into(), Arc::clone(&stack));
        }
        Ok(stack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_stacks_are_parsed_once_and_their_number_is_bounded() {
        let stacks = ParsedStacks::default();
        for number in 0..3 * MAX_STACKS {
            let text = format!("{{\"x\":{{\"class\":\"a.b/x{number}\"}}}}");
            let parsed = [(); 2].map(|()| stacks.parse(&text).unwrap());
            assert!(Arc::ptr_eq(&parsed[0], &parsed[1]));
            assert_eq!(parsed[0]["x"]["class"], format!("a.b/x{number}"));
            assert!(stacks.0.borrow().len() <= MAX_STACKS);
        }
        let long = format!("{{\"x\":{{\"class\":\"{}\"}}}}", "x".repeat(MAX_CACHED_STACK_LENGTH));
        let parsed = [(); 2].map(|()| stacks.parse(&long).unwrap());
        assert!(parsed[0] == parsed[1] && !Arc::ptr_eq(&parsed[0], &parsed[1]));
        assert!(stacks.parse("[]").is_err());
    }
}

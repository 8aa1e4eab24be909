//! The approximate size of a select or a filter in bytes. Testing one record against a filter costs the more,
//! the larger this size is. So a limit of the size bounds the cost.

use std::fmt::{self, Display, Write as _};

use crate::query::filter::{DeferredResult, Filter};
use crate::query::select::SelectRequest;
use crate::query::sort::{SortBy, SortKey};

/// The number of bytes that each filter, class, pk, path and sort key counts, in addition to the length of
/// its text.
const PART_SIZE: usize = 32;

/// The size of a list of pks is divided by this number, because the pk of a record is looked up in a long
/// list, not compared with each element.
const PK_DIVISOR: usize = 16;

impl SelectRequest {
    /// The approximate size of the filter and the sort keys, in bytes.
    pub(crate) fn approximate_size(&self) -> usize {
        self.filter.approximate_size() + self.sorts.iter().map(SortKey::approximate_size).sum::<usize>()
    }
}

impl SortKey {
    fn approximate_size(&self) -> usize {
        match &self.by {
            SortBy::Bucket(path) => PART_SIZE + display_length(path),
            SortBy::Pk | SortBy::CreatedAt | SortBy::UpdatedAt => PART_SIZE,
        }
    }
}

impl Filter {
    /// The approximate size of the filter in bytes. The value of a placeholder counts wherever the
    /// placeholder is used; a deferred error counts nothing. The recursion is bounded, because filters nest
    /// no deeper than [`MAX_DEPTH`](crate::json::MAX_DEPTH).
    pub(crate) fn approximate_size(&self) -> usize {
        let Self { classes, pks, path, all, any, negated: _, then } = self;
        let size_of_texts = |texts: &[String]| texts.iter().map(|text| PART_SIZE + text.len()).sum::<usize>();
        let nested = [all, any].into_iter().flat_map(valid_part).flatten().flatten();
        PART_SIZE
            + valid_part(classes).map_or(0, |classes| size_of_texts(classes))
            + valid_part(pks).map_or(0, |pks| size_of_texts(pks)).div_ceil(PK_DIVISOR)
            + valid_part(path).map_or(0, |path| PART_SIZE + display_length(path))
            + nested
                .chain(then.as_deref().and_then(|then| then.as_ref().ok()))
                .map(Self::approximate_size)
                .sum::<usize>()
    }
}

/// A part, if it is present and is not a deferred error.
fn valid_part<T>(part: &Option<DeferredResult<T>>) -> Option<&T> {
    part.as_ref()?.as_ref().ok()
}

/// The length in bytes of the text that `Display` writes, without storing the text.
fn display_length(value: &impl Display) -> usize {
    struct Length(usize);
    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    // Writing to a `Length` does not fail.
    let _ = write!(length, "{value}");
    length.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn size_of(condition: Value) -> usize {
        Filter::of_condition(&condition).unwrap().approximate_size()
    }

    #[test]
    fn the_size_counts_all_parts_and_the_values_of_placeholders() {
        assert_eq!(size_of(json!({})), PART_SIZE);
        assert_eq!(size_of(json!({"class": "a.b/c"})), 2 * PART_SIZE + 5);
        let pks = (2 * PART_SIZE + 3).div_ceil(PK_DIVISOR);
        assert_eq!(size_of(json!({"pk": ["x", "yz"]})), PART_SIZE + pks);
        assert_eq!(size_of(json!({"path": ["n", 5]})), 2 * PART_SIZE + r#"["n",5]"#.len());
        let path = json!({"path": ["n", "x".repeat(100)]});
        let of_path = size_of(path.clone());
        for nested in [json!({"all": [path]}), json!({"any": [path], "not": true}), json!({"then": path})] {
            assert_eq!(size_of(nested.clone()), PART_SIZE + of_path, "{nested}");
        }
        let placeholder = json!({"placeholder": "p"});
        let twice = json!({"placeholders": {"p": path}, "all": [placeholder, {"any": [placeholder]}]});
        assert_eq!(size_of(twice), 2 * PART_SIZE + 2 * of_path);
    }
}

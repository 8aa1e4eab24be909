//! Faults that are gathered while an input is read, within a bound.

use serde_json::Value;

use super::{Error, ErrorItem, Result};

/// How many faults of one request, schema or worldlet are listed. The list ends with one more item that says how
/// many were left out, as its detail `omitted`; the same holds for warnings.
///
/// ```
/// use miko_core::{Engine, MAX_REPORTED_FAULTS, Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let classes = vec![json!(1); MAX_REPORTED_FAULTS + 5];
/// let request = json!({"action": "select", "class": classes});
/// let error = SqliteEngine::in_memory()?.q0(request).unwrap_err();
/// assert_eq!(error.items().len(), MAX_REPORTED_FAULTS + 1);
/// assert_eq!(error.items()[MAX_REPORTED_FAULTS].details["omitted"], 5);
/// # Ok::<(), miko_core::Error>(())
/// ```
pub const MAX_REPORTED_FAULTS: usize = 100;

/// Once the listed faults have so many bytes, no more are listed: a fault repeats keys and values of the input.
const MAX_REPORTED_BYTES: usize = 1 << 20;

/// The detail that says how many were left out.
const OMITTED: &str = "omitted";

/// Faults or warnings: the first ones in full, the others as a number.
#[derive(Debug, Default)]
pub(crate) struct FaultList {
    items: Vec<ErrorItem>,
    /// The bytes of `items`, about.
    bytes: usize,
    /// The first fault that is not listed, without its details, and how many there are of these.
    /// Boxed, since few lists have it and each request has several lists.
    omitted: Option<Box<(ErrorItem, usize)>>,
}

impl FaultList {
    /// Adds a fault. One that says how many were left out of another list counts as so many.
    pub(crate) fn push(&mut self, item: ErrorItem) {
        let left_out = item.details.get(OMITTED).and_then(Value::as_u64);
        if let Some(count) = left_out {
            self.omit(item, usize::try_from(count).unwrap_or(usize::MAX));
        } else if self.is_full() {
            self.omit(ErrorItem::new(item.id, ""), 1);
        } else {
            self.bytes +=
                item.details.iter().map(|(key, value)| key.len() + size_of_value(value)).sum::<usize>();
            self.items.push(item);
        }
    }

    /// Adds the faults of another list.
    pub(crate) fn append(&mut self, other: Self) {
        self.append_with(other, |item| item);
    }

    /// Adds the faults of another list, each with what `complete` adds to it.
    pub(crate) fn append_with(&mut self, other: Self, complete: impl FnMut(ErrorItem) -> ErrorItem) {
        self.extend(other.items.into_iter().map(complete));
        if let Some((item, count)) = other.omitted.map(|omitted| *omitted) {
            self.omit(item, count);
        }
    }

    /// How many faults there are, listed or not.
    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.omitted.as_ref().map_or(0, |omitted| omitted.1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The faults that are listed.
    pub(crate) fn listed(&self) -> &[ErrorItem] {
        &self.items
    }

    /// Keeps the listed faults for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&ErrorItem) -> bool) {
        self.items.retain(keep);
    }

    /// Sorts the listed faults by their text.
    pub(crate) fn sort(&mut self) {
        self.items.sort_by_cached_key(ToString::to_string);
    }

    /// The faults that are listed, and how many were left out.
    pub(crate) fn into_items(self) -> Vec<ErrorItem> {
        let mut items = self.items;
        items.extend(self.omitted.map(|omitted| {
            let (item, count) = *omitted;
            let message = format!("{count} more are not listed: mend these first");
            ErrorItem::new(item.id, message).with(OMITTED, count)
        }));
        items
    }

    /// `Ok` when there are none.
    ///
    /// # Errors
    /// All of them as one error.
    pub(crate) fn check(self) -> Result<()> {
        Error::check(self.into_items())
    }

    fn is_full(&self) -> bool {
        self.items.len() >= MAX_REPORTED_FAULTS || self.bytes >= MAX_REPORTED_BYTES
    }

    fn omit(&mut self, item: ErrorItem, more: usize) {
        let omitted = self.omitted.get_or_insert_with(|| Box::new((item, 0)));
        omitted.1 = omitted.1.saturating_add(more);
    }
}

impl Extend<ErrorItem> for FaultList {
    fn extend<I: IntoIterator<Item = ErrorItem>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

/// The bytes of the texts in a value, and of what holds them, about.
fn size_of_value(value: &Value) -> usize {
    let content = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size_of_value).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size_of_value(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorId;

    fn fault(message: &str) -> ErrorItem {
        ErrorItem::new(ErrorId::INVALID_REQUEST, message)
    }

    #[test]
    fn faults_beyond_the_bound_are_counted() {
        for (count, omitted) in [(0, None), (1, None), (100, None), (101, Some(1)), (5000, Some(4900))] {
            let mut list = FaultList::default();
            list.extend((0..count).map(|n| fault(&n.to_string())));
            assert_eq!(list.len(), count);
            let items = list.into_items();
            assert_eq!(items.len(), count.min(MAX_REPORTED_FAULTS) + usize::from(omitted.is_some()));
            let told = items.last().and_then(|item| item.details.get("omitted")?.as_u64());
            assert_eq!(told, omitted, "{count}");
        }
    }

    #[test]
    fn large_faults_are_counted_sooner() {
        let mut list = FaultList::default();
        let huge = "x".repeat(MAX_REPORTED_BYTES);
        list.extend((0..10).map(|_| fault(&huge)));
        let items = list.into_items();
        assert_eq!(
            (items.len(), &items[1].details["omitted"]),
            (2, &9.into()),
            "the first one is always told"
        );
    }

    #[test]
    fn lists_are_joined_with_what_they_left_out() {
        let mut list = FaultList::default();
        for _ in 0..3 {
            let mut other = FaultList::default();
            other.extend((0..150).map(|_| fault("")));
            list.append_with(other, |item| item.with("place", 1));
        }
        let mut other = FaultList::default();
        other.extend(list.into_items());
        let list = other;
        assert_eq!(list.len(), 450);
        assert!(list.listed().iter().all(|item| item.details["place"] == 1));
        assert_eq!(list.into_items()[MAX_REPORTED_FAULTS].details["omitted"], 350);
    }
}

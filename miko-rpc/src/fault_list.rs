//! A bounded list of faults.

use serde_json::Value;

use crate::error::{Error, ErrorItem, Result};

/// The maximal number of listed faults of one request, schema or worldlet. If there are more, a last item has
/// their number as its detail `omitted`. The same holds for warnings.
///
/// ```
/// use miko_rpc::{ErrorId, ErrorItem, FaultList, MAX_REPORTED_FAULTS};
///
/// let mut faults = FaultList::default();
/// for index in 0..MAX_REPORTED_FAULTS + 5 {
///     faults.push(ErrorItem::new(ErrorId::INVALID_REQUEST, "this is no class").with("index", index));
/// }
/// let error = faults.check().unwrap_err();
/// assert_eq!(error.items().len(), MAX_REPORTED_FAULTS + 1);
/// assert_eq!(error.items()[MAX_REPORTED_FAULTS].details["omitted"], 5);
/// ```
pub const MAX_REPORTED_FAULTS: usize = 100;

/// The maximal total size of the listed faults in bytes: a fault repeats keys and values of the input.
const MAX_REPORTED_BYTES: usize = 1 << 20;

/// The detail with the number of omitted faults.
const OMITTED: &str = "omitted";

/// Faults or warnings: the first ones in full, and the number of the others.
#[derive(Debug, Default)]
pub struct FaultList {
    items: Vec<ErrorItem>,
    /// The approximate size of `items`.
    bytes: usize,
    /// The first omitted fault without its details, and the number of omitted faults. Boxed, since few lists
    /// have it and each request has several lists.
    omitted: Option<Box<(ErrorItem, usize)>>,
}

impl FaultList {
    /// Adds a fault. An item with the detail `omitted` adds that number of omitted faults.
    pub fn push(&mut self, item: ErrorItem) {
        let omitted_count = item.details.get(OMITTED).and_then(Value::as_u64);
        if let Some(count) = omitted_count {
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
    pub fn append(&mut self, other: Self) {
        self.append_with(other, |item| item);
    }

    /// Adds the faults of another list after applying `complete` to the listed ones.
    pub fn append_with(&mut self, other: Self, complete: impl FnMut(ErrorItem) -> ErrorItem) {
        self.extend(other.items.into_iter().map(complete));
        if let Some((item, count)) = other.omitted.map(|omitted| *omitted) {
            self.omit(item, count);
        }
    }

    /// The number of faults, listed or omitted.
    pub fn len(&self) -> usize {
        self.items.len() + self.omitted.as_ref().map_or(0, |omitted| omitted.1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The listed faults.
    pub fn listed(&self) -> &[ErrorItem] {
        &self.items
    }

    /// Keeps the listed faults for which `keep` returns true.
    pub fn retain(&mut self, keep: impl FnMut(&ErrorItem) -> bool) {
        self.items.retain(keep);
    }

    /// Sorts the listed faults by their text.
    pub fn sort(&mut self) {
        self.items.sort_by_cached_key(ToString::to_string);
    }

    /// The listed faults, and an item with the number of omitted ones.
    pub fn into_items(self) -> Vec<ErrorItem> {
        let mut items = self.items;
        items.extend(self.omitted.map(|omitted| {
            let (item, count) = *omitted;
            let message = format!("{count} more are not listed: correct the listed ones first");
            ErrorItem::new(item.id, message).with(OMITTED, count)
        }));
        items
    }

    /// `Ok` if the list is empty.
    ///
    /// # Errors
    /// All faults as one error.
    pub fn check(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Error::check(self.into_items()) }
    }

    /// Whether further faults are counted, and not listed.
    pub fn is_full(&self) -> bool {
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

/// The approximate size of a value in bytes.
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
    fn fewer_large_faults_are_listed() {
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
    fn appending_a_list_adds_its_omitted_faults() {
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

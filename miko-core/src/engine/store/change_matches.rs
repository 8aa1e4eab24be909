//! Which changes of a commit a subscriber gets, and in which form. Live queries use [`ChangedRecord`],
//! [`StackClasses`] and [`before_and_after`], too.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::{FixedState, RandomState};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::change::{Change, ChangeKind};
use crate::class::Catalog;
use crate::engine::store::changes::LoggedCommit;
use crate::engine::store::stored_json::{self, MAX_CACHED_STACK_LENGTH};
use crate::json::Object;
use crate::query::{Filter, RecordView};
use crate::record::Record;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::{RecordRef, Row};
use crate::storage::write_set::RowChange;
use crate::timestamp::Timestamp;
use crate::uns;

/// The most distinct stacks whose classes are cached.
const MAX_STACKS: usize = 1024;

/// The records whose changes a subscription delivers.
#[derive(Debug)]
pub(super) struct Interest {
    /// The filter of the target of the subscription. The records that it matches are the set of the
    /// subscription.
    pub(super) filter: Filter,
    /// Whether changes by which a record leaves the set are delivered ([`ChangeKind::Leave`]).
    pub(super) leaving: bool,
}

/// A change of a commit that a subscriber gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    /// The index of the change in [`LoggedCommit::changes`].
    pub(super) index: usize,
    pub(super) kind: ChangeKind,
}

/// A cache of the classes of stacks, by the texts of the stacks: most records of a class have equal stacks.
#[derive(Debug, Default)]
pub(super) struct StackClasses(HashMap<Box<str>, Arc<[String]>, RandomState>);

impl StackClasses {
    /// The classes of a stack, the primary class first.
    pub(super) fn of(&mut self, stack: &str) -> Arc<[String]> {
        if let Some(classes) = self.0.get(stack) {
            return Arc::clone(classes);
        }
        // The store has written the stack, so it can be parsed. If not, the record counts as having no
        // classes.
        let parsed = stored_json::parse_object(stack).unwrap_or_default();
        let classes: Arc<[String]> = stack::classes(&parsed).into_iter().map(str::to_owned).collect();
        if stack.len() <= MAX_CACHED_STACK_LENGTH {
            // A full cache begins anew: stacks that are in use are soon cached again.
            if self.0.len() >= MAX_STACKS {
                self.0.clear();
            }
            self.0.insert(stack.into(), Arc::clone(&classes));
        }
        classes
    }
}

/// A record as it was before or after a change, with what a filter needs to test it: the classes of the
/// record and the class definitions.
pub(super) struct ChangedRecord<'r> {
    record: RecordRef<'r>,
    classes: Arc<[String]>,
    catalog: &'r Catalog,
}

impl<'r> ChangedRecord<'r> {
    pub(super) fn of(record: RecordRef<'r>, classes: &mut StackClasses, catalog: &'r Catalog) -> Self {
        Self { record, classes: classes.of(record.stack), catalog }
    }

    /// A hash of all that a reader sees of the record, except its pk. Equal content always has the same hash,
    /// since the hasher has a fixed seed. So a live query finds changed records by their hashes.
    pub(super) fn content_hash(&self) -> u64 {
        let RecordRef { pk: _, bucket, stack, extras, created_at, updated_at } = self.record;
        FixedState::default().hash_one((bucket, stack, extras, created_at, updated_at))
    }
}

impl RecordView for ChangedRecord<'_> {
    fn pk(&self) -> &str {
        self.record.pk
    }

    fn bucket(&self) -> &str {
        self.record.bucket
    }

    fn is_instance_of(&self, classes: &[String]) -> bool {
        self.classes.iter().any(|class| self.catalog.is_subclass_of_any(class, classes))
    }

    fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.record.updated_at
    }
}

/// The changes of a commit that a subscriber gets, in the order of the commit.
pub(super) fn matches_of(
    commit: &LoggedCommit,
    interest: &Interest,
    classes: &mut StackClasses,
    catalog: &Catalog,
) -> Vec<Match> {
    let mut is_in =
        |record: RecordRef<'_>| is_in_set(&interest.filter, &ChangedRecord::of(record, classes, catalog));
    let mut kind_of = |change: &RowChange<RowId, Row>| match before_and_after(change) {
        (None, None) => None,
        (None, Some(after)) => is_in(after).then_some(ChangeKind::Create),
        (Some(before), None) => is_in(before).then_some(ChangeKind::Delete),
        (Some(before), Some(after)) if is_equal(before, after) => None,
        (Some(_), Some(after)) if is_in(after) => Some(ChangeKind::Update),
        (Some(before), Some(_)) => (interest.leaving && is_in(before)).then_some(ChangeKind::Leave),
    };
    let changes = commit.changes.iter().enumerate();
    changes.filter_map(|(index, change)| Some(Match { index, kind: kind_of(change)? })).collect()
}

fn is_in_set(filter: &Filter, record: &ChangedRecord<'_>) -> bool {
    // The filter of a target cannot fail: `Target::filter` refuses a condition with a part that may.
    filter.matches(record).unwrap_or(false)
}

/// The record before and after a change; `None` where the record is not active.
pub(super) fn before_and_after(
    change: &RowChange<RowId, Row>,
) -> (Option<RecordRef<'_>>, Option<RecordRef<'_>>) {
    (change.before.as_ref().and_then(Row::view), change.after.as_ref().and_then(Row::view))
}

/// Whether a reader sees no difference between two states of a record. An example is a record that an import
/// has stored again, unchanged. An update that changes no value still changes `updated_at`.
fn is_equal(before: RecordRef<'_>, after: RecordRef<'_>) -> bool {
    before.updated_at == after.updated_at
        && before.created_at == after.created_at
        && (before.bucket, before.stack, before.extras) == (after.bucket, after.stack, after.extras)
}

/// A change as a subscriber gets it. `kind` is the kind of the [`Match`]: a match has a record before or
/// after the change. For `seq` and `last`, see [`Change`].
pub(super) fn change_of(
    change: &RowChange<RowId, Row>,
    kind: ChangeKind,
    seq: i64,
    last: bool,
    classes: &mut StackClasses,
) -> Change {
    let (before, after) = before_and_after(change);
    // The default is never used: a match has a record before or after.
    let (pk, stack) = after.or(before).map_or(("", "{}"), |record| (record.pk, record.stack));
    Change {
        seq,
        kind,
        pk: pk.to_owned(),
        class: classes.of(stack).first().map_or(uns::RECORD, String::as_str).to_owned(),
        record: after.map(Record::from),
        fields: changed_fields(before.map(|record| record.bucket), after.map(|record| record.bucket)),
        last,
    }
}

/// The approximate size of a change in memory, in bytes.
pub(super) fn change_size(change: &Change) -> usize {
    let record_size = change.record.as_ref().map_or(0, |record| {
        record.bucket.as_str().len()
            + record.stack.as_str().len()
            + record.extras.as_ref().map_or(0, |extras| extras.as_str().len())
    });
    // The change and its record each have the pk.
    let pks = 2 * change.pk.len();
    size_of::<Change>() + pks + change.class.len() + change.fields.as_str().len() + record_size
}

/// The fields whose texts differ between the buckets before and after a change, as [`Change::fields`] has
/// them. They are in the order of the bucket after; fields that this bucket lacks come last. A bucket is
/// `None` if the record does not exist then.
fn changed_fields(before: Option<&str>, after: Option<&str>) -> Object {
    let (before, after) = (members(before), members(after));
    let old_values: HashMap<&str, &str, RandomState> =
        before.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
    let mut fields = Fields(String::from("{"));
    for (name, new) in &after {
        let old = old_values.get(name.as_str()).copied();
        if old != Some(new.get()) {
            fields.push(name, old, Some(new.get()));
        }
    }
    if !before.is_empty() {
        let new_names: HashSet<&str, RandomState> = after.iter().map(|(name, _)| name.as_str()).collect();
        for (name, old) in before.iter().filter(|(name, _)| !new_names.contains(name.as_str())) {
            fields.push(name, Some(old.get()), None);
        }
    }
    fields.0.push('}');
    Object::from_stored_text(fields.0)
}

/// The JSON text of [`Change::fields`] so far, without the closing brace.
struct Fields(String);

impl Fields {
    /// Adds a field with the texts of its old and new value; `None` if the old or the new bucket lacks the
    /// field.
    fn push(&mut self, name: &str, old: Option<&str>, new: Option<&str>) {
        let text = &mut self.0;
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(name).to_string());
        text.push_str(":{");
        if let Some(old) = old {
            text.push_str("\"old\":");
            text.push_str(old);
        }
        if let Some(new) = new {
            text.push_str(if old.is_some() { ",\"new\":" } else { "\"new\":" });
            text.push_str(new);
        }
        text.push('}');
    }
}

/// The members of a stored bucket, in their order, with the texts of their values.
fn members(bucket: Option<&str>) -> Vec<(String, &RawValue)> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let Some(bucket) = bucket else { return Vec::new() };
    // The store has written the bucket, so it can be parsed. If not, it counts as having no fields.
    serde_json::Deserializer::from_str(bucket).deserialize_map(Members).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_short_stacks_are_kept_and_their_number_is_bounded() {
        let mut classes = StackClasses::default();
        for number in 0..3 * MAX_STACKS {
            let stack = format!("{{\"shadow\":{{}},\"x\":{{\"class\":\"a.b/x{number}\"}}}}");
            let found = [(); 2].map(|()| classes.of(&stack));
            assert!(Arc::ptr_eq(&found[0], &found[1]));
            assert_eq!(*found[0], [format!("a.b/x{number}")]);
            assert!(classes.0.len() <= MAX_STACKS);
        }
        let cached = classes.0.len();
        let bucket = "x".repeat(MAX_CACHED_STACK_LENGTH);
        let stack = format!("{{\"x\":{{\"class\":\"a.b/x\",\"bucket\":{{\"n\":\"{bucket}\"}}}}}}");
        assert_eq!(*classes.of(&stack), ["a.b/x"]);
        assert_eq!(classes.0.len(), cached, "a long stack is not kept");
    }

    #[test]
    fn changed_fields_are_those_whose_texts_differ() {
        let cases = [
            (None, None, "{}"),
            (None, Some(r#"{"a":1,"b":{}}"#), r#"{"a":{"new":1},"b":{"new":{}}}"#),
            (Some(r#"{"a":null}"#), None, r#"{"a":{"old":null}}"#),
            (Some(r#"{"a":1,"b":2}"#), Some(r#"{"b":2,"a":1}"#), "{}"),
            (
                Some(r#"{"a":1,"b":[1,{"x":2}],"c":3}"#),
                Some(r#"{"d":4,"a":1,"b":[1,{"x":3}]}"#),
                r#"{"d":{"new":4},"b":{"old":[1,{"x":2}],"new":[1,{"x":3}]},"c":{"old":3}}"#,
            ),
            (Some(r#"{"n":1}"#), Some(r#"{"n":null}"#), r#"{"n":{"old":1,"new":null}}"#),
            (None, Some(r#"{"\"\\é\u0001":1e5}"#), r#"{"\"\\é\u0001":{"new":1e5}}"#),
            (
                None,
                Some(r#"{"$serde_json::private::RawValue":"1"}"#),
                r#"{"$serde_json::private::RawValue":{"new":"1"}}"#,
            ),
        ];
        for (before, after, expected) in cases {
            assert_eq!(changed_fields(before, after).as_str(), expected);
        }
    }
}

//! Stacks: JSON objects with the shadow as first member, and the platters as further members.
//!
//! A platter has a class; the shadow has none.

use std::collections::{HashMap, HashSet};

use miko_rpc::ErrorItem;
use serde_json::{Map, Value, json};

use crate::diagnostics::readers::{self, refuse};
use crate::diagnostics::{Faults, Place};
use crate::uns;

const SHADOW: &str = "shadow";

/// The maximal number of platters of a stack in a request. For each platter, a bucket may be validated and
/// indexed.
const MAX_PLATTERS: usize = 1_000;

/// The first number that [`unused_key`] appends to make the key of a platter unique.
const FIRST_NUMBER: usize = 2;

/// Up to this number of members of a stack, a linear search is faster than hashing.
const LINEAR_SCAN_MAX: usize = 8;

/// The stack that a write specifies.
#[derive(Debug)]
pub(crate) struct Stack {
    /// `None` if the write specifies no shadow: an existing record then keeps its shadow, and a new record
    /// gets an empty one.
    shadow: Option<Value>,
    /// At least one platter, each with a class.
    platters: Map<String, Value>,
}

impl Stack {
    /// A stack with one platter, of this class.
    pub(crate) fn of_class(class: String) -> Self {
        let (mut platters, mut next_number) = (Map::new(), FIRST_NUMBER);
        // The key is the last segment of the class, unless the segment is `shadow`.
        let key = unused_key(&class, &platters, &mut next_number);
        platters.insert(key, json!({ "class": class }));
        Self { shadow: None, platters }
    }

    /// A stack with a platter for each of these classes.
    fn of_classes(classes: Vec<String>) -> Self {
        let mut platters = Map::new();
        // By the last segment of a class: the next number to try for a key. Without these numbers, many
        // platters of one class would take quadratic time.
        let mut next_numbers = HashMap::new();
        for class in classes {
            let next_number = next_numbers.entry(last_segment(&class).to_owned()).or_insert(FIRST_NUMBER);
            let key = unused_key(&class, &platters, next_number);
            platters.insert(key, json!({ "class": class }));
        }
        Self { shadow: None, platters }
    }

    /// Reads `class`. Null stands for `puck.uno/record`.
    pub(crate) fn read_class(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        read_primary(value, place, faults).map(Self::of_class)
    }

    /// Reads `classes`: an array of class names, or an object of platters.
    pub(crate) fn read_classes(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::Array(classes) if classes.is_empty() => refuse(faults, place.fault(NO_PLATTER)),
            Value::Array(classes) if classes.len() > MAX_PLATTERS => {
                refuse(faults, too_many_platters(classes.len(), place))
            }
            Value::Array(_) => readers::classes(value, place, faults).map(Self::of_classes),
            Value::Object(platters) if platters.contains_key(SHADOW) => {
                let place = Place::Key(place, SHADOW);
                refuse(
                    faults,
                    place.fault("`classes` holds platters with a class; a shadow goes into `stack`"),
                )
            }
            Value::Object(platters) if platters.len() > MAX_PLATTERS => {
                refuse(faults, too_many_platters(platters.len(), place))
            }
            Value::Object(platters) => Self::read_platters(None, platters, place, faults),
            other => {
                refuse(faults, place.wrong_type("an array of class names or an object of platters", &other))
            }
        }
    }

    /// Reads `stack`: all platters, at most [`MAX_PLATTERS`], and before them optionally the shadow.
    pub(crate) fn read_stack(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        if let Value::Object(members) = &value {
            let count = members.len() - usize::from(members.contains_key(SHADOW));
            if count > MAX_PLATTERS {
                return refuse(faults, too_many_platters(count, place));
            }
        }
        Self::read_stored_stack(value, place, faults)
    }

    /// As [`read_stack`](Self::read_stack), for the stack of a stored record, which may have any number of
    /// platters.
    pub(crate) fn read_stored_stack(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let mut members = readers::object(value, place, faults)?;
        let shadow_is_first = members.keys().next().is_some_and(|key| key == SHADOW);
        let shadow = take_shadow(&mut members);
        if let Some(shadow) = &shadow {
            let place = Place::Key(place, SHADOW);
            if !shadow_is_first {
                faults.refuse(place.fault("the shadow must be the first member of a stack"));
            }
            match shadow {
                Value::Object(keys) if keys.contains_key("class") => {
                    faults.refuse(Place::Key(&place, "class").fault("the shadow must not have a `class`"));
                }
                Value::Object(_) => {}
                other => faults.refuse(place.wrong_type("an object", other)),
            }
        }
        Self::read_platters(shadow, members, place, faults)
    }

    /// Validates and normalizes the platters. There must be at least one.
    fn read_platters(
        shadow: Option<Value>,
        mut platters: Map<String, Value>,
        place: &Place<'_>,
        faults: &mut Faults,
    ) -> Option<Self> {
        if platters.is_empty() {
            return refuse(faults, place.fault(NO_PLATTER));
        }
        for (key, platter) in &mut platters {
            normalize_platter(platter, &Place::Key(place, key), faults);
        }
        Some(Self { shadow, platters })
    }

    /// Whether a platter has this class.
    pub(crate) fn has_class(&self, name: &str) -> bool {
        self.platters.values().any(|platter| platter.get("class").is_some_and(|class| class == name))
    }

    /// The stack in its stored form. `shadow_before` is the shadow of the existing record; `None` for a new
    /// record.
    pub(crate) fn into_map(self, shadow_before: Option<Value>) -> Map<String, Value> {
        let mut map = Map::with_capacity(1 + self.platters.len());
        map.insert(SHADOW.to_owned(), self.shadow.or(shadow_before).unwrap_or_else(|| json!({})));
        map.extend(self.platters);
        map
    }
}

const NO_PLATTER: &str = "a stack needs at least one platter";

fn too_many_platters(found: usize, place: &Place<'_>) -> ErrorItem {
    let message = format!("a stack has at most {MAX_PLATTERS} platters");
    place.fault(message).with("allowed", MAX_PLATTERS).with("found", found)
}

/// Reads the primary class. Null stands for `puck.uno/record`.
pub(crate) fn read_primary(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    match value {
        Value::Null => Some(uns::RECORD.to_owned()),
        other => readers::class(other, place, faults),
    }
}

/// Takes the shadow out of a stack, so that only platters remain.
pub(crate) fn take_shadow(stack: &mut Map<String, Value>) -> Option<Value> {
    stack.shift_remove(SHADOW)
}

/// Whether a stored stack has a class.
pub(crate) fn has_class(stack: &Map<String, Value>, class: &str) -> bool {
    any_class(stack, |found| found == class)
}

/// Whether a class of a stored stack passes a test.
pub(crate) fn any_class(stack: &Map<String, Value>, passes: impl FnMut(&str) -> bool) -> bool {
    platter_classes(stack).any(passes)
}

/// The class of each platter of a stored stack.
fn platter_classes(stack: &Map<String, Value>) -> impl Iterator<Item = &str> {
    stack.values().filter_map(|platter| platter.get("class")?.as_str())
}

/// The class of the only platter of a stored stack. `None` if there are several platters, or if the platter
/// has an own bucket.
pub(crate) fn sole_class(stack: &Map<String, Value>) -> Option<&str> {
    let mut platters = stack.iter().filter(|(key, _)| *key != SHADOW);
    let (Some((_, platter)), None) = (platters.next(), platters.next()) else { return None };
    if platter.get("bucket").is_some() { None } else { platter.get("class")?.as_str() }
}

/// Whether a class of the stack `old` is not in `new`.
pub(crate) fn leaves_a_class(old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    let (old, new) = (classes(old), classes(new));
    if new.len() <= LINEAR_SCAN_MAX {
        return old.iter().any(|class| !new.contains(class));
    }
    let new: HashSet<&str> = new.into_iter().collect();
    old.iter().any(|class| !new.contains(class))
}

/// The distinct classes of a stored stack.
pub(crate) fn classes(stack: &Map<String, Value>) -> Vec<&str> {
    let classes = platter_classes(stack);
    let mut distinct = Vec::with_capacity(stack.len().min(LINEAR_SCAN_MAX));
    if stack.len() > LINEAR_SCAN_MAX {
        let mut seen = HashSet::with_capacity(stack.len());
        distinct.extend(classes.filter(|class| seen.insert(*class)));
    } else {
        classes.for_each(|class| {
            if !distinct.contains(&class) {
                distinct.push(class)
            }
        });
    }
    distinct
}

/// The members of a stored stack, without repeated platters. A platter is repeated if it applies to the
/// shared bucket, and an earlier platter with the same class does so, too: the two would be validated and
/// indexed alike. A second platter of class `puck.uno/class` is returned as well: it is a fault, which the
/// validation reports.
pub(crate) fn distinct_members(stack: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    // The shadow and one platter are always distinct.
    let has_one_platter = stack.len() <= 2;
    let is_small = stack.len() <= LINEAR_SCAN_MAX;
    let mut seen = HashSet::new();
    let mut is_distinct = move |index: usize, platter| match class_of_shared_bucket(platter) {
        None => true,
        Some(class) if is_small => {
            let mut earlier = stack.values().take(index);
            !earlier.any(|earlier| class_of_shared_bucket(earlier) == Some(class))
        }
        Some(class) => seen.insert(class),
    };
    stack
        .iter()
        .enumerate()
        .filter(move |(index, (_, platter))| has_one_platter || is_distinct(*index, platter))
        .map(|(_, member)| member)
}

/// The class of a platter that [`distinct_members`] may find repeated. `None` for the shadow, for a platter
/// with an own bucket, and for a platter of class `puck.uno/class`.
fn class_of_shared_bucket(platter: &Value) -> Option<&str> {
    let has_own_bucket = platter.get("bucket").is_some_and(Value::is_object);
    let class = platter.get("class")?.as_str().filter(|class| *class != uns::CLASS);
    if has_own_bucket { None } else { class }
}

/// Whether a platter of a stored stack has an own bucket.
pub(crate) fn has_own_buckets(stack: &Map<String, Value>) -> bool {
    stack.values().any(|platter| platter.get("bucket").is_some_and(Value::is_object))
}

/// Replaces the primary class of a stored stack. The other settings of its platter stay. The key of the
/// platter stays as well, unless it is the last segment of the old class: then the new class gives the key.
pub(crate) fn replace_primary(stack: Map<String, Value>, class: String) -> Map<String, Value> {
    let mut replaced = Map::with_capacity(stack.len());
    let mut rest = stack.into_iter();
    // The first member is the shadow.
    replaced.extend(rest.next());
    if let Some((key, mut platter)) = rest.next() {
        let later: Map<String, Value> = rest.collect();
        let old_class = platter.get("class").and_then(Value::as_str).unwrap_or_default();
        let key_is_derived = key == last_segment(old_class);
        let mut next_number = FIRST_NUMBER;
        let key = if key_is_derived { unused_key(&class, &later, &mut next_number) } else { key };
        if let Value::Object(members) = &mut platter {
            members.insert("class".to_owned(), class.into());
        }
        replaced.insert(key, platter);
        replaced.extend(later);
    }
    replaced
}

/// Validates a platter and removes the protocol from its class.
fn normalize_platter(platter: &mut Value, place: &Place<'_>, faults: &mut Faults) {
    let Value::Object(keys) = platter else {
        return faults.refuse(place.wrong_type("an object", platter));
    };
    match keys.get_mut("class") {
        Some(name) => {
            // `None`, which is stored as null, if a fault was reported: the write then fails.
            let class = readers::class(name.take(), &Place::Key(place, "class"), faults);
            *name = class.into();
        }
        None => {
            faults.refuse(place.fault("every platter names a class").with("missing_fields", vec!["class"]))
        }
    }
    match keys.get("bucket") {
        None | Some(Value::Object(_)) => {}
        Some(other) => faults.refuse(Place::Key(place, "bucket").wrong_type("an object", other)),
    }
}

/// The key of a new platter for `class`: the last segment of the class, such as `officer`. If the shadow or
/// one of `platters` has this key, a number is appended, as in `officer_2`: the first number that makes the
/// key unique, from `next_number` on. `next_number` then becomes the number after it.
fn unused_key(class: &str, platters: &Map<String, Value>, next_number: &mut usize) -> String {
    let segment = last_segment(class);
    let is_free = |key: &str| key != SHADOW && !platters.contains_key(key);
    if is_free(segment) {
        return segment.to_owned();
    }
    loop {
        let key = format!("{segment}_{next_number}");
        *next_number += 1;
        if is_free(&key) {
            return key;
        }
    }
}

fn last_segment(class: &str) -> &str {
    class.rsplit('/').next().unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Map<String, Value> {
        let mut faults = Faults::default();
        let reader = if value.is_array() { Stack::read_classes } else { Stack::read_stack };
        let stack = reader(value, &Place::Root, &mut faults).unwrap().into_map(None);
        assert!(faults.into_parts().0.is_empty());
        stack
    }

    #[test]
    fn platter_keys_are_derived_and_unique() {
        let stack = read(json!(["foo.com/a", "bar.com/a", "foo.com/a_2", "foo.com/shadow", "foo.com"]));
        let keys: Vec<_> = stack.keys().map(String::as_str).collect();
        assert_eq!(keys, ["shadow", "a", "a_2", "a_2_2", "shadow_2", "foo.com"]);
        assert_eq!(classes(&stack), ["foo.com/a", "bar.com/a", "foo.com/a_2", "foo.com/shadow", "foo.com"]);
    }

    #[test]
    fn platters_of_one_class_on_the_shared_bucket_count_once() {
        for number in [1, 20] {
            let mut stack = json!({"shadow": {}, "own": {"class": "a.b/c", "bucket": {}}});
            let platters = json!({"a": {"class": "a.b/c"}, "b": {"class": "a.b/d"}, "c": {"class": "a.b/c"}});
            let others = (0..number).map(|n| (format!("x{n}"), json!({"class": "a.b/c"})));
            let stack = stack.as_object_mut().unwrap();
            stack.extend(platters.as_object().unwrap().clone().into_iter().chain(others));
            let keys: Vec<_> = distinct_members(stack).map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["shadow", "own", "a", "b"]);
        }
    }

    #[test]
    fn a_derived_key_follows_its_class_and_a_chosen_one_stays() {
        let derived = read(json!({"a": {"class": "foo.com/a", "sticky": true}, "b": {"class": "foo.com/b"}}));
        let stack = replace_primary(derived, "foo.com/b".to_owned());
        assert_eq!(
            Value::Object(stack).to_string(),
            r#"{"shadow":{},"b_2":{"class":"foo.com/b","sticky":true},"b":{"class":"foo.com/b"}}"#
        );
        let chosen = read(json!({"shadow": {"k": 1}, "mine": {"class": "foo.com/a"}}));
        let stack = replace_primary(chosen, "foo.com/b".to_owned());
        assert_eq!(Value::Object(stack).to_string(), r#"{"shadow":{"k":1},"mine":{"class":"foo.com/b"}}"#);
    }
}

//! JSON Merge Patch (RFC 7396).

use serde_json::{Map, Value};

/// Merges `patch` into `target`. A null in the patch removes the member of that name. If a value of the patch
/// and the member are both objects, the value is merged into the member. Any other value replaces the member;
/// an object does so without its nulls. A member that is missing is added, and one that the patch does not
/// name stays unchanged. The members keep their order.
///
/// Returns the work of removing members, which the caller may limit: the total number of members of the
/// objects from which members were removed. At most this many members were moved or compared.
pub(crate) fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) -> usize {
    let mut work = remove_nulls(target, &patch);
    for (key, value) in patch {
        match (value, target.get_mut(&key)) {
            (Value::Null, _) => {}
            (Value::Object(patch), Some(Value::Object(member))) => work += merge(member, patch),
            (Value::Object(patch), _) => {
                // Merging into an empty object drops the nulls of the patch, and removes no members.
                let mut member = Map::new();
                merge(&mut member, patch);
                target.insert(key, member.into());
            }
            (value, _) => drop(target.insert(key, value)),
        }
    }
    work
}

/// Removes the members of `target` that are null in `patch`. Removing a member moves all members after it, so
/// several are removed in one pass. Returns the number of members that `target` had, or 0 if none was
/// removed.
fn remove_nulls(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> usize {
    let count = target.len();
    let mut to_remove =
        patch.iter().filter(|(key, value)| value.is_null() && target.contains_key(*key)).map(|(key, _)| key);
    match (to_remove.next(), to_remove.next()) {
        (None, _) => return 0,
        (Some(only), None) => drop(target.shift_remove(only)),
        _ => target.retain(|key, _| patch.get(key).is_none_or(|value| !value.is_null())),
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, whose documents are objects, and a few more.
    #[test]
    fn a_patch_is_merged_as_the_rfc_says() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({"a": 1, "b": 2, "c": 3}), json!({"a": null, "b": 4}), json!({"b": 4, "c": 3})),
            (
                json!({"a": 1, "b": 2, "c": 3, "d": 4}),
                json!({"c": null, "e": 5, "a": null, "f": null}),
                json!({"b": 2, "d": 4, "e": 5}),
            ),
        ];
        for (mut target, patch, expected) in cases {
            let inputs = format!("{target} and {patch}");
            merge(target.as_object_mut().unwrap(), patch.as_object().unwrap().clone());
            assert_eq!(target.to_string(), expected.to_string(), "{inputs}");
        }
    }

    /// Removing the keys one by one would take minutes.
    #[test]
    fn many_members_are_removed_in_one_pass() {
        let key = |n: i32| format!("key {n}");
        let mut target: Map<_, _> = (0..100_000).map(|n| (key(n), n.into())).collect();
        let patch = (0..100_000).filter(|n| n % 1000 > 0).map(|n| (key(n), Value::Null)).collect();
        assert_eq!(merge(&mut target, patch), 100_000);
        let left: Map<_, _> = (0..100).map(|n| n * 1000).map(|n| (key(n), n.into())).collect();
        assert_eq!(target, left);
    }
}

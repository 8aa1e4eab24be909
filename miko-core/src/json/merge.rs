//! JSON Merge Patch (RFC 7396).

use serde_json::{Map, Value};

/// Merges `patch` into `target`: null removes a member, an object is merged into the member, anything else
/// replaces it. A member that the patch does not name stays as it is, and every member keeps its place.
pub(crate) fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (value, target.get_mut(&key)) {
            (Value::Null, _) => drop(target.shift_remove(&key)),
            (Value::Object(patch), Some(Value::Object(member))) => merge(member, patch),
            (Value::Object(patch), _) => {
                // Merged into an empty object, so that the nulls of the patch are not stored.
                let mut member = Map::new();
                merge(&mut member, patch);
                target.insert(key, member.into());
            }
            (value, _) => drop(target.insert(key, value)),
        }
    }
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
        ];
        for (mut target, patch, expected) in cases {
            let inputs = format!("{target} and {patch}");
            merge(target.as_object_mut().unwrap(), patch.as_object().unwrap().clone());
            assert_eq!(target.to_string(), expected.to_string(), "{inputs}");
        }
    }
}

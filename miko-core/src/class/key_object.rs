//! The keys of upserts. A key is an object with the values of all fields of one unique constraint or join.
//! The values name a record.

use serde_json::{Map, Value};

use super::catalog::Class;
use super::constraint::{Constraint, ConstraintKind};

impl Class {
    /// The position in `constraints` of the first unique constraint or join whose fields are exactly those of
    /// `key`.
    pub(crate) fn constraint_of_key(&self, key: &Map<String, Value>) -> Option<usize> {
        self.constraints
            .iter()
            .position(|constraint| constraint.kind != ConstraintKind::Index && constraint.has_fields_of(key))
    }

    /// The fields of each unique constraint and join, as error messages show them.
    pub(crate) fn unique_keys(&self) -> Vec<String> {
        let unique = self.constraints.iter().filter(|constraint| constraint.kind != ConstraintKind::Index);
        unique.map(|constraint| constraint.describe()).collect()
    }
}

impl Constraint {
    /// Whether `key` has all fields of the constraint, and nothing else.
    fn has_fields_of(&self, key: &Map<String, Value>) -> bool {
        let mut path = Vec::new();
        count_fields(key, &mut path, self) == Some(self.count_outermost_fields())
    }

    /// The number of distinct fields that are not inside of another field of the constraint. A constraint may
    /// list a field twice, or beside a part of it, such as `a` and `a.b`.
    fn count_outermost_fields(&self) -> usize {
        let is_outermost = |(index, field): &(usize, &Vec<String>)| {
            let mut others = self.fields.iter().enumerate();
            !others.any(|(i, other)| field.starts_with(other) && (other.len() < field.len() || i < *index))
        };
        self.fields.iter().enumerate().filter(is_outermost).count()
    }
}

/// The number of outermost fields of the constraint that `object` has. `path` leads from the upsert's key to
/// `object`. `None` if the object has anything else.
fn count_fields<'k>(
    object: &'k Map<String, Value>,
    path: &mut Vec<&'k str>,
    constraint: &Constraint,
) -> Option<usize> {
    object.iter().try_fold(0, |count, (name, value)| {
        path.push(name);
        let is_field = constraint.fields.iter().any(|field| field == path);
        let found = match value {
            _ if is_field => Some(1),
            // A field with a longer path may be inside the object.
            Value::Object(inner) if constraint.fields.iter().any(|field| field.len() > path.len()) => {
                count_fields(inner, path, constraint).filter(|found| *found > 0)
            }
            _ => None,
        };
        path.pop();
        Some(count + found?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repeated_and_nested_fields_are_given_once() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        for (fields, key) in [
            (["a", "a"], json!({"a": 1})),
            (["a", "a.b"], json!({"a": {"b": 1}})),
            (["a.b", "a"], json!({"a": {"b": 1}})),
            (["a.b", "a.c"], json!({"a": {"b": 1, "c": 2}})),
        ] {
            let fields = fields.map(path).to_vec();
            let constraint = Constraint { kind: ConstraintKind::Unique, class: "x.y/z".to_owned(), fields };
            assert!(constraint.has_fields_of(key.as_object().unwrap()), "{constraint:?}");
        }
    }

    #[test]
    fn an_object_is_a_key_if_it_has_exactly_the_fields() {
        let fields = vec![vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]];
        let constraint = Constraint { kind: ConstraintKind::Unique, class: "x.y/z".to_owned(), fields };
        let cases = [
            (json!({"a": 1, "b": {"c": 2}}), true),
            (json!({"b": {"c": {"d": 1}}, "a": null}), true),
            (json!({"a": 1}), false),
            (json!({"a": 1, "b": 2}), false),
            (json!({"a": 1, "b": {}}), false),
            (json!({"a": 1, "b": {"c": 2, "d": 3}}), false),
            (json!({"a": 1, "b": {"c": 2}, "d": {}}), false),
            (json!({}), false),
        ];
        for (key, expected) in cases {
            assert_eq!(constraint.has_fields_of(key.as_object().unwrap()), expected, "{key}");
        }
    }
}

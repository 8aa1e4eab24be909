//! Compares selects by path with a simple evaluator.

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use crate::hostile::STRINGS;
use crate::support::{buckets, create, db};

/// The value at the end of a path, by the specification.
fn value_at<'v>(bucket: &'v Value, steps: &[Value]) -> Option<&'v Value> {
    steps.iter().try_fold(bucket, |value, step| match (value, step) {
        (Value::Object(map), Value::String(key)) => map.get(key),
        (Value::Array(items), Value::Number(index)) => items.get(usize::try_from(index.as_u64()?).ok()?),
        _ => None,
    })
}

fn holds(bucket: &Value, path: &[Value]) -> bool {
    let (literal, steps) = path.split_last().unwrap();
    equal(value_at(bucket, steps).unwrap_or(&Value::Null), literal)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// Compares numbers as an odd integer times a power of two, which is unique. The tested code uses another
/// method.
fn same_number(a: &Number, b: &Number) -> bool {
    fn parts(number: &Number) -> (i128, i32) {
        if let Some(integer) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
            return (integer, 0);
        }
        let bits = number.as_f64().unwrap().to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32;
        let fraction = (bits & ((1 << 52) - 1)) as i128;
        let (mantissa, exponent) =
            if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
        (if bits >> 63 == 1 { -mantissa } else { mantissa }, exponent)
    }
    fn normal((mut mantissa, mut exponent): (i128, i32)) -> (i128, i32) {
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 2 == 0 {
            mantissa /= 2;
            exponent += 1;
        }
        (mantissa, exponent)
    }
    normal(parts(a)) == normal(parts(b))
}

fn number() -> impl Strategy<Value = Value> {
    let edges = vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(-1.0),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(9223372036854775808.0),
        json!(-9223372036854775808.0),
        json!(18446744073709551616.0),
        json!(9007199254740992_i64),
        json!(9007199254740993_i64),
        json!(9007199254740992.0),
        json!(5e-324),
        json!(1e308),
        json!(0.1),
    ];
    prop_oneof![
        4 => prop::sample::select(edges),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => prop::num::f64::NORMAL.prop_map(Value::from),
    ]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&STRINGS[..8]).prop_map(str::to_owned),
                2 => prop::sample::select(&STRINGS[..]).prop_map(str::to_owned),
                1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        string().prop_map(Value::from)
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner).prop_map(Value::from)
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((string(), value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

/// A value that an imprecise comparison would take for `value`.
fn near(value: Value) -> Value {
    match value {
        Value::Null => json!(false),
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), Some(float)) if integer as f64 != float || integer % 2 == 0 => json!(float),
            (Some(integer), _) => json!(integer.wrapping_add(1)),
            (None, Some(float)) => json!(float as u64),
            (None, None) => json!(number.to_string()),
        },
        Value::String(text) => text.parse::<i64>().map_or(Value::Null, Value::from),
        Value::Array(mut items) => {
            match items.pop() {
                Some(last) => items.push(near(last)),
                None => items.push(Value::Null),
            }
            items.into()
        }
        Value::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
    }
}

/// A path that is likely to exist in `bucket` and to end with the value there.
fn path_into(bucket: Value) -> impl Strategy<Value = Vec<Value>> {
    let choices = prop::collection::vec((any::<prop::sample::Index>(), 0..12_u8, string()), 1..5);
    (choices, value(), 0..4_u8).prop_map(move |(choices, other, literal)| {
        let (mut here, mut path) = (Some(&bucket), Vec::new());
        for (index, stray, key) in choices {
            let step = match here {
                Some(Value::Object(map)) if !map.is_empty() && stray > 0 => {
                    Value::from(map.keys().nth(index.index(map.len())).unwrap().as_str())
                }
                Some(Value::Array(items)) if !items.is_empty() && stray > 0 => {
                    index.index(items.len()).into()
                }
                // A scalar: stop here, except for an occasional invalid step.
                _ if stray > 3 && !path.is_empty() => break,
                _ if stray % 2 == 0 => Value::from(key),
                _ => index.index(3).into(),
            };
            here = here.and_then(|here| value_at(here, std::slice::from_ref(&step)));
            path.push(step);
        }
        let found = here.cloned().unwrap_or(Value::Null);
        let literal = match literal {
            0 => other,
            1 => near(found),
            _ => found,
        };
        // A final object would be an operator object; its keys are never `placeholder`.
        path.push(if literal.is_object() { Value::Null } else { literal });
        path
    })
}

proptest! {
    #[test]
    fn a_path_selects_the_records_of_the_specification(
        (others, (bucket, paths)) in (
            prop::collection::vec(object(value()), 0..4),
            object(value()).prop_flat_map(|bucket| {
                let bucket = Value::from(bucket);
                (Just(bucket.clone()), prop::collection::vec(path_into(bucket), 30))
            }),
        )
    ) {
        let db = db();
        let all: Vec<Value> = others.into_iter().map(Value::from).chain([bucket]).collect();
        all.iter().for_each(|bucket| drop(create(&db, bucket.clone())));
        for path in paths {
            let expected: Vec<_> = all.iter().filter(|bucket| holds(bucket, &path)).cloned().collect();
            let found = buckets(&db, json!({"action": "select", "path": path}));
            prop_assert_eq!(found, expected, "{}", json!(path));
        }
    }
}

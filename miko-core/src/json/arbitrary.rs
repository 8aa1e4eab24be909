//! Values for property tests.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON value. Its numbers include short decimals such as `12.5`, which arbitrary floats rarely are.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let string = || prop_oneof!["[a-z ]{0,40}", "[\u{0}-\u{80}\"\\\\]{0,40}", any::<String>()];
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-100_000_i64..100_000, 0_i32..8)
            .prop_map(|(digits, places)| Value::from(digits as f64 / 10_f64.powi(places))),
        string().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((string(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

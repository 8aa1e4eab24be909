//! SQL, the evaluator and a model of the specification select the same records in the same order.
//!
//! `PROPTEST_CASES=50000 cargo test -p miko-core --test engine agreement` is the long mode.

use std::sync::LazyLock;

use miko_core::Results;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::schemas::JsonSchema;
use crate::support::{Local, agreed, db, run};

mod model {
    //! A select of Q0 by its documentation, one record at a time. A placeholder is resolved when it is
    //! evaluated.

    use std::cmp::Ordering;

    use miko_core::json::equal;
    use serde_json::{Map, Value};

    /// The error of an evaluated placeholder that is undefined or does not fit its place.
    #[derive(Debug)]
    pub(super) struct EvaluationError;

    pub(super) struct Record {
        pub(super) pk: String,
        /// Its classes and their ancestors.
        pub(super) classes: Vec<String>,
        pub(super) bucket: Value,
    }

    type Outcome<T> = Result<T, EvaluationError>;

    /// The scopes around a place, the innermost last.
    type Scopes<'q> = Vec<&'q Map<String, Value>>;

    /// A depth beyond all generated requests: a deeper resolution is endless.
    const ENDLESS: usize = 60;

    fn placeholder(value: &Value) -> Option<&str> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        map.get("placeholder")?.as_str()
    }

    /// Resolves a value that is a placeholder, but no placeholders inside of it.
    fn resolve_outer(value: &Value, scopes: &Scopes<'_>) -> Outcome<Value> {
        let mut value = value.clone();
        for _ in 0..ENDLESS {
            let Some(name) = placeholder(&value) else { return Ok(value) };
            value = scopes.iter().rev().find_map(|scope| scope.get(name)).ok_or(EvaluationError)?.clone();
        }
        Err(EvaluationError)
    }

    /// Resolves all placeholders in a value.
    fn resolve_all(value: &Value, scopes: &Scopes<'_>, depth: usize) -> Outcome<Value> {
        if depth == ENDLESS {
            return Err(EvaluationError);
        }
        match resolve_outer(value, scopes)? {
            Value::Array(items) => items.iter().map(|item| resolve_all(item, scopes, depth + 1)).collect(),
            Value::Object(map) => {
                let resolve =
                    |(key, item): (String, Value)| Ok((key, resolve_all(&item, scopes, depth + 1)?));
                map.into_iter().map(resolve).collect::<Outcome<Map<_, _>>>().map(Value::Object)
            }
            scalar => Ok(scalar),
        }
    }

    pub(super) fn select(records: Vec<Record>, request: &Value) -> Outcome<Vec<String>> {
        let mut scopes = Scopes::new();
        scopes.extend(request.get("placeholders").and_then(Value::as_object));
        let mut sorts = Vec::new();
        if let Some(sort) = request.get("sort") {
            sorts.push(resolve_all(sort, &scopes, 0)?);
        }
        if let Some(others) = request.get("sorts") {
            sorts.extend(resolve_all(others, &scopes, 0)?.as_array().ok_or(EvaluationError)?.clone());
        }
        sorts.iter().try_for_each(check_sort)?;
        let count = |key: &str| match request.get(key) {
            None => Ok(None),
            Some(value) => count_of(&resolve_all(value, &scopes, 0)?).map(Some).ok_or(EvaluationError),
        };
        let (limit, offset) = (count("limit")?, count("offset")?.unwrap_or(0) as usize);
        let mut selected = Vec::new();
        for record in records {
            if holds(request, &record, &Scopes::new(), 0)? {
                selected.push(record);
            }
        }
        selected.sort_by(|a, b| {
            sorts
                .iter()
                .map(|sort| compare(sort, a, b))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        Ok(selected.into_iter().map(|record| record.pk).skip(offset).take(limit).collect())
    }

    /// A number that counts: `2.0` is the integer 2, and `-0.0` is 0, as in JSON Schema.
    fn count_of(value: &Value) -> Option<u64> {
        let whole = |float: &f64| float.fract() == 0.0 && *float >= 0.0 && *float < u64::MAX as f64;
        value.as_u64().or_else(|| value.as_f64().filter(whole).map(|float| float as u64))
    }

    fn holds(condition: &Value, record: &Record, scopes: &Scopes<'_>, depth: usize) -> Outcome<bool> {
        if depth == ENDLESS {
            return Err(EvaluationError);
        }
        let condition = resolve_outer(condition, scopes)?;
        let map = condition.as_object().ok_or(EvaluationError)?;
        let known = ["class", "classes", "pk", "path", "all", "any", "then", "not", "placeholders"];
        let outer = ["action", "sort", "sorts", "limit", "offset"];
        if map
            .keys()
            .any(|key| !known.contains(&key.as_str()) && (depth > 0 || !outer.contains(&key.as_str())))
        {
            return Err(EvaluationError);
        }
        let mut scopes = scopes.clone();
        match map.get("placeholders") {
            None => {}
            Some(Value::Object(definitions)) => scopes.push(definitions),
            Some(_) => return Err(EvaluationError),
        }
        let holds_before_not = parts_hold(map, record, &scopes, depth)?;
        let negated = match map.get("not") {
            None => false,
            Some(not) => resolve_all(not, &scopes, 0)?.as_bool().ok_or(EvaluationError)?,
        };
        if holds_before_not == negated {
            return Ok(false);
        }
        map.get("then").map_or(Ok(true), |then| holds(then, record, &scopes, depth + 1))
    }

    /// Whether the parts of a condition hold, without `not` and `then`.
    fn parts_hold(
        map: &Map<String, Value>,
        record: &Record,
        scopes: &Scopes<'_>,
        depth: usize,
    ) -> Outcome<bool> {
        let mut classes = None::<Vec<String>>;
        for key in ["class", "classes"] {
            if let Some(value) = map.get(key) {
                let names = strings(&resolve_all(value, scopes, 0)?)?;
                if names.iter().any(|name| miko_core::uns::parse(name).is_err()) {
                    return Err(EvaluationError);
                }
                classes.get_or_insert_default().extend(names);
            }
        }
        if classes.is_some_and(|names| !names.iter().any(|name| record.classes.contains(name))) {
            return Ok(false);
        }
        if let Some(pk) = map.get("pk")
            && !strings(&resolve_all(pk, scopes, 0)?)?.contains(&record.pk)
        {
            return Ok(false);
        }
        if let Some(path) = map.get("path")
            && !path_holds(&resolve_all(path, scopes, 0)?, &record.bucket)?
        {
            return Ok(false);
        }
        if let Some(all) = map.get("all") {
            for member in resolve_outer(all, scopes)?.as_array().ok_or(EvaluationError)? {
                if !holds(member, record, scopes, depth + 1)? {
                    return Ok(false);
                }
            }
        }
        let Some(any) = map.get("any") else { return Ok(true) };
        for member in resolve_outer(any, scopes)?.as_array().ok_or(EvaluationError)? {
            if holds(member, record, scopes, depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn strings(value: &Value) -> Outcome<Vec<String>> {
        let string = |value: &Value| value.as_str().map(str::to_owned).ok_or(EvaluationError);
        value
            .as_array()
            .map_or_else(|| Ok(vec![string(value)?]), |values| values.iter().map(string).collect())
    }

    fn steps(steps: &[Value]) -> Outcome<()> {
        if steps.iter().all(|step| step.is_string() || count_of(step).is_some()) {
            Ok(())
        } else {
            Err(EvaluationError)
        }
    }

    fn value_at<'v>(bucket: &'v Value, steps: &[Value]) -> Option<&'v Value> {
        steps.iter().try_fold(bucket, |value, step| match (value, step) {
            (Value::Object(map), Value::String(key)) => map.get(key),
            (Value::Array(items), Value::Number(_)) => items.get(usize::try_from(count_of(step)?).ok()?),
            _ => None,
        })
    }

    fn path_holds(path: &Value, bucket: &Value) -> Outcome<bool> {
        let path = path.as_array().filter(|path| path.len() >= 2).ok_or(EvaluationError)?;
        let (last, before) = path.split_last().ok_or(EvaluationError)?;
        steps(before)?;
        let value = value_at(bucket, before);
        let Value::Object(operators) = last else { return Ok(equals(value, last)) };
        let flag = |key: &str, default: bool| {
            operators.get(key).map_or(Ok(default), |flag| flag.as_bool().ok_or(EvaluationError))
        };
        let (sensitive, collapse) = (flag("case-sensitive", true)?, flag("collapse", false)?);
        let fold = |text: &str| {
            let text = if sensitive { text.to_owned() } else { text.to_lowercase() };
            if collapse { text.split_whitespace().collect::<Vec<_>>().join(" ") } else { text }
        };
        let folded = |value: Option<&Value>, operand: &Value| match (value, operand) {
            (Some(Value::String(a)), Value::String(b)) => fold(a) == fold(b),
            _ => equals(value, operand),
        };
        let mut outcome = Ok(true);
        let mut count = 0;
        for (key, operand) in operators {
            count += 1;
            let text = || operand.as_str().ok_or(EvaluationError);
            let list = || operand.as_array().ok_or(EvaluationError);
            let texts = |test: fn(&str, &str) -> bool| {
                let operand = text()?;
                Ok(value.and_then(Value::as_str).is_some_and(|text| test(&fold(text), &fold(operand))))
            };
            let ordered = |allowed: &[Ordering]| match operand {
                Value::Number(_) | Value::String(_) => Ok(value
                    .and_then(|value| order(value, operand))
                    .is_some_and(|found| allowed.contains(&found))),
                _ => Err(EvaluationError),
            };
            let items = value.and_then(Value::as_array);
            let has = |value: &Value| items.is_some_and(|items| items.iter().any(|item| equal(item, value)));
            let missing = value.is_none_or(Value::is_null);
            let holds = match key.as_str() {
                "case-sensitive" | "collapse" => {
                    count -= 1;
                    Ok(true)
                }
                "value" => Ok(folded(value, operand)),
                "in" => list().map(|list| list.iter().any(|one| folded(value, one))),
                "contains" => texts(|text, part| text.contains(part)),
                "starts-with" => texts(|text, part| text.starts_with(part)),
                "ends-with" => texts(|text, part| text.ends_with(part)),
                "gt" => ordered(&[Ordering::Greater]),
                "gte" => ordered(&[Ordering::Greater, Ordering::Equal]),
                "lt" => ordered(&[Ordering::Less]),
                "lte" => ordered(&[Ordering::Less, Ordering::Equal]),
                "includes" => Ok(has(operand)),
                "includes_all" => list().map(|list| items.is_some() && list.iter().all(has)),
                "includes_any" => list().map(|list| list.iter().any(has)),
                "exists" => operand.as_bool().map(|expected| expected != missing).ok_or(EvaluationError),
                "truthy" => operand
                    .as_bool()
                    .map(|expected| expected != (missing || value == Some(&Value::Bool(false))))
                    .ok_or(EvaluationError),
                "any" if *operand == Value::Bool(true) => Ok(value.is_some()),
                "matches" => {
                    let pattern = regex::Regex::new(text()?).map_err(|_| EvaluationError)?;
                    Ok(value.and_then(Value::as_str).is_some_and(|text| pattern.is_match(text)))
                }
                _ => Err(EvaluationError),
            };
            outcome = outcome.and_then(|before| Ok(holds? && before));
        }
        if count == 0 { Err(EvaluationError) } else { outcome }
    }

    fn equals(value: Option<&Value>, literal: &Value) -> bool {
        equal(value.unwrap_or(&Value::Null), literal)
    }

    /// Compares numbers exactly, and texts by code point.
    fn order(a: &Value, b: &Value) -> Option<Ordering> {
        match (a, b) {
            (Value::String(a), Value::String(b)) => Some(a.chars().cmp(b.chars())),
            (Value::Number(a), Value::Number(b)) => Some(scaled(a).cmp(&scaled(b))),
            _ => None,
        }
    }

    /// The number times 2^1074, which is an integer, in words of 32 bits, the most significant first. All
    /// words of a negative number are negative.
    fn scaled(number: &serde_json::Number) -> Vec<i64> {
        const WORDS: usize = 70;
        let (negative, mantissa, shift) = match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(natural), ..) => (false, natural, 1074),
            (_, Some(integer), _) => (true, integer.unsigned_abs(), 1074),
            (.., float) => {
                let bits = float.unwrap_or_default().to_bits();
                let exponent = bits >> 52 & 0x7ff;
                let fraction = bits & ((1 << 52) - 1);
                let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
                (bits >> 63 == 1, mantissa, exponent.max(1) as usize - 1)
            }
        };
        let mut words = vec![0_i64; WORDS];
        for bit in (0..64).filter(|bit| mantissa >> bit & 1 == 1) {
            let place = bit + shift;
            words[WORDS - 1 - place / 32] |= 1 << (place % 32);
        }
        let sign = if negative { -1 } else { 1 };
        words.iter_mut().for_each(|word| *word *= i64::from(sign));
        words
    }

    fn check_sort(sort: &Value) -> Outcome<()> {
        let sort = sort.as_array().ok_or(EvaluationError)?;
        let keys = match sort.split_last() {
            Some((Value::Object(qualifier), keys)) if !qualifier.contains_key("record") => {
                let flags = ["reverse", "case-sensitive", "collapse"];
                if qualifier.iter().any(|(key, flag)| !flags.contains(&key.as_str()) || !flag.is_boolean()) {
                    return Err(EvaluationError);
                }
                keys
            }
            _ => sort,
        };
        match keys {
            [] => Err(EvaluationError),
            [Value::Object(own)] if own.get("record").is_some() => Ok(()),
            keys => steps(keys),
        }
    }

    fn compare(sort: &Value, a: &Record, b: &Record) -> Ordering {
        let sort = sort.as_array().expect("it was checked");
        let (qualifier, keys) = match sort.split_last() {
            Some((Value::Object(qualifier), keys)) if !qualifier.contains_key("record") => {
                (qualifier.clone(), keys)
            }
            _ => (Map::new(), &sort[..]),
        };
        let flag = |key: &str| qualifier.get(key).and_then(Value::as_bool);
        let value = |record: &Record| match keys {
            [Value::Object(_)] => Some(Value::from(record.pk.clone())),
            keys => {
                value_at(&record.bucket, keys).filter(|value| !value.is_null()).map(|value| match value {
                    Value::String(text) => {
                        let text = if flag("case-sensitive") == Some(false) {
                            text.to_lowercase()
                        } else {
                            text.clone()
                        };
                        let words = || text.split_whitespace().collect::<Vec<_>>().join(" ");
                        if flag("collapse") == Some(true) { words() } else { text }.into()
                    }
                    other => other.clone(),
                })
            }
        };
        let rank = |value: &Value| match value {
            Value::Null => 9,
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(false) => 2,
            Value::Bool(true) => 3,
            Value::Array(_) => 4,
            Value::Object(_) => 5,
        };
        match (value(a), value(b)) {
            (Some(a), Some(b)) => {
                let ordering = rank(&a).cmp(&rank(&b)).then_with(|| order(&a, &b).unwrap_or(Ordering::Equal));
                if flag("reverse") == Some(true) { ordering.reverse() } else { ordering }
            }
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }
}

const CLASSES: [&str; 4] = ["a.b/base", "a.b/middle", "a.b/leaf", "a.b/other"];

/// The class and its ancestors.
fn lineage(class: &str) -> &'static [&'static str] {
    match class {
        "a.b/base" => &CLASSES[..1],
        "a.b/middle" => &CLASSES[..2],
        "a.b/leaf" => &CLASSES[..3],
        "a.b/other" => &CLASSES[3..],
        _ => &["puck.uno/class"],
    }
}

/// Keys: few, so that requests find records, and hostile.
fn key() -> impl Strategy<Value = String> {
    let hostile = vec!["$.a", "a\"b", "'", "", "0", "x y", "🖖", "\0"];
    prop_oneof![4 => prop::sample::select(vec!["a", "b", "i"]), 1 => prop::sample::select(hostile)]
        .prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(false),
        json!(true),
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(0.1),
        json!(9007199254740993_u64),
        json!(9007199254740992.0),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(18446744073709551616.0),
        json!(5e-324),
        json!(-1e308),
        json!(""),
        json!("a"),
        json!("A"),
        json!("ab"),
        json!("a  B\n"),
        json!("É"),
        json!("'; DROP TABLE record; --"),
    ])
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A value, or a placeholder in its place.
fn or_placeholder(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    let name = prop::sample::select(vec!["p", "p", "p", "q", "q", "r", "s"]);
    prop_oneof![24 => value, 1 => name.prop_map(|name| json!({ "placeholder": name }))].boxed()
}

fn operand(key: &'static str) -> BoxedStrategy<Value> {
    match key {
        "contains" | "starts-with" | "ends-with" => {
            prop::sample::select(vec!["", "a", "A", " b", "É"]).prop_map(Value::from).boxed()
        }
        "matches" => prop::sample::select(vec!["^", "^a", "^É"]).prop_map(Value::from).boxed(),
        "gt" | "lt" | "gte" | "lte" => {
            scalar().prop_filter("ordered", |v| v.is_number() || v.is_string()).boxed()
        }
        "in" | "includes_all" | "includes_any" => {
            prop::collection::vec(or_placeholder(value()), 0..3).prop_map(Value::from).boxed()
        }
        "exists" | "truthy" | "case-sensitive" | "collapse" => any::<bool>().prop_map(Value::from).boxed(),
        "any" => Just(json!(true)).boxed(),
        _ => value().boxed(),
    }
}

fn operators() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 16] = [
        "value",
        "contains",
        "starts-with",
        "ends-with",
        "gt",
        "lt",
        "gte",
        "lte",
        "includes",
        "includes_all",
        "includes_any",
        "exists",
        "truthy",
        "any",
        "in",
        "matches",
    ];
    let operator = |names: Vec<&'static str>| {
        prop::sample::select(names)
            .prop_flat_map(|name| (Just(name.to_owned()), or_placeholder(operand(name))))
    };
    let modifiers = prop::collection::vec(operator(vec!["case-sensitive", "collapse"]), 0..2);
    (prop::collection::vec(operator(NAMES.to_vec()), 1..3), modifiers)
        .prop_map(|(operators, modifiers)| operators.into_iter().chain(modifiers).collect())
}

fn steps() -> impl Strategy<Value = Vec<Value>> {
    let step = prop_oneof![3 => key().prop_map(Value::from), 1 => (0..3_u64).prop_map(Value::from)];
    prop::collection::vec(or_placeholder(step), 1..3)
}

fn path() -> impl Strategy<Value = Value> {
    let literal = value().prop_filter("an object in last place is operators", |value| !value.is_object());
    (steps(), or_placeholder(prop_oneof![literal, operators()])).prop_map(|(mut steps, last)| {
        steps.push(last);
        steps.into()
    })
}

fn class() -> impl Strategy<Value = Value> {
    let one = || prop::sample::select(CLASSES.to_vec()).prop_map(Value::from);
    prop_oneof![one(), prop::collection::vec(or_placeholder(one()), 0..3).prop_map(Value::from)]
}

/// The values of placeholders: anything, mostly values that fit.
fn definitions(condition: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let definition = prop_oneof![
        4 => value(),
        2 => path(),
        2 => operators(),
        4 => condition,
        2 => class(),
        1 => Just(json!([{"placeholder": "q"}])),
        1 => Just(json!({"placeholder": "p"})),
    ];
    let name = prop::sample::select(vec!["p", "q", "r"]).prop_map(str::to_owned);
    prop::collection::vec((name, definition), 1..4).prop_map(|named| named.into_iter().collect())
}

fn object(parts: Vec<(&str, Option<Value>)>) -> Value {
    let given = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    given.collect::<Map<_, _>>().into()
}

fn condition() -> BoxedStrategy<Value> {
    let maybe = |strategy: BoxedStrategy<Value>, weight: f64| {
        prop::option::weighted(weight, or_placeholder(strategy))
    };
    let leaf = (maybe(class().boxed(), 0.2), maybe(path().boxed(), 0.7))
        .prop_map(|(class, path)| object(vec![("class", class), ("path", path)]));
    leaf.prop_recursive(4, 20, 3, move |inner| {
        let members =
            || prop::collection::vec(or_placeholder(inner.clone()), 0..3).prop_map(Value::from).boxed();
        let parts = (
            maybe(class().boxed(), 0.1),
            maybe(path().boxed(), 0.2),
            maybe(members(), 0.4),
            maybe(members(), 0.4),
            maybe(any::<bool>().prop_map(Value::from).boxed(), 0.4),
            maybe(inner.clone(), 0.3),
            prop::option::weighted(0.2, definitions(inner)),
        );
        parts.prop_map(|(class, path, all, any, not, then, placeholders)| {
            object(vec![
                ("placeholders", placeholders),
                ("then", then),
                ("any", any),
                ("class", class),
                ("not", not),
                ("all", all),
                ("path", path),
            ])
        })
    })
    .boxed()
}

fn sort() -> impl Strategy<Value = Value> {
    let qualifier = prop::collection::vec(
        (
            prop::sample::select(vec!["reverse", "case-sensitive", "collapse"]).prop_map(str::to_owned),
            any::<bool>(),
        ),
        0..3,
    );
    let by_value =
        (steps(), prop::option::of(qualifier)).prop_map(|(mut steps, qualifier)| {
            steps.extend(qualifier.map(|flags| {
                flags.into_iter().map(|(key, flag)| (key, Value::from(flag))).collect::<Value>()
            }));
            Value::from(steps)
        });
    prop_oneof![9 => by_value, 1 => Just(json!([{"record": "pk"}, {"reverse": true}]))]
}

fn request() -> impl Strategy<Value = Value> {
    let count = || prop::option::weighted(0.3, or_placeholder((0..4_u64).prop_map(Value::from)));
    let parts = (
        condition(),
        prop::option::weighted(0.7, definitions(condition())),
        prop::option::weighted(0.6, or_placeholder(sort())),
        prop::option::weighted(0.2, prop::collection::vec(sort(), 0..3).prop_map(Value::from)),
        (count(), count()),
    );
    parts.prop_map(|(mut request, placeholders, sort, sorts, (limit, offset))| {
        let map = request.as_object_mut().unwrap();
        map.shift_remove("not");
        let outer = [
            ("placeholders", placeholders),
            ("sort", sort),
            ("sorts", sorts),
            ("limit", limit),
            ("offset", offset),
        ];
        outer.into_iter().for_each(|(key, value)| drop(value.map(|value| map.insert(key.to_owned(), value))));
        map.insert("action".to_owned(), "select".into());
        request
    })
}

/// Records: class and bucket. A field of the class has an index.
fn records() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let bucket = prop::collection::vec((key(), value()), 0..4)
        .prop_map(|members| members.into_iter().collect::<Value>());
    prop::collection::vec((prop::sample::select(CLASSES.to_vec()), bucket), 0..8)
}

fn stored(records: &[(&'static str, Value)]) -> (Local, Vec<model::Record>) {
    let db = db();
    let inherits = |parents: &[&str]| json!({"inherits": parents, "misc_fields": true, "fields": {}});
    let mut classes = json!({"a.b/middle": inherits(&["a.b/base"]), "a.b/leaf": inherits(&["a.b/middle"])});
    classes["a.b/base"] = json!({"misc_fields": true, "fields": {"i": {"index": true}}});
    db.import_schema(json!({ "classes": classes })).unwrap();
    for (class, bucket) in records {
        let pk = run(&db, json!({"action": "create", "class": class, "bucket": bucket}));
        if bucket.get("b").is_some_and(Value::is_string) {
            run(&db, json!({"action": "delete", "pk": pk}));
        }
    }
    // The definitions are records too.
    let all = db.q0(json!({"action": "select"})).unwrap().into_records().unwrap();
    let model = all.iter().map(|record| model::Record {
        pk: record.pk.clone(),
        classes: lineage(&record.class().unwrap()).iter().map(|class| (*class).to_owned()).collect(),
        bucket: record.bucket.to_map().unwrap().into(),
    });
    let model = model.collect();
    (db, model)
}

/// The published JSON Schema of requests.
static SCHEMA: LazyLock<JsonSchema> = LazyLock::new(|| JsonSchema::of("q0-request.schema.json"));

/// A write to the records of the select; `None` if it selects all records, which no write may.
fn as_write(select: &Value) -> Option<Value> {
    let mut conditions = select.as_object().unwrap().clone();
    let mut write = json!({"action": "edit", "edits": [{"path": ["edited"], "increment": 1}]});
    for key in ["sort", "sorts", "limit"] {
        if let Some(value) = conditions.shift_remove(key) {
            write[key] = value;
        }
    }
    conditions.shift_remove("action");
    conditions.shift_remove("offset");
    let is_empty = conditions.keys().all(|key| key == "placeholders") && write.get("limit").is_none();
    write["where"] = conditions.into();
    (!is_empty).then_some(write)
}

proptest! {
    #[test]
    fn a_write_changes_the_records_that_the_select_finds(records in records(), mut request in request()) {
        let Some(write) = as_write(&request) else { return Ok(()) };
        prop_assert!(SCHEMA.accepts(&write), "the schema refuses {}", write);
        request.as_object_mut().unwrap().shift_remove("offset");
        let (db, _) = stored(&records);
        let selected = db.q0(request).and_then(|response| response.into_records());
        let is_definition = |record: &miko_core::Record| record.class().unwrap() == "puck.uno/class";
        if selected.as_ref().is_ok_and(|selected| selected.iter().any(is_definition)) {
            return Ok(());
        }
        match (db.q0(write.clone()), selected) {
            (Ok(response), Ok(selected)) => {
                let pks: Vec<String> = selected.iter().map(|record| record.pk.clone()).collect();
                let expected = Results::Changed { count: pks.len() as u64, pks };
                prop_assert_eq!(response.results, expected, "paste into `miko q0`: {}", write);
                let edited = db.q0(json!({"action": "select", "path": ["edited", 1]})).unwrap();
                prop_assert_eq!(edited.into_records().unwrap().count(), selected.count());
            }
            (Err(_), Err(_)) => {}
            (answer, selected) => prop_assert!(false, "{answer:?} and {selected:?}: {write}"),
        }
    }

    #[test]
    fn sql_evaluator_and_model_agree(records in records(), request in request()) {
        prop_assert!(SCHEMA.accepts(&request), "the schema refuses {}", request);
        let (db, model) = stored(&records);
        let pks = agreed(&db, &request)
            .map(|records| records.into_iter().map(|record| record.pk).collect::<Vec<_>>());
        let expected = model::select(model, &request);
        match (&pks, &expected) {
            (Ok(pks), Ok(expected)) => prop_assert_eq!(pks, expected, "paste into `miko q0`: {}", request),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{pks:?} and {expected:?}; paste into `miko q0`: {request}"),
        }
    }
}

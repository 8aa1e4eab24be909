//! Arguments: requests of Q0, and any JSON.

use mikobase::json;
use serde_json::{Map, Value};

use crate::random::Random;

/// Class names, some of which are defined, and invalid names.
const CLASSES: [&str; 7] =
    ["fuzz.test/a", "fuzz.test/b", "fuzz.test/c/d", "fuzz.test/\u{e9}", "puck.uno/class", "nothing", ""];

/// Keys of buckets, and keys with a meaning elsewhere.
const KEYS: [&str; 12] = [
    "n",
    "name",
    "tags",
    "a.b",
    "",
    "class",
    "pk",
    "placeholder",
    "$serde_json::private::RawValue",
    "\0",
    "'\"\\",
    "%_",
];

/// Parts of regular expressions.
const PATTERNS: [&str; 16] = [
    "a",
    ".*",
    "(a|b)+",
    "(",
    ")",
    "[a-z]",
    "[",
    "\\w{1,255}",
    "\\p{L}",
    "(?i)",
    "{1000}",
    "{0,100000}",
    "^",
    "$",
    "((a*)*)*",
    "\\",
];

/// The operators of a path, and unknown ones.
const OPERATORS: [&str; 18] = [
    "value",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "contains",
    "starts-with",
    "ends-with",
    "matches",
    "includes",
    "includes_all",
    "includes_any",
    "exists",
    "any",
    "truthy",
    "case-sensitive",
    "like",
];

/// The operations of an edit, and an unknown one.
const OPERATIONS: [&str; 13] = [
    "set",
    "default",
    "remove",
    "increment",
    "push",
    "pop",
    "shift",
    "unshift",
    "add",
    "discard",
    "merge",
    "test",
    "append",
];

/// The depth of most values.
const DEPTH: usize = 4;

pub struct Requests {
    pub(super) random: Random,
    /// The largest size of the arguments of a call, about, in bytes.
    largest: usize,
    /// The remaining bytes for the current call.
    left: usize,
    /// Pks of records that were created.
    pks: Vec<String>,
}

impl Requests {
    pub fn new(random: Random, largest: usize) -> Self {
        Self { random, largest, left: largest, pks: Vec::new() }
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Starts the arguments of another call.
    pub fn begin(&mut self) {
        self.left = self.largest;
    }

    /// The size of something large, in bytes.
    pub(super) fn large(&mut self) -> usize {
        let size = self.random.size(self.left);
        self.left -= size;
        size
    }

    pub fn learn_pk(&mut self, pk: &str) {
        if self.pks.len() < 100 {
            self.pks.push(pk.to_owned());
        }
    }

    /// A request; most have a known action.
    pub fn request(&mut self) -> Value {
        let mut request = match self.random.below(20) {
            0..8 => self.select(),
            8..13 => self.create(),
            13..15 => json!({"action": "update", "pk": self.pk(), "bucket": self.object(DEPTH)}),
            15 | 16 => self.change(),
            17 => json!({"action": "delete", "pk": self.pk()}),
            18 => json!({"action": self.text()}),
            _ => return self.value(),
        };
        if self.random.one_in(15) {
            // An unknown key, or another value for a known one.
            let keys = ["stack", "classes", "path", "limit", "sort", "created_at", "oops"];
            request[*self.random.pick(&keys)] = self.value();
        }
        request
    }

    pub fn select(&mut self) -> Value {
        let mut select = self.condition(DEPTH);
        let map = select.as_object_mut().unwrap();
        map.insert("action".to_owned(), "select".into());
        if self.random.one_in(3) {
            let sort = [self.key().into(), json!({"reverse": self.random.one_in(2)})];
            map.insert("sort".to_owned(), Value::from(sort.to_vec()));
        }
        if self.random.one_in(3) {
            map.insert("limit".to_owned(), self.integer());
        }
        if self.random.one_in(6) {
            map.insert("offset".to_owned(), self.integer());
        }
        if self.random.one_in(10) {
            map.insert("history".to_owned(), true.into());
        }
        if self.random.one_in(6) {
            let condition = self.condition(1);
            map.insert("placeholders".to_owned(), json!({"x": condition, "y": {"placeholder": "x"}, "z": 1}));
        }
        select
    }

    fn create(&mut self) -> Value {
        if self.random.one_in(6) {
            return json!({"action": "create", "class": "puck.uno/class", "bucket": self.definition()});
        }
        let mut create = json!({"action": "create", "class": self.class(), "bucket": self.object(DEPTH)});
        if self.random.one_in(10) {
            create["pk"] = self.pk().into();
        }
        create
    }

    /// A request to change parts of records.
    fn change(&mut self) -> Value {
        match self.random.below(7) {
            0 => json!({"action": "edit", "pk": self.pk(), "edits": self.edits()}),
            1 => json!({"action": "patch", "pk": self.pk(), "bucket": self.object(DEPTH)}),
            2 => {
                let key = json!({self.key(): self.scalar()});
                let bucket = self.object(1);
                json!({"action": "upsert", "class": self.class(), "key": key, "bucket": bucket})
            }
            3 => {
                let select = self.conditions();
                let claim = json!({"action": "claim", "select": select, "lease": 1e-3, "wait": 1e-3});
                if self.random.one_in(2) { claim } else { json!({"action": "release", "claim": self.pk()}) }
            }
            4 => json!({"action": "finish", "claim": self.key(), "edits": self.edits()}),
            5 => json!({"action": "edit", "where": self.conditions(), "edits": self.edits()}),
            _ => {
                let limit = self.integer();
                json!({"action": "delete", "where": self.conditions(), "limit": limit, "sort": [self.key()]})
            }
        }
    }

    /// Conditions that no record of another client fulfils.
    fn conditions(&mut self) -> Value {
        let mut conditions = self.condition(1);
        let map = conditions.as_object_mut().unwrap();
        map.shift_remove("not");
        map.insert("class".to_owned(), CLASSES[self.random.below(3)].into());
        conditions
    }

    /// A list of edits.
    pub fn edits(&mut self) -> Value {
        (0..1 + self.random.size(4)).map(|_| self.edit()).collect()
    }

    fn edit(&mut self) -> Value {
        let path: Vec<Value> = (0..1 + self.random.size(3)).map(|_| self.step()).collect();
        let operation = *self.random.pick(&OPERATIONS);
        let operand = match operation {
            "remove" | "pop" | "shift" => true.into(),
            "increment" => self.integer(),
            "merge" => self.object(1),
            _ => self.value(),
        };
        json!({"path": path, operation: operand})
    }

    /// A condition; few are very wide or very deep.
    fn condition(&mut self, depth: usize) -> Value {
        if self.random.one_in(60) {
            return self.large_condition();
        }
        let mut condition = Map::new();
        if self.random.one_in(2) {
            condition.insert("class".to_owned(), self.class().into());
        }
        if self.random.one_in(8) {
            condition.insert("pk".to_owned(), self.pk().into());
        }
        if self.random.one_in(2) {
            condition.insert("path".to_owned(), self.path());
        }
        if self.random.one_in(8) {
            condition.insert("not".to_owned(), self.random.one_in(2).into());
        }
        for key in ["all", "any"] {
            if depth > 0 && self.random.one_in(4) {
                let parts: Vec<Value> = (0..self.random.size(5)).map(|_| self.part(depth - 1)).collect();
                condition.insert(key.to_owned(), parts.into());
            }
        }
        if depth > 0 && self.random.one_in(6) {
            condition.insert("then".to_owned(), self.part(depth - 1));
        }
        condition.into()
    }

    fn part(&mut self, depth: usize) -> Value {
        if self.random.one_in(6) { self.placeholder() } else { self.condition(depth) }
    }

    fn placeholder(&mut self) -> Value {
        json!({"placeholder": *self.random.pick(&["x", "y", "z", "nothing"])})
    }

    fn large_condition(&mut self) -> Value {
        let inner = self.path();
        let depth = self.random.size(200);
        match self.random.below(4) {
            0 => (0..depth).fold(json!({"path": inner}), |inner, _| json!({"all": [inner]})),
            1 => (0..depth).fold(json!({"path": inner}), |inner, _| json!({"not": true, "then": inner})),
            2 => json!({"any": self.repeated(&json!({"path": inner}))}),
            _ => {
                let class = self.class().into();
                json!({"class": self.repeated(&class)})
            }
        }
    }

    fn path(&mut self) -> Value {
        let mut steps: Vec<Value> = (0..1 + self.random.size(3)).map(|_| self.step()).collect();
        steps.push(match self.random.below(4) {
            0 => self.scalar(),
            1 => self.placeholder(),
            _ => (0..self.random.below(3)).map(|_| self.operation()).collect::<Map<_, _>>().into(),
        });
        steps.into()
    }

    fn step(&mut self) -> Value {
        if self.random.one_in(4) { self.integer() } else { self.key().into() }
    }

    fn operation(&mut self) -> (String, Value) {
        let operator = *self.random.pick(&OPERATORS);
        let operand = match operator {
            "matches" => self.pattern().into(),
            "in" | "includes_all" | "includes_any" => {
                (0..self.random.size(6)).map(|_| self.scalar()).collect::<Vec<_>>().into()
            }
            "exists" | "any" | "truthy" | "case-sensitive" => self.random.one_in(2).into(),
            _ => self.scalar(),
        };
        let is_odd = self.random.one_in(12);
        (operator.to_owned(), if is_odd { self.value() } else { operand })
    }

    pub(super) fn pattern(&mut self) -> String {
        let parts = self.random.size(6);
        (0..parts).map(|_| *self.random.pick(&PATTERNS)).collect()
    }

    pub fn class(&mut self) -> String {
        if self.random.one_in(20) { self.text() } else { (*self.random.pick(&CLASSES)).to_owned() }
    }

    fn pk(&mut self) -> String {
        if self.pks.is_empty() || self.random.one_in(10) {
            return self.text();
        }
        self.random.pick(&self.pks).clone()
    }

    pub(super) fn key(&mut self) -> String {
        if self.random.one_in(20) { self.text() } else { (*self.random.pick(&KEYS)).to_owned() }
    }

    /// Any JSON; few values are very wide or very deep.
    pub fn value(&mut self) -> Value {
        match self.random.below(60) {
            0 => {
                let scalar = self.scalar();
                self.repeated(&scalar)
            }
            1 => (0..self.random.size(300)).fold(self.scalar(), |inner, _| vec![inner].into()),
            2 => (0..self.random.size(300)).fold(self.scalar(), |inner, _| json!({"a": inner})),
            3 => {
                let count = self.large() / 64;
                (0..count).map(|n| (n.to_string(), Value::Null)).collect::<Map<_, _>>().into()
            }
            _ => self.value_within(DEPTH),
        }
    }

    /// An array of equal elements, at most about as large as the largest argument.
    pub fn repeated(&mut self, element: &Value) -> Value {
        // The value takes memory in this process too.
        let least = if element.is_object() || element.is_array() { 200 } else { 16 };
        let size = element.to_string().len().max(least);
        vec![element.clone(); self.large() / size].into()
    }

    fn value_within(&mut self, depth: usize) -> Value {
        match self.random.below(6) {
            0 if depth > 0 => self.object(depth - 1),
            1 if depth > 0 => (0..self.random.size(5)).map(|_| self.value_within(depth - 1)).collect(),
            _ => self.scalar(),
        }
    }

    pub(super) fn object(&mut self, depth: usize) -> Value {
        let count = self.random.size(6);
        (0..count).map(|_| (self.key(), self.value_within(depth))).collect::<Map<_, _>>().into()
    }

    pub(super) fn scalar(&mut self) -> Value {
        match self.random.below(8) {
            0 => Value::Null,
            1 => self.random.one_in(2).into(),
            2 | 3 => self.integer(),
            4 => (*self.random.pick(&[-0.0, 0.1, 1e308, f64::MIN_POSITIVE, 9_007_199_254_740_993.0])).into(),
            _ => self.text().into(),
        }
    }

    pub fn integer(&mut self) -> Value {
        match self.random.below(8) {
            0 => i64::MIN.into(),
            1 => u64::MAX.into(),
            2 => self.random.next().into(),
            3 => (-1).into(),
            _ => self.random.size(1000).into(),
        }
    }

    /// Any text; few are very long.
    pub fn text(&mut self) -> String {
        match self.random.below(40) {
            0 => "x".repeat(self.large()),
            1 => "\u{10ffff}\0\u{7f}\u{feff}".repeat(self.random.size(20)),
            2 => "2026-04-21T14:32:00.123Z".to_owned(),
            3 => "https://a.b/c?d=e#f".to_owned(),
            _ => {
                let length = self.random.size(12);
                (0..length)
                    .map(|_| *self.random.pick(&['a', 'b', 'Z', '0', ' ', '/', '.', '\u{e9}']))
                    .collect()
            }
        }
    }
}

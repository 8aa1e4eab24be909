//! Builders for Q0 requests. Each builder converts into the JSON of its request.
//!
//! JSON has no NaN and no infinity: `serde_json` converts such a float into null, so `eq(f64::NAN)` finds
//! null and absent values.
//!
//! ```
//! use miko_core::q0::{Condition, Select, Sort, eq, gte, matches, starts_with};
//! use serde_json::{Value, json};
//!
//! let built = Select::class("starfleet.com/officer")
//!     .path(["rank"], eq("Captain"))
//!     .any_of([
//!         Condition::path(["name", "family"], starts_with("K").ignoring_case()),
//!         Condition::path(["age"], gte(40)),
//!     ])
//!     .then(Condition::path(["ship"], matches("^NCC-")).not())
//!     .sort(Sort::by(["name", "family"]).reverse())
//!     .limit(10);
//! let written = json!({
//!     "action": "select",
//!     "class": "starfleet.com/officer",
//!     "path": ["rank", "Captain"],
//!     "any": [
//!         {"path": ["name", "family", {"starts-with": "K", "case-sensitive": false}]},
//!         {"path": ["age", {"gte": 40}]},
//!     ],
//!     "then": {"path": ["ship", {"matches": "^NCC-"}], "not": true},
//!     "sort": ["name", "family", {"reverse": true}],
//!     "limit": 10,
//! });
//! assert_eq!(Value::from(built), written);
//! ```

mod edit;

use serde_json::{Map, Value, json};

use crate::timestamp::Timestamp;
pub use edit::{Edit, Edits, Upsert};

/// The action `select`: filters, sorts and limits records.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    request: Map<String, Value>,
}

/// A filter of records. All its parts must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Condition {
    parts: Map<String, Value>,
}

impl Select {
    /// All records; the other methods narrow them.
    pub fn all() -> Self {
        Self { request: request_of("select") }
    }

    /// Records of `class` and its subclasses.
    pub fn class(class: impl Into<Value>) -> Self {
        Self::all().with("class", class)
    }

    /// Records with these pks: one, or an array of them.
    pub fn pk(pks: impl Into<Value>) -> Self {
        Self::all().with("pk", pks)
    }

    /// Keeps the records whose value at the end of `steps` passes the test. `path` may be called several
    /// times: the tests are combined with AND.
    #[must_use]
    pub fn path<S: Into<Step>>(mut self, steps: impl IntoIterator<Item = S>, test: Test) -> Self {
        add_path(&mut self.request, steps, test);
        self
    }

    /// Keeps the records that match all conditions.
    #[must_use]
    pub fn all_of(mut self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        add_members(&mut self.request, "all", conditions);
        self
    }

    /// Keeps the records that match at least one condition.
    #[must_use]
    pub fn any_of(mut self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        add_any(&mut self.request, conditions);
        self
    }

    /// Adds a condition that is applied only to the records that match all other conditions. The conditions
    /// of several calls of `then` are applied one after another.
    #[must_use]
    pub fn then(mut self, condition: Condition) -> Self {
        add_then(&mut self.request, condition);
        self
    }

    /// Adds a sort key. Records that are equal in all keys stay in order of creation.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        // A request has one `sort`, or several in the array `sorts`.
        if let Some(first) = self.request.shift_remove("sort") {
            self.request.insert("sorts".to_owned(), json!([first]));
        }
        match self.request.get_mut("sorts") {
            Some(Value::Array(sorts)) => sorts.push(sort.into()),
            _ => drop(self.request.insert("sort".to_owned(), sort.into())),
        }
        self
    }

    /// Returns at most `limit` records.
    #[must_use]
    pub fn limit(self, limit: impl Into<Value>) -> Self {
        self.with("limit", limit)
    }

    /// Skips the first `offset` records.
    #[must_use]
    pub fn offset(self, offset: impl Into<Value>) -> Self {
        self.with("offset", offset)
    }

    /// Sets the value of the [`placeholder`] `name`.
    #[must_use]
    pub fn placeholder(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        add_placeholder(&mut self.request, name.into(), value.into());
        self
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.request.insert(key.to_owned(), value.into());
        self
    }
}

impl Condition {
    /// The record is of `class` or a subclass.
    pub fn class(class: impl Into<Value>) -> Self {
        Self::default().with("class", class)
    }

    /// The record has this pk, or one of an array of them.
    pub fn pk(pks: impl Into<Value>) -> Self {
        Self::default().with("pk", pks)
    }

    /// The value at the end of `steps` passes the test.
    pub fn path<S: Into<Step>>(steps: impl IntoIterator<Item = S>, test: Test) -> Self {
        Self::default().and_path(steps, test)
    }

    /// All conditions hold.
    pub fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut condition = Self::default();
        add_members(&mut condition.parts, "all", conditions);
        condition
    }

    /// At least one of the conditions holds.
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut condition = Self::default();
        add_any(&mut condition.parts, conditions);
        condition
    }

    /// Also requires that the value at the end of `steps` passes the test. An earlier call of
    /// [`not`](Self::not) does not negate this test.
    #[must_use]
    pub fn and_path<S: Into<Step>>(self, steps: impl IntoIterator<Item = S>, test: Test) -> Self {
        let mut condition = self.without_not();
        add_path(&mut condition.parts, steps, test);
        condition
    }

    /// Negates the condition, but not the part that [`then`](Self::then) adds. Two negations cancel each
    /// other.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "it is the name in Q0, with the meaning of the trait's method"
    )]
    pub fn not(self) -> Self {
        self.without_not().with("not", true)
    }

    /// Adds a condition that is applied only to the records that match the rest of this condition. The
    /// conditions of several calls of `then` are applied one after another.
    #[must_use]
    pub fn then(mut self, condition: Self) -> Self {
        add_then(&mut self.parts, condition);
        self
    }

    /// Sets the value of the [`placeholder`] `name` in this condition and those inside it.
    #[must_use]
    pub fn placeholder(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        add_placeholder(&mut self.parts, name.into(), value.into());
        self
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.parts.insert(key.to_owned(), value.into());
        self
    }

    /// An equivalent condition without `not`, so that parts that are added later are not negated. If this
    /// condition is negated, it becomes the member of an `all` in the returned condition. Its `placeholders`
    /// move to the returned condition, since added parts may use them. Its `then` moves as well, since `not`
    /// does not negate it.
    fn without_not(mut self) -> Self {
        if !self.parts.contains_key("not") {
            return self;
        }
        let mut outer = Self::default();
        for key in ["placeholders", "then"] {
            if let Some(value) = self.parts.shift_remove(key) {
                outer.parts.insert(key.to_owned(), value);
            }
        }
        add_members(&mut outer.parts, "all", [self]);
        outer
    }
}

/// Adds a path. A request has one `path`, so further paths go into `all`.
fn add_path<S: Into<Step>>(parts: &mut Map<String, Value>, steps: impl IntoIterator<Item = S>, test: Test) {
    let steps = steps.into_iter().map(|step| step.into().0);
    let path: Value = steps.chain([test.into()]).collect();
    if parts.contains_key("path") {
        add_members(parts, "all", [Condition::default().with("path", path)]);
    } else {
        parts.insert("path".to_owned(), path);
    }
}

/// Appends conditions to the array under `key`, which is `all` or `any`.
fn add_members(parts: &mut Map<String, Value>, key: &str, conditions: impl IntoIterator<Item = Condition>) {
    let conditions = conditions.into_iter().map(Value::from);
    match parts.entry(key).or_insert_with(|| json!([])) {
        Value::Array(members) => members.extend(conditions),
        // Unreachable: `all` and `any` always have arrays.
        other => *other = conditions.collect(),
    }
}

/// Adds an `any`. A request has one `any`, so a further one goes into `all`, which combines them with AND.
fn add_any(parts: &mut Map<String, Value>, conditions: impl IntoIterator<Item = Condition>) {
    if parts.contains_key("any") {
        add_members(parts, "all", [Condition::any(conditions)]);
    } else {
        add_members(parts, "any", conditions);
    }
}

/// Adds a `then`. A request has one `then`, so several are combined in an `all`, whose members are applied in
/// order.
fn add_then(parts: &mut Map<String, Value>, condition: Condition) {
    match parts.get_mut("then") {
        None => drop(parts.insert("then".to_owned(), condition.into())),
        Some(Value::Object(then)) if then.len() == 1 && then.contains_key("all") => {
            add_members(then, "all", [condition]);
        }
        Some(then) => *then = json!({"all": [then.take(), Value::from(condition)]}),
    }
}

fn add_placeholder(parts: &mut Map<String, Value>, name: String, value: Value) {
    if let Value::Object(placeholders) = parts.entry("placeholders").or_insert_with(|| json!({})) {
        placeholders.insert(name, value);
    }
}

/// A placeholder, which the request replaces by the value of `name` in its `placeholders`.
///
/// ```
/// use miko_core::q0::{Select, eq, placeholder};
///
/// let of_rank = Select::all().path(["rank"], eq(placeholder("rank")));
/// let captains = of_rank.clone().placeholder("rank", "Captain");
/// ```
pub fn placeholder(name: &str) -> Value {
    json!({ "placeholder": name })
}

/// One step down from a bucket: an object key or an array index.
#[derive(Debug, Clone, PartialEq)]
pub struct Step(Value);

impl Step {
    pub(crate) fn as_json(&self) -> &Value {
        &self.0
    }
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<String> for Step {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self(index.into())
    }
}

/// A test of the value at the end of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Test(Value);

impl Test {
    fn operator(name: &str, operand: impl Into<Value>) -> Self {
        Self(json!({ name: operand.into() }))
    }

    /// Combines two tests with AND. If both have the same operator, that of `self` is dropped. The modifiers
    /// [`ignoring_case`](Self::ignoring_case) and [`collapsed`](Self::collapsed) of either test apply to
    /// both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut operators = self.into_operators();
        operators.extend(other.into_operators());
        Self(operators.into())
    }

    /// Ignores case in [`eq`], [`one_of`], [`contains`], [`starts_with`] and [`ends_with`]: they compare
    /// strings in Unicode lower case. All other tests, such as [`includes`], ignore this modifier.
    #[must_use]
    pub fn ignoring_case(self) -> Self {
        self.modified("case-sensitive", false)
    }

    /// Ignores white space at both ends and treats a run of white space as one space. Applies to the same
    /// tests as [`ignoring_case`](Self::ignoring_case).
    #[must_use]
    pub fn collapsed(self) -> Self {
        self.modified("collapse", true)
    }

    fn modified(self, key: &str, flag: bool) -> Self {
        let mut operators = self.into_operators();
        operators.insert(key.to_owned(), flag.into());
        Self(operators.into())
    }

    fn into_operators(self) -> Map<String, Value> {
        match self.0 {
            Value::Object(operators) => operators,
            literal => Map::from_iter([("value".to_owned(), literal)]),
        }
    }
}

/// The value equals `value`. `null` also matches an absent value.
pub fn eq(value: impl Into<Value>) -> Test {
    match value.into() {
        // An object in the place of a test would be read as operators.
        object @ Value::Object(_) => Test::operator("value", object),
        literal => Test(literal),
    }
}

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident($operand:ident: $type:ty) = $operator:literal;)*) => {
        $($(#[$doc])* pub fn $name($operand: $type) -> Test {
            Test::operator($operator, $operand)
        })*
    };
}

operators! {
    /// The value is a string that contains `part`.
    contains(part: impl Into<Value>) = "contains";
    /// The value is a string that starts with `part`.
    starts_with(part: impl Into<Value>) = "starts-with";
    /// The value is a string that ends with `part`.
    ends_with(part: impl Into<Value>) = "ends-with";
    /// The value is a string that matches the regular expression (of the `regex` crate) in some part.
    matches(pattern: impl Into<Value>) = "matches";
    /// The value has the type of the bound (number or string) and is greater.
    gt(bound: impl Into<Value>) = "gt";
    /// The value has the type of the bound (number or string) and is less.
    lt(bound: impl Into<Value>) = "lt";
    /// The value has the type of the bound (number or string) and is greater or equal.
    gte(bound: impl Into<Value>) = "gte";
    /// The value has the type of the bound (number or string) and is less or equal.
    lte(bound: impl Into<Value>) = "lte";
    /// The value is an array with an element that equals `value`.
    includes(value: impl Into<Value>) = "includes";
    /// The value is an array that contains all of `values`.
    includes_all(values: impl Into<Value>) = "includes_all";
    /// The value is an array that contains at least one of `values`.
    includes_any(values: impl Into<Value>) = "includes_any";
    /// The value equals one of `values`.
    one_of(values: impl Into<Value>) = "in";
    /// The value is present and not null; negated if `expected` is `false`.
    exists(expected: bool) = "exists";
    /// The value is present and neither null nor `false`; negated if `expected` is `false`.
    truthy(expected: bool) = "truthy";
}

/// The value is present, possibly null.
pub fn present() -> Test {
    Test::operator("any", true)
}

/// A sort key: ascending, with null and absent values last.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// The steps of the path, or `{"record": name}` for a property of the record such as its pk.
    path: Vec<Value>,
    qualifiers: Map<String, Value>,
}

impl Sort {
    /// Sorts by the value at the end of `steps`.
    pub fn by<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self { path: steps.into_iter().map(|step| step.into().0).collect(), qualifiers: Map::new() }
    }

    /// Sorts by pk.
    pub fn by_pk() -> Self {
        Self::by_property("pk")
    }

    /// Sorts by the time of creation.
    pub fn by_created_at() -> Self {
        Self::by_property("created_at")
    }

    /// Sorts by the time of the last change.
    pub fn by_updated_at() -> Self {
        Self::by_property("updated_at")
    }

    fn by_property(name: &str) -> Self {
        Self { path: vec![json!({ "record": name })], qualifiers: Map::new() }
    }

    /// Sorts in descending order. Null and absent values stay last.
    #[must_use]
    pub fn reverse(self) -> Self {
        self.qualified("reverse", true)
    }

    /// Ignores case. Only for a sort [by a path](Self::by).
    #[must_use]
    pub fn ignoring_case(self) -> Self {
        self.qualified("case-sensitive", false)
    }

    /// Ignores white space at both ends and treats a run of white space as one space. Only for a sort
    /// [by a path](Self::by).
    #[must_use]
    pub fn collapsed(self) -> Self {
        self.qualified("collapse", true)
    }

    fn qualified(mut self, key: &str, flag: bool) -> Self {
        self.qualifiers.insert(key.to_owned(), flag.into());
        self
    }
}

/// The action `create`.
///
/// ```
/// # use miko_core::{Mikobase, SqliteEngine, q0::Create};
/// # use serde_json::json;
/// # let db = SqliteEngine::in_memory()?;
/// db.q0(Create::class("starfleet.com/officer").bucket(json!({"name": "Kirk"})).into())?;
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    request: Map<String, Value>,
}

impl Create {
    /// Creates a record of `class`. Without a [`bucket`](Self::bucket) it has an empty one.
    pub fn class(class: impl Into<String>) -> Self {
        let mut request = request_of("create");
        request.insert("class".to_owned(), class.into().into());
        Self { request }.bucket(json!({}))
    }

    /// Sets the pk of the new record. Without it the database chooses a pk.
    #[must_use]
    pub fn pk(mut self, pk: impl Into<String>) -> Self {
        self.request.insert("pk".to_owned(), pk.into().into());
        self
    }

    /// Sets the bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<Value>) -> Self {
        self.request.insert("bucket".to_owned(), bucket.into());
        self
    }
}

/// The action `update`.
///
/// ```
/// # use miko_core::{ErrorId, Mikobase, MikobaseExt, SqliteEngine, q0::Update};
/// # use serde_json::json;
/// # let db = SqliteEngine::in_memory()?;
/// # let pk = db.create("starfleet.com/officer", &json!({"rank": "Commander"}))?;
/// let read = db.record_by_pk(&pk)?.unwrap();
/// let promotion = Update::pk(&pk).bucket(json!({"rank": "Captain"})).if_updated_at(read.updated_at);
/// db.q0(promotion.clone().into())?;
/// assert!(db.q0(promotion.into()).unwrap_err().is(ErrorId::CONFLICT));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    request: Map<String, Value>,
}

impl Update {
    /// Updates the record with this pk.
    pub fn pk(pk: impl Into<String>) -> Self {
        Self { request: request_on_record("update", pk) }
    }

    /// Replaces the bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<Value>) -> Self {
        self.request.insert("bucket".to_owned(), bucket.into());
        self
    }

    /// Replaces the primary class.
    #[must_use]
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.request.insert("class".to_owned(), class.into().into());
        self
    }

    /// Updates only if the record was last changed at `time`; otherwise the request fails with `conflict`.
    #[must_use]
    pub fn if_updated_at(mut self, time: Timestamp) -> Self {
        self.request.insert("if_updated_at".to_owned(), time.to_string().into());
        self
    }
}

/// The action `patch`: merges an object into the bucket of a record.
///
/// ```
/// # use miko_core::{Mikobase, MikobaseExt, SqliteEngine, q0::Patch};
/// # use serde_json::json;
/// # let db = SqliteEngine::in_memory()?;
/// # let pk = db.create("starfleet.com/officer", &json!({"name": "Kirk", "rank": "Commander"}))?;
/// db.q0(Patch::pk(&pk).bucket(json!({"rank": "Captain"})).into())?;
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    request: Map<String, Value>,
}

impl Patch {
    /// Patches the records that a select finds. Without a [`bucket`](Self::bucket) the patch is empty.
    pub fn selected(select: Select) -> Self {
        Self { request: request_on_selected("patch", select) }.bucket(json!({}))
    }

    /// Patches the record with this pk. Without a [`bucket`](Self::bucket) the patch is empty.
    pub fn pk(pk: impl Into<String>) -> Self {
        Self { request: request_on_record("patch", pk) }.bucket(json!({}))
    }

    /// Sets the object to merge, by RFC 7396: null removes a member.
    #[must_use]
    pub fn bucket(mut self, patch: impl Into<Value>) -> Self {
        self.request.insert("bucket".to_owned(), patch.into());
        self
    }

    /// Patches only if the record was last changed at `time`; otherwise the request fails with `conflict`.
    /// Only for a patch [by pk](Self::pk).
    #[must_use]
    pub fn if_updated_at(mut self, time: Timestamp) -> Self {
        self.request.insert("if_updated_at".to_owned(), time.to_string().into());
        self
    }
}

/// The action `delete`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    request: Map<String, Value>,
}

impl Delete {
    /// Deletes the records that a select finds.
    pub fn selected(select: Select) -> Self {
        Self { request: request_on_selected("delete", select) }
    }

    /// Deletes the record with this pk.
    pub fn pk(pk: impl Into<String>) -> Self {
        Self { request: request_on_record("delete", pk) }
    }

    /// Accepts a missing or deleted record without an error. Only for a delete [by pk](Self::pk).
    #[must_use]
    pub fn if_exists(mut self) -> Self {
        self.request.insert("if_exists".to_owned(), true.into());
        self
    }

    /// Deletes only if the record was last changed at `time`; otherwise the request fails with `conflict`.
    /// Only for a delete [by pk](Self::pk).
    #[must_use]
    pub fn if_updated_at(mut self, time: Timestamp) -> Self {
        self.request.insert("if_updated_at".to_owned(), time.to_string().into());
        self
    }
}

/// A request that has only its action.
fn request_of(action: &str) -> Map<String, Value> {
    Map::from_iter([("action".to_owned(), action.into())])
}

/// A request about the record with this pk.
fn request_on_record(action: &str, pk: impl Into<String>) -> Map<String, Value> {
    let mut request = request_of(action);
    request.insert("pk".to_owned(), pk.into().into());
    request
}

/// A request about the records that a select finds. It gets the order and the limit of the select, and its
/// conditions as `where`. The placeholders stay among the conditions: the order and the limit may use them
/// from there. An offset stays as well: the action has none, so the database refuses it.
fn request_on_selected(action: &str, select: Select) -> Map<String, Value> {
    let mut request = request_of(action);
    let mut conditions = select.request;
    conditions.shift_remove("action");
    for key in ["sort", "sorts", "limit"] {
        if let Some(value) = conditions.shift_remove(key) {
            request.insert(key.to_owned(), value);
        }
    }
    request.insert("where".to_owned(), conditions.into());
    request
}

macro_rules! into_value {
    ($($type:ident.$map:ident),*) => {
        $(impl From<$type> for Value {
            fn from(built: $type) -> Self {
                built.$map.into()
            }
        })*
    };
}

into_value!(Select.request, Create.request, Update.request, Patch.request, Delete.request);
into_value!(Edit.request, Upsert.request, Condition.parts);

impl From<Test> for Value {
    fn from(test: Test) -> Self {
        test.0
    }
}

impl From<Sort> for Value {
    fn from(sort: Sort) -> Self {
        let mut path = sort.path;
        if !sort.qualifiers.is_empty() {
            path.push(sort.qualifiers.into());
        }
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_converts_to_its_json() {
        let cases = [
            (eq("a"), json!("a")),
            (eq(1.5), json!(1.5)),
            (eq(Value::Null), json!(null)),
            (eq(json!({"a": 1})), json!({"value": {"a": 1}})),
            (
                eq("a").ignoring_case().collapsed(),
                json!({"value": "a", "case-sensitive": false, "collapse": true}),
            ),
            (contains("a"), json!({"contains": "a"})),
            (starts_with("a"), json!({"starts-with": "a"})),
            (ends_with(placeholder("x")), json!({"ends-with": {"placeholder": "x"}})),
            (matches("^a"), json!({"matches": "^a"})),
            (gt(1).and(lt(5)), json!({"gt": 1, "lt": 5})),
            (gte(1).and(lte("b")), json!({"gte": 1, "lte": "b"})),
            (includes("a"), json!({"includes": "a"})),
            (includes_all(vec![1, 2]), json!({"includes_all": [1, 2]})),
            (includes_any(json!(["a", 1])), json!({"includes_any": ["a", 1]})),
            (one_of(["a", "b"]), json!({"in": ["a", "b"]})),
            (exists(true), json!({"exists": true})),
            (truthy(false), json!({"truthy": false})),
            (present(), json!({"any": true})),
        ];
        for (test, expected) in cases {
            assert_eq!(Value::from(test), expected);
        }
    }

    #[test]
    fn repeated_parts_are_combined() {
        let built = Select::all()
            .path(["a"], eq(1))
            .path([Step::from("b"), 0.into()], eq(2))
            .any_of([Condition::pk("x")])
            .any_of([Condition::class("a.b/c")])
            .sort(Sort::by(["a"]).ignoring_case().collapsed())
            .sort(Sort::by_pk().reverse())
            .sort(Sort::by_updated_at())
            .offset(3)
            .placeholder("x", 1)
            .placeholder("y", "z");
        let expected = json!({
            "action": "select",
            "path": ["a", 1],
            "all": [{"path": ["b", 0, 2]}, {"any": [{"class": "a.b/c"}]}],
            "any": [{"pk": "x"}],
            "sorts": [
                ["a", {"case-sensitive": false, "collapse": true}],
                [{"record": "pk"}, {"reverse": true}],
                [{"record": "updated_at"}],
            ],
            "offset": 3,
            "placeholders": {"x": 1, "y": "z"},
        });
        assert_eq!(Value::from(built), expected);
    }

    #[test]
    fn each_then_narrows_the_result() {
        let is = |key: &'static str| Condition::path([key], eq(1));
        let scoped = Condition::path(["b"], eq(placeholder("x"))).placeholder("x", 2);
        let select = Select::all().then(is("a")).then(scoped.not()).then(is("c"));
        let expected = json!({"action": "select", "then": {"all": [
            {"path": ["a", 1]},
            {"path": ["b", {"value": {"placeholder": "x"}}], "placeholders": {"x": 2}, "not": true},
            {"path": ["c", 1]},
        ]}});
        assert_eq!(Value::from(select), expected);
        // A negated `all` is one condition.
        let condition = is("a").then(Condition::all([is("b")]).not()).then(is("c"));
        let expected = json!({"path": ["a", 1], "then": {"all": [
            {"all": [{"path": ["b", 1]}], "not": true},
            {"path": ["c", 1]},
        ]}});
        assert_eq!(Value::from(condition), expected);
    }

    #[test]
    fn what_is_added_after_a_not_is_not_negated() {
        let not = || Condition::path(["a"], eq(placeholder("x"))).not().placeholder("x", 1);
        let is_x = json!({"value": {"placeholder": "x"}});
        let inner = json!([{"path": ["a", is_x], "not": true}]);
        let cases = [
            (
                not().and_path(["b"], eq(placeholder("x"))),
                json!({"placeholders": {"x": 1}, "all": inner, "path": ["b", is_x]}),
            ),
            (not().not(), json!({"placeholders": {"x": 1}, "all": inner, "not": true})),
            (
                not().then(Condition::pk("p")).not(),
                json!({"placeholders": {"x": 1}, "then": {"pk": "p"}, "all": inner, "not": true}),
            ),
        ];
        for (condition, expected) in cases {
            assert_eq!(Value::from(condition), expected);
        }
    }

    #[test]
    fn conditions_nest() {
        let built = Condition::all([Condition::path(["a"], exists(true)).and_path(["b"], eq(1)).not()])
            .then(Condition::any([]).placeholder("x", 1));
        let expected = json!({
            "all": [{"path": ["a", {"exists": true}], "all": [{"path": ["b", 1]}], "not": true}],
            "then": {"any": [], "placeholders": {"x": 1}},
        });
        assert_eq!(Value::from(built), expected);
    }

    #[test]
    fn writes_convert_to_their_json() {
        let update = Update::pk("p").bucket(json!({"a": 1})).class("a.b/c");
        assert_eq!(
            Value::from(update),
            json!({"action": "update", "pk": "p", "bucket": {"a": 1}, "class": "a.b/c"})
        );
        assert_eq!(
            Value::from(Delete::pk("p").if_exists()),
            json!({"action": "delete", "pk": "p", "if_exists": true})
        );
        let time: Timestamp = "2026-04-21T14:32:00.123Z".parse().unwrap();
        assert_eq!(
            Value::from(Patch::pk("p").bucket(json!({"a": null})).if_updated_at(time)),
            json!({"action": "patch", "pk": "p", "bucket": {"a": null},
                   "if_updated_at": "2026-04-21T14:32:00.123Z"})
        );
        assert_eq!(
            Value::from(Delete::pk("p").if_updated_at(time)),
            json!({"action": "delete", "pk": "p", "if_updated_at": "2026-04-21T14:32:00.123Z"})
        );
        assert_eq!(
            Value::from(Create::class("a.b/c").pk("p")),
            json!({"action": "create", "class": "a.b/c", "bucket": {}, "pk": "p"})
        );
    }
}

//! Resolves placeholders (`{"placeholder": "name"}`).
//!
//! The definition of a placeholder is the value that `placeholders` gives to its name. A name is looked up in
//! the condition that uses the placeholder, then in the enclosing ones. A placeholder inside a definition is
//! looked up where that definition is used (dynamic scoping), so one definition can expand differently in
//! different conditions. If a name has no definition, the part that contains the placeholder gets a deferred
//! error, because evaluation may never reach the part. If every evaluation reaches the part, as in the case
//! of `limit`, the error is reported as a fault of the request instead.

use std::collections::{BTreeMap, HashSet};

use miko_rpc::{ErrorId, ErrorItem, Warning};
use serde_json::{Map, Value};

use crate::diagnostics::Place;
use crate::json;

/// The maximal number of values that the placeholders of one request may repeat. Without this limit, ten
/// names that each stand for an array of ten others could expand to a billion values.
///
/// The first expansion of each definition is free, unless it takes place inside a repeated expansion. All
/// free expansions together are no larger than the request. Any other expansion costs one, and one more per
/// value of the definition, nested values included. The check for circular definitions also costs: per
/// comparison, one for each visible definition. Each expansion first checks that something is left, so the
/// last one may exceed the limit.
const MAX_REPEATED_VALUES: usize = 100_000;

/// The name of the placeholder, if the value is one.
pub(super) fn name(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get("placeholder")?.as_str()
}

/// Whether the value is a placeholder.
pub(super) fn is_placeholder(value: &Value) -> bool {
    name(value).is_some()
}

/// Whether the value is or contains a placeholder.
pub(super) fn contains_placeholder(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(contains_placeholder),
        Value::Object(map) => is_placeholder(value) || map.values().any(contains_placeholder),
        _ => false,
    }
}

/// Moves a fault in a definition to the placeholder that stands for the definition. The fault was found after
/// the placeholders were resolved, so the request has nothing at its pointer. `value` is the unresolved value
/// at `place`. A fault that is not in a definition is returned unchanged.
pub(super) fn move_out_of_definitions(fault: ErrorItem, value: &Value, place: &Place<'_>) -> ErrorItem {
    let place = place.to_string();
    let pointer = fault.details.get("pointer").and_then(Value::as_str);
    let Some(inner) = pointer.and_then(|pointer| pointer.strip_prefix(&place)) else { return fault };
    // The text before each `/` in `inner` is the pointer of a value that contains the fault. The first such
    // value is the outermost: `value` itself.
    let ends_at_placeholder = |end: &usize| value.pointer(&inner[..*end]).is_some_and(is_placeholder);
    let Some(end) = inner.match_indices('/').map(|(end, _)| end).find(ends_at_placeholder) else {
        return fault;
    };
    let pointer = format!("{place}{}", &inner[..end]);
    fault.with("pointer", pointer)
}

/// The number of values in a definition, nested ones included. A placeholder in the definition counts as
/// nothing here: expanding it is charged separately.
fn count_values(definition: &Value) -> usize {
    match definition {
        _ if is_placeholder(definition) => 0,
        Value::Array(items) => 1 + items.iter().map(count_values).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count_values).sum::<usize>(),
        _ => 1,
    }
}

/// The names that are visible at one place of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PlaceholderScope<'q, 's> {
    /// The definitions of the innermost condition that has any; `None` outside of all such conditions.
    definitions: Option<&'q Map<String, Value>>,
    /// The scope around that condition; `None` if `definitions` is `None`.
    outer: Option<&'s PlaceholderScope<'q, 's>>,
}

impl<'q, 's> PlaceholderScope<'q, 's> {
    pub(super) const fn nested(outer: &'s Self, definitions: &'q Map<String, Value>) -> Self {
        Self { definitions: Some(definitions), outer: Some(outer) }
    }

    /// The definition of a name, from the innermost condition that defines it.
    fn find(&self, name: &str) -> Option<&'q Value> {
        let here = self.definitions.and_then(|definitions| definitions.get(name));
        here.or_else(|| self.outer?.find(name))
    }

    /// The number of definitions in this scope and the enclosing ones.
    fn size(&self) -> usize {
        self.definitions.map_or(0, Map::len) + self.outer.map_or(0, Self::size)
    }

    /// All visible names with their definitions. Definitions are compared by identity, not by content.
    fn bindings(&self) -> BTreeMap<&'q str, *const Value> {
        let mut bindings = self.outer.map_or_else(BTreeMap::new, Self::bindings);
        let here = self.definitions.into_iter().flatten();
        bindings.extend(here.map(|(name, value)| (name.as_str(), std::ptr::from_ref(value))));
        bindings
    }
}

/// The expansion of a placeholder that is in progress, with a link to the expansion around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expansion<'q, 'c> {
    pub(super) definition: &'q Value,
    /// The names that are visible at the placeholder.
    scope: &'c PlaceholderScope<'q, 'c>,
    /// The expansion whose definition contains the placeholder; `None` if the placeholder is not in a
    /// definition.
    outer: Option<&'c Expansion<'q, 'c>>,
    /// The number of expansions from the outermost one to this one, both included.
    depth: usize,
    /// Whether this expansion, or one around it, is not the first of its definition. Only such expansions
    /// count towards [`MAX_REPEATED_VALUES`].
    repeats: bool,
}

impl<'q, 'c> Expansion<'q, 'c> {
    /// The scopes of those expansions of `definition` that are in progress: this one and those around it,
    /// from the inside outwards.
    fn scopes_of(&self, definition: &Value) -> impl Iterator<Item = &'c PlaceholderScope<'q, 'c>> {
        let chain = std::iter::successors(Some(*self), |expansion| expansion.outer.copied());
        chain
            .filter(move |expansion| std::ptr::eq(expansion.definition, definition))
            .map(|expansion| expansion.scope)
    }
}

/// The context of a value: its place, the visible names, and the expansions around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadContext<'q, 'p> {
    pub(super) place: &'p Place<'p>,
    pub(super) scope: &'p PlaceholderScope<'q, 'p>,
    /// The innermost expansion; `None` if the value is not in a definition.
    pub(super) expansion: Option<&'p Expansion<'q, 'p>>,
}

impl<'q, 'p> ReadContext<'q, 'p> {
    /// The same context at another place.
    pub(super) const fn at<'i>(&self, place: &'i Place<'i>) -> ReadContext<'q, 'i>
    where
        'p: 'i,
    {
        ReadContext { place, scope: self.scope, expansion: self.expansion }
    }

    /// The context inside the definition of a placeholder, at the place of the definition.
    pub(super) const fn within<'i>(
        &self,
        expansion: &'i Expansion<'q, 'i>,
        place: &'i Place<'i>,
    ) -> ReadContext<'q, 'i>
    where
        'p: 'i,
    {
        ReadContext { place, scope: self.scope, expansion: Some(expansion) }
    }
}

/// Resolves the placeholders of one request.
#[derive(Debug)]
pub(super) struct Resolver {
    /// How much of [`MAX_REPEATED_VALUES`] is left.
    budget: usize,
    /// The definitions that were expanded at least once, by identity.
    used: HashSet<*const Value>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { budget: MAX_REPEATED_VALUES, used: HashSet::new() }
    }
}

impl Resolver {
    /// Expands the placeholder `name`.
    ///
    /// # Errors
    /// A fault at the place of the context: the name is not defined, the definition is circular, the budget
    /// is used up, or definitions nest too deep.
    pub(super) fn expand<'q, 'p>(
        &mut self,
        name: &str,
        context: &ReadContext<'q, 'p>,
    ) -> Result<Expansion<'q, 'p>, ErrorItem> {
        let fault = |reason: &str, message: String| {
            let item = ErrorItem::new(ErrorId::INVALID_REQUEST, message);
            context.place.with_pointer(item.with("placeholder", name).with("reason", reason))
        };
        let Some(definition) = context.scope.find(name) else {
            return Err(fault(
                "undefined",
                format!("placeholder `{name}` is not defined here or in an enclosing condition"),
            ));
        };
        let is_first = self.used.insert(std::ptr::from_ref(definition));
        let outer_scopes =
            context.expansion.into_iter().flat_map(|expansion| expansion.scopes_of(definition));
        for outer_scope in outer_scopes {
            // A definition inside itself is circular if the visible names have the same definitions both
            // times. The comparison is charged to the budget.
            self.budget = self.budget.saturating_sub(context.scope.size());
            if outer_scope.bindings() == context.scope.bindings() {
                return Err(fault(
                    "circular",
                    format!("placeholder `{name}` is circular: its definition refers to itself"),
                ));
            }
        }
        let repeats = !is_first || context.expansion.is_some_and(|expansion| expansion.repeats);
        self.budget = self.budget.saturating_sub(usize::from(repeats));
        if self.budget == 0 {
            return Err(fault(
                "too_large",
                format!("placeholders repeat more than {MAX_REPEATED_VALUES} values"),
            ));
        }
        let depth = context.expansion.map_or(0, |expansion| expansion.depth) + 1;
        if depth > json::MAX_DEPTH {
            let message = format!("placeholder definitions nest deeper than {} levels", json::MAX_DEPTH);
            return Err(fault("too_large", message));
        }
        if repeats {
            // All values of the definition are charged now. The caller reads a condition part by part, and
            // does not charge the parts.
            self.budget = self.budget.saturating_sub(count_values(definition));
        }
        Ok(Expansion { definition, scope: context.scope, outer: context.expansion, depth, repeats })
    }

    /// Returns a copy of `value` with all placeholders replaced by their definitions.
    ///
    /// # Errors
    /// The faults of [`expand`](Self::expand); a fault if the result nests too deep.
    pub(super) fn resolve<'q>(
        &mut self,
        value: &'q Value,
        context: &ReadContext<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        self.resolve_within(json::MAX_DEPTH, value, context)
    }

    /// As [`resolve`](Self::resolve). Arrays and objects in the result may nest `levels_left` deep.
    fn resolve_within<'q>(
        &mut self,
        levels_left: usize,
        value: &'q Value,
        context: &ReadContext<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        if let Some(name) = name(value) {
            let expansion = self.expand(name, context)?;
            let place = Place::Definition(context.place);
            let context = context.within(&expansion, &place);
            return self.resolve_within(levels_left, expansion.definition, &context);
        }
        if levels_left == 0 && (value.is_array() || value.is_object()) {
            let message =
                format!("arrays and objects may nest {} deep, placeholders resolved", json::MAX_DEPTH);
            return Err(context.place.fault(message));
        }
        match value {
            Value::Array(items) => {
                let resolve = |(index, item)| {
                    let place = Place::Index(context.place, index);
                    self.resolve_within(levels_left - 1, item, &context.at(&place))
                };
                items.iter().enumerate().map(resolve).collect()
            }
            Value::Object(map) => {
                let resolve = |(key, item): (&'q String, &'q Value)| {
                    let place = Place::Key(context.place, key);
                    Ok((key.clone(), self.resolve_within(levels_left - 1, item, &context.at(&place))?))
                };
                map.iter().map(resolve).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            scalar => Ok(scalar.clone()),
        }
    }

    /// A warning for each of `definitions` that was not expanded. `place` is the place of `definitions`.
    pub(super) fn unused(&self, definitions: &Map<String, Value>, place: &Place<'_>) -> Vec<Warning> {
        let unused = definitions.iter().filter(|(_, value)| !self.used.contains(&std::ptr::from_ref(*value)));
        let warning = |(name, _): (&String, &Value)| {
            let message = format!("nothing uses the placeholder `{name}`");
            let item =
                ErrorItem::new(ErrorId::UNUSED_PLACEHOLDER, message).with("placeholder", name.as_str());
            Place::Key(place, name).with_pointer(item)
        };
        unused.map(warning).collect()
    }
}

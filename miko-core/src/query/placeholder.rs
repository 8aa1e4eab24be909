//! What `{"placeholder": "name"}` stands for.
//!
//! A name is looked up from where it is used: first in the condition that it stands in, then in those around it. All of
//! this is known from the request alone. What is not known is whether anybody will ask, so a name that cannot be
//! resolved is no fault of the request: it becomes one where it is reached.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::error::{ErrorId, ErrorItem, Warning};
use crate::json;
use crate::query::faults::Place;

/// How many values placeholders may stand for in one request, those inside others included. Ten names can stand for a
/// thousand million values if each stands for an array of ten others.
const MOST: usize = 100_000;

/// The name, if the value is a placeholder.
pub(super) fn name(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get("placeholder")?.as_str()
}

/// Is the value a placeholder, or does it hold one?
pub(super) fn is_in(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(map) => name(value).is_some() || map.values().any(is_in),
        _ => false,
    }
}

/// What names mean at one place of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'q, 's> {
    /// What the condition here gives.
    definitions: Option<&'q Map<String, Value>>,
    outer: Option<&'s Scope<'q, 's>>,
}

impl<'q, 's> Scope<'q, 's> {
    pub(super) const fn inside(outer: &'s Self, definitions: &'q Map<String, Value>) -> Self {
        Self { definitions: Some(definitions), outer: Some(outer) }
    }

    fn find(&self, name: &str) -> Option<&'q Value> {
        let here = self.definitions.and_then(|definitions| definitions.get(name));
        here.or_else(|| self.outer?.find(name))
    }

    /// Every name with what it means here. Two meanings are the same if they are written in the same place.
    fn meanings(&self) -> BTreeMap<&'q str, *const Value> {
        let mut meanings = self.outer.map_or_else(BTreeMap::new, Self::meanings);
        let here = self.definitions.into_iter().flatten();
        meanings.extend(here.map(|(name, value)| (name.as_str(), std::ptr::from_ref(value))));
        meanings
    }
}

/// The placeholders that are being resolved: each stands in what the next one stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain<'q, 'c> {
    definition: &'q Value,
    scope: &'c Scope<'q, 'c>,
    outer: Option<&'c Chain<'q, 'c>>,
}

impl Chain<'_, '_> {
    /// Has this definition been entered before, with names meaning what they mean now? Then there is no end to it.
    fn has(&self, definition: &Value, scope: &Scope<'_, '_>) -> bool {
        let again = std::ptr::eq(self.definition, definition) && self.scope.meanings() == scope.meanings();
        again || self.outer.is_some_and(|outer| outer.has(definition, scope))
    }
}

/// Where a value stands: what names mean there, and inside which placeholders it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position<'q, 'p> {
    pub(super) place: &'p Place<'p>,
    pub(super) scope: &'p Scope<'q, 'p>,
    pub(super) chain: Option<&'p Chain<'q, 'p>>,
}

impl<'q, 'p> Position<'q, 'p> {
    pub(super) const fn at<'i>(&self, place: &'i Place<'i>) -> Position<'q, 'i>
    where
        'p: 'i,
    {
        Position { place, scope: self.scope, chain: self.chain }
    }
}

/// Resolves the placeholders of one request.
#[derive(Debug)]
pub(super) struct Resolver {
    left: usize,
    used: HashSet<*const Value>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { left: MOST, used: HashSet::new() }
    }
}

impl Resolver {
    /// What `name` stands for in this position: `then` gets it with the position inside it.
    pub(super) fn enter<'q, T>(
        &mut self,
        name: &str,
        position: &Position<'q, '_>,
        then: impl FnOnce(&mut Self, &'q Value, &Position<'q, '_>) -> Result<T, ErrorItem>,
    ) -> Result<T, ErrorItem> {
        let fault = |reason: &str, message: String| {
            let item = ErrorItem::new(ErrorId::INVALID_REQUEST, message);
            position.place.locate(item.with("placeholder", name).with("reason", reason))
        };
        let Some(definition) = position.scope.find(name) else {
            return Err(fault("undefined", format!("no `placeholders` around this gives `{name}`")));
        };
        self.used.insert(std::ptr::from_ref(definition));
        if position.chain.is_some_and(|chain| chain.has(definition, position.scope)) {
            return Err(fault("circular", format!("what `{name}` stands for needs `{name}` itself")));
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(fault("too_large", format!("placeholders stand for more than {MOST} values")));
        }
        let chain = Chain { definition, scope: position.scope, outer: position.chain };
        then(
            self,
            definition,
            &Position { place: position.place, scope: position.scope, chain: Some(&chain) },
        )
    }

    /// The value with everything that its placeholders stand for.
    pub(super) fn resolve<'q>(
        &mut self,
        value: &'q Value,
        position: &Position<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        let resolved = self.resolve_inside(value, position)?;
        if json::too_deep(&resolved) {
            let message =
                format!("arrays and objects may nest {} deep, placeholders resolved", json::MAX_DEPTH);
            return Err(position.place.fault(message));
        }
        Ok(resolved)
    }

    fn resolve_inside<'q>(
        &mut self,
        value: &'q Value,
        position: &Position<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        if let Some(name) = name(value) {
            return self
                .enter(name, position, |resolver, value, inside| resolver.resolve_inside(value, inside));
        }
        if position.chain.is_some() {
            self.left = self.left.saturating_sub(1);
        }
        match value {
            Value::Array(items) => {
                let resolve = |(index, item)| {
                    let place = Place::Index(position.place, index);
                    self.resolve_inside(item, &position.at(&place))
                };
                items.iter().enumerate().map(resolve).collect()
            }
            Value::Object(map) => {
                let resolve = |(key, item): (&'q String, &'q Value)| {
                    let place = Place::Key(position.place, key);
                    Ok((key.clone(), self.resolve_inside(item, &position.at(&place))?))
                };
                map.iter().map(resolve).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            scalar => Ok(scalar.clone()),
        }
    }

    /// The warnings for what is defined here and was not used.
    pub(super) fn unused(&self, definitions: &Map<String, Value>, place: &Place<'_>) -> Vec<Warning> {
        let unused = definitions.iter().filter(|(_, value)| !self.used.contains(&std::ptr::from_ref(*value)));
        let warning = |(name, _): (&String, &Value)| {
            let message = format!("nothing uses the placeholder `{name}`");
            let item =
                ErrorItem::new(ErrorId::UNUSED_PLACEHOLDER, message).with("placeholder", name.as_str());
            Place::Key(place, name).locate(item)
        };
        unused.map(warning).collect()
    }
}

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

/// How many values placeholders may stand for in one request a second time, those inside others included. Ten names can
/// stand for a thousand million values if each stands for an array of ten others.
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

    /// How many definitions there are here and around it.
    fn size(&self) -> usize {
        self.definitions.map_or(0, Map::len) + self.outer.map_or(0, Self::size)
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
    pub(super) definition: &'q Value,
    scope: &'c Scope<'q, 'c>,
    outer: Option<&'c Chain<'q, 'c>>,
    length: usize,
    /// Has this been read before, for another place? The first time is no longer than the request.
    repeats: bool,
}

impl<'q, 'c> Chain<'q, 'c> {
    /// The scopes in which this definition has been entered before.
    fn scopes_of(&self, definition: &Value) -> impl Iterator<Item = &'c Scope<'q, 'c>> {
        let links = std::iter::successors(Some(*self), |link| link.outer.copied());
        links.filter(move |link| std::ptr::eq(link.definition, definition)).map(|link| link.scope)
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

    /// In what a placeholder here stands for.
    pub(super) const fn inside<'i>(&self, chain: &'i Chain<'q, 'i>) -> Position<'q, 'i>
    where
        'p: 'i,
    {
        Position { place: self.place, scope: self.scope, chain: Some(chain) }
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
    /// Enters what `name` stands for in this position.
    pub(super) fn enter<'q, 'p>(
        &mut self,
        name: &str,
        position: &Position<'q, 'p>,
    ) -> Result<Chain<'q, 'p>, ErrorItem> {
        let fault = |reason: &str, message: String| {
            let item = ErrorItem::new(ErrorId::INVALID_REQUEST, message);
            position.place.locate(item.with("placeholder", name).with("reason", reason))
        };
        let Some(definition) = position.scope.find(name) else {
            return Err(fault("undefined", format!("no `placeholders` around this gives `{name}`")));
        };
        let is_first = self.used.insert(std::ptr::from_ref(definition));
        for before in position.chain.into_iter().flat_map(|chain| chain.scopes_of(definition)) {
            // Where names mean what they meant then, there is no end to it. Finding that out is work as well.
            self.left = self.left.saturating_sub(position.scope.size());
            if before.meanings() == position.scope.meanings() {
                return Err(fault("circular", format!("what `{name}` stands for needs `{name}` itself")));
            }
        }
        let repeats = !is_first || position.chain.is_some_and(|chain| chain.repeats);
        self.left = self.left.saturating_sub(usize::from(repeats));
        if self.left == 0 {
            return Err(fault("too_large", format!("placeholders repeat more than {MOST} values")));
        }
        let length = position.chain.map_or(0, |chain| chain.length) + 1;
        if length > json::MAX_DEPTH {
            let message = format!("placeholders may stand {} deep in what others stand for", json::MAX_DEPTH);
            return Err(fault("too_large", message));
        }
        Ok(Chain { definition, scope: position.scope, outer: position.chain, length, repeats })
    }

    /// The value with everything that its placeholders stand for.
    pub(super) fn resolve<'q>(
        &mut self,
        value: &'q Value,
        position: &Position<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        self.resolve_at(json::MAX_DEPTH, value, position)
    }

    /// As `resolve`, for a value in which arrays and objects may nest so deep.
    fn resolve_at<'q>(
        &mut self,
        depth: usize,
        value: &'q Value,
        position: &Position<'q, '_>,
    ) -> Result<Value, ErrorItem> {
        if let Some(name) = name(value) {
            let chain = self.enter(name, position)?;
            return self.resolve_at(depth, chain.definition, &position.inside(&chain));
        }
        if position.chain.is_some_and(|chain| chain.repeats) {
            self.left = self.left.saturating_sub(1);
        }
        if depth == 0 && (value.is_array() || value.is_object()) {
            let message =
                format!("arrays and objects may nest {} deep, placeholders resolved", json::MAX_DEPTH);
            return Err(position.place.fault(message));
        }
        // What stands in what a placeholder stands for is where that placeholder is.
        let place_of = |inner| if position.chain.is_none() { inner } else { *position.place };
        match value {
            Value::Array(items) => {
                let resolve = |(index, item)| {
                    let place = place_of(Place::Index(position.place, index));
                    self.resolve_at(depth - 1, item, &position.at(&place))
                };
                items.iter().enumerate().map(resolve).collect()
            }
            Value::Object(map) => {
                let resolve = |(key, item): (&'q String, &'q Value)| {
                    let place = place_of(Place::Key(position.place, key));
                    Ok((key.clone(), self.resolve_at(depth - 1, item, &position.at(&place))?))
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

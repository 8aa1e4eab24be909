//! What a record must fulfil, and how that is read from a request.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorItem, FaultList};
use crate::json::{self, members::get};
use crate::query::faults::{Faults, Place};
use crate::query::fields::{self, Reader, mistyped};
use crate::query::path::Path;
use crate::query::placeholder::{self, Position, Resolver, Scope};

/// Every part that is given must hold.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// One of these, or a subclass of one, is the class of one of its platters.
    pub(crate) classes: Option<Part<Vec<String>>>,
    /// One of these is its pk.
    pub(crate) pks: Option<Part<Vec<String>>>,
    pub(crate) path: Option<Part<Path>>,
    pub(crate) all: Option<Part<Vec<Part<Condition>>>>,
    pub(crate) any: Option<Part<Vec<Part<Condition>>>>,
    /// Are the parts above negated, together?
    pub(crate) negated: Option<Part<bool>>,
    /// What survived must fulfil this as well.
    pub(crate) then: Option<Box<Part<Condition>>>,
}

/// What a request says at a place: or, where a placeholder leads nowhere, what is wrong once somebody gets there.
pub(crate) type Part<T> = Result<T, Error>;

/// The keys of a condition inside a select.
const KEYS: [&str; 9] = ["class", "classes", "pk", "path", "all", "any", "then", "not", PLACEHOLDERS];

const PLACEHOLDERS: &str = "placeholders";

/// Reads conditions, and what else may hold placeholders.
#[derive(Debug)]
pub(super) struct Conditions<'f> {
    pub(super) faults: &'f mut Faults,
    /// What will be wrong where it is reached.
    pub(super) latent: FaultList,
    /// How many conditions and parts were read.
    pub(super) size: usize,
    resolver: Resolver,
    depth: usize,
}

impl<'f> Conditions<'f> {
    pub(super) fn new(faults: &'f mut Faults) -> Self {
        Self { faults, latent: FaultList::default(), size: 0, resolver: Resolver::default(), depth: 0 }
    }

    /// Reads a condition from its keys, which are checked by whoever knows which there may be.
    pub(super) fn read<'q>(&mut self, map: &'q Map<String, Value>, position: &Position<'q, '_>) -> Condition {
        self.size += 1;
        let mut condition = Condition {
            classes: self.read_classes(map, position),
            pks: self.part(map, "pk", position, fields::pks),
            path: self.part(map, "path", position, Path::read),
            ..Condition::default()
        };
        condition.all = self.members(map, "all", position);
        condition.any = self.members(map, "any", position);
        condition.negated = self.part(map, "not", position, fields::boolean);
        condition.then = get(map, "then").and_then(|then| {
            let place = Place::Key(position.place, "then");
            self.reached(then, &position.at(&place), &mut Self::inner).map(Box::new)
        });
        condition
    }

    /// Calls `then` with the position in which the placeholders of `map` are known; warns of those that nothing uses.
    pub(super) fn with_placeholders<'q, T>(
        &mut self,
        map: &'q Map<String, Value>,
        position: &Position<'q, '_>,
        then: impl FnOnce(&mut Self, &Position<'q, '_>) -> T,
    ) -> T {
        let place = Place::Key(position.place, PLACEHOLDERS);
        match get(map, PLACEHOLDERS) {
            None => then(self, position),
            Some(Value::Object(definitions)) => {
                let scope = Scope::inside(position.scope, definitions);
                let read = then(self, &Position { scope: &scope, ..*position });
                let unused = self.resolver.unused(definitions, &place);
                unused.into_iter().for_each(|warning| self.faults.notice(warning));
                read
            }
            Some(other) => {
                self.faults.refuse_type(&place, "an object", other);
                then(self, position)
            }
        }
    }

    /// Reads a value that may hold placeholders. What is written is checked now; what a placeholder stands for is not a
    /// fault before it is reached.
    pub(super) fn value<'q, T>(
        &mut self,
        value: &'q Value,
        position: &Position<'q, '_>,
        read: Reader<T>,
    ) -> Option<Part<T>> {
        if !placeholder::is_in(value) {
            return self
                .read_here(position, |conditions| read(value.clone(), position.place, conditions.faults));
        }
        if position.chain.is_none() {
            let before = self.faults.count();
            self.faults.spares_placeholders = true;
            read(value.clone(), position.place, self.faults);
            self.faults.spares_placeholders = false;
            if self.faults.count() > before {
                return None;
            }
        }
        match self.resolver.resolve(value, position) {
            Err(item) => Some(Err(self.latent(vec![item]))),
            Ok(resolved) => {
                self.sparing(|conditions| read(resolved, position.place, conditions.faults).map(Ok))
            }
        }
    }

    fn part<'q, T>(
        &mut self,
        map: &'q Map<String, Value>,
        key: &str,
        position: &Position<'q, '_>,
        read: Reader<T>,
    ) -> Option<Part<T>> {
        let value = get(map, key)?;
        self.size += 1;
        self.value(value, &position.at(&Place::Key(position.place, key)), read)
    }

    fn read_classes<'q>(
        &mut self,
        map: &'q Map<String, Value>,
        position: &Position<'q, '_>,
    ) -> Option<Part<Vec<String>>> {
        let class = self.part(map, "class", position, fields::classes);
        let classes = self.part(map, "classes", position, fields::classes);
        match (class, classes) {
            (Some(class), Some(classes)) => {
                let warning = fields::redundant(["class", "classes"], "records of either are selected");
                self.faults.warn(position.place.locate(warning));
                Some(class.and_then(|class| Ok([class, classes?].concat())))
            }
            (class, classes) => class.or(classes),
        }
    }

    /// Reads `all` or `any`: an array of conditions.
    fn members<'q>(
        &mut self,
        map: &'q Map<String, Value>,
        key: &str,
        position: &Position<'q, '_>,
    ) -> Option<Part<Vec<Part<Condition>>>> {
        let place = Place::Key(position.place, key);
        self.reached(get(map, key)?, &position.at(&place), &mut |conditions, value, position| match value {
            Value::Array(items) => {
                let read = |(index, item)| {
                    let place = Place::Index(position.place, index);
                    conditions.reached(item, &position.at(&place), &mut Self::inner)
                };
                Some(items.iter().enumerate().filter_map(read).collect())
            }
            other => mistyped(conditions.faults, position.place, "an array of conditions", other),
        })
    }

    /// Reads a condition that stands inside another.
    fn inner<'q>(&mut self, value: &'q Value, position: &Position<'q, '_>) -> Option<Condition> {
        let Value::Object(map) = value else {
            return mistyped(self.faults, position.place, "a condition (an object)", value);
        };
        if self.depth == json::MAX_DEPTH {
            let message = format!("conditions may nest {} deep, placeholders resolved", json::MAX_DEPTH);
            return fields::refuse(self.faults, position.place.fault(message));
        }
        let unknown = fields::unknown(map, &KEYS);
        if !unknown.is_empty() {
            let message = format!("a condition knows no `{}`", unknown.join("`, `"));
            let item = position.place.fault(message).with("unknown_fields", unknown);
            self.faults.refuse(position.place.locate(item.with("allowed", KEYS.to_vec())));
        }
        self.depth += 1;
        let condition =
            self.with_placeholders(map, position, |conditions, position| conditions.read(map, position));
        self.depth -= 1;
        Some(condition)
    }

    /// Reads what stands at a place, by way of a placeholder if there is one.
    fn reached<'q, T>(
        &mut self,
        value: &'q Value,
        position: &Position<'q, '_>,
        read: &mut dyn FnMut(&mut Self, &'q Value, &Position<'q, '_>) -> Option<T>,
    ) -> Option<Part<T>> {
        let Some(name) = placeholder::name(value) else {
            return self.read_here(position, |conditions| read(conditions, value, position));
        };
        match self.resolver.enter(name, position) {
            Ok(chain) => self.reached(chain.definition, &position.inside(&chain), read),
            Err(item) => Some(Err(self.latent(vec![item]))),
        }
    }

    /// Reads what is written here: faults are those of the request, unless it is what a placeholder stands for.
    fn read_here<T>(
        &mut self,
        position: &Position<'_, '_>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Part<T>> {
        match position.chain {
            None => read(self).map(Ok),
            Some(_) => self.sparing(|conditions| read(conditions).map(Ok)),
        }
    }

    /// Reads something whose faults count where it is reached only.
    fn sparing<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<Part<T>>) -> Option<Part<T>> {
        let mut outer = std::mem::take(self.faults);
        self.faults.patterns = std::mem::take(&mut outer.patterns);
        let part = read(self);
        let mut inner = std::mem::replace(self.faults, outer);
        self.faults.patterns = std::mem::take(&mut inner.patterns);
        let (_, notices) = inner.take_latent();
        let (errors, warnings) = inner.into_parts();
        self.faults.warn_all(warnings);
        self.faults.notice_all(notices);
        if errors.is_empty() { part } else { Some(Err(self.latent(errors.into_items()))) }
    }

    fn latent(&mut self, items: Vec<ErrorItem>) -> Error {
        self.latent.extend(items.iter().cloned());
        Error::of(items)
    }
}

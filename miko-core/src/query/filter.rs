//! The filter of a select, and its parser. Q0 calls a filter a condition.

use miko_rpc::{Error, ErrorItem};
use serde_json::{Map, Value};

use crate::diagnostics::readers::{self, ReadFn, refuse_type};
use crate::diagnostics::{FaultList, Faults, Place};
use crate::json::{self, members::get};
use crate::query::path::PathTest;
use crate::query::placeholder::{self, PlaceholderScope, ReadContext, Resolver};
use crate::query::request_keys;
use crate::query::value_list::PkList;

/// A filter of records: the conjunction of its parts. A part is a key of the condition. The parts are
/// evaluated in the order of the fields, which decides which deferred errors are raised: see
/// [`matches`](Self::matches).
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The record has one of these classes or a subclass of one.
    pub(crate) classes: Option<DeferredResult<Vec<String>>>,
    /// The record has one of these pks.
    pub(crate) pks: Option<DeferredResult<PkList>>,
    /// The test of a value in the bucket holds.
    pub(crate) path: Option<DeferredResult<PathTest>>,
    /// The record passes each of these filters.
    pub(crate) all: Option<DeferredResult<Vec<DeferredResult<Filter>>>>,
    /// The record passes at least one of these filters.
    pub(crate) any: Option<DeferredResult<Vec<DeferredResult<Filter>>>>,
    /// Whether the conjunction of the parts above is negated: the key `not`. Without the key, it is not
    /// negated.
    pub(crate) negated: Option<DeferredResult<bool>>,
    /// A further filter, which is evaluated last: only for the records that pass the parts above, `negated`
    /// included. `negated` does not apply to it.
    pub(crate) then: Option<Box<DeferredResult<Filter>>>,
}

impl Filter {
    /// Reads a condition that is not part of a select, such as the condition of a target. All its faults are
    /// reported at once, so the filter has no deferred errors.
    ///
    /// # Errors
    /// All faults, also those that would be deferred in a select.
    pub(crate) fn of_condition(condition: &Value) -> Result<Self, Error> {
        let mut faults = Faults::default();
        let mut reader = FilterReader::new(&mut faults);
        let scope = PlaceholderScope::default();
        let context = ReadContext { place: &Place::Root, scope: &scope, expansion: None };
        // `None` after a fault, which `check` returns below.
        let filter = reader.read_nested(condition, &context).unwrap_or_default();
        let deferred = reader.deferred;
        let (mut errors, _) = faults.into_parts();
        errors.append(deferred);
        errors.check()?;
        Ok(filter)
    }
}

/// A part of a request after its placeholders are resolved, or its deferred error, which is raised only if
/// evaluation reaches the part. Only faults of placeholders and of their values are deferred.
pub(crate) type DeferredResult<T> = Result<T, Error>;

/// The keys of a condition. They do not apply to the outermost condition of a select: its keys are keys of
/// the select itself, which has no `not`.
const KEYS: [&str; 9] = ["class", "classes", "pk", "path", "all", "any", "then", "not", PLACEHOLDERS];

const PLACEHOLDERS: &str = "placeholders";

/// Parses filters, and other parts of a request that may contain placeholders.
#[derive(Debug)]
pub(super) struct FilterReader<'f> {
    /// Receives the faults that are reported at once.
    pub(super) faults: &'f mut Faults,
    /// All deferred errors: evaluation raises one only if it reaches the faulty part.
    pub(super) deferred: FaultList,
    /// The number of filters parsed so far, and of their parts other than `all`, `any` and `then`. The
    /// planner does not pass a filter with very many parts to storage.
    pub(super) part_count: usize,
    resolver: Resolver,
    /// The nesting of the filter that is being parsed.
    depth: usize,
}

impl<'f> FilterReader<'f> {
    pub(super) fn new(faults: &'f mut Faults) -> Self {
        Self {
            faults,
            deferred: FaultList::default(),
            part_count: 0,
            resolver: Resolver::default(),
            depth: 0,
        }
    }

    /// Parses a filter from the keys in `map`. Other keys are ignored here; the caller reports unknown ones.
    pub(super) fn read<'q>(&mut self, map: &'q Map<String, Value>, context: &ReadContext<'q, '_>) -> Filter {
        self.part_count += 1;
        Filter {
            classes: self.read_classes(map, context),
            pks: self.read_part(map, "pk", context, PkList::read),
            path: self.read_part(map, "path", context, PathTest::read),
            all: self.read_operands(map, "all", context),
            any: self.read_operands(map, "any", context),
            negated: self.read_part(map, "not", context, readers::boolean),
            then: get(map, "then").and_then(|then| {
                let place = Place::Key(context.place, "then");
                self.read_expanded(then, &context.at(&place), &mut Self::read_nested).map(Box::new)
            }),
        }
    }

    /// Calls `body` with a context that has the definitions in the `placeholders` of `map`. Then adds a hint
    /// for each definition that is not used; only `validate` reports hints.
    pub(super) fn with_placeholders<'q, T>(
        &mut self,
        map: &'q Map<String, Value>,
        context: &ReadContext<'q, '_>,
        body: impl FnOnce(&mut Self, &ReadContext<'q, '_>) -> T,
    ) -> T {
        let place = Place::Key(context.place, PLACEHOLDERS);
        match get(map, PLACEHOLDERS) {
            None => body(self, context),
            Some(Value::Object(definitions)) => {
                let scope = PlaceholderScope::nested(context.scope, definitions);
                let result = body(self, &ReadContext { scope: &scope, ..*context });
                let unused = self.resolver.unused(definitions, &place);
                unused.into_iter().for_each(|warning| self.faults.hint(warning));
                result
            }
            Some(other) => {
                self.faults.refuse_type(&place, "an object", other);
                body(self, context)
            }
        }
    }

    /// Reads a value that may contain placeholders at any depth. Faults of the literal parts are reported at
    /// once. Faults of placeholders and of their definitions are deferred until evaluation. Inside a
    /// definition, all faults are deferred. `None` if a fault was reported at once.
    pub(super) fn read_value<'q, T>(
        &mut self,
        value: &'q Value,
        context: &ReadContext<'q, '_>,
        read: ReadFn<T>,
    ) -> Option<DeferredResult<T>> {
        if !placeholder::contains_placeholder(value) {
            return self.read_or_defer(context, |reader| read(value.clone(), context.place, reader.faults));
        }
        // The warnings of the literal parts. Reading the resolved value adds the same warnings again, so
        // these are added only if that reading does not take place.
        let mut literal_warnings = FaultList::default();
        // Inside a definition all faults are deferred, so the literal parts need no check of their own.
        if context.expansion.is_none() {
            // Reads the value only to check its literal parts. The placeholders are exempt from the check,
            // and the result, which lacks them, is dropped.
            let before = self.faults.count();
            let earlier_warnings = self.faults.take_warnings();
            self.faults.exempt = Some(placeholder::is_placeholder);
            read(value.clone(), context.place, self.faults);
            self.faults.exempt = None;
            literal_warnings = self.faults.take_warnings();
            self.faults.warn_all(earlier_warnings);
            if self.faults.count() > before {
                self.faults.warn_all(literal_warnings);
                return None;
            }
        }
        match self.resolver.resolve(value, context) {
            Err(item) => {
                self.faults.warn_all(literal_warnings);
                Some(Err(self.defer(vec![item])))
            }
            Ok(resolved) => self.deferring_errors(|reader| {
                let part = read(resolved, context.place, reader.faults).map(Ok);
                // The pointer of a fault may lead into a definition that was inserted, where the request has
                // nothing. Such a fault gets the pointer of the placeholder.
                let move_out = |fault| placeholder::move_out_of_definitions(fault, value, context.place);
                reader.faults.map(move_out);
                part
            }),
        }
    }

    /// Reads the value of a key of a filter, if it is present.
    fn read_part<'q, T>(
        &mut self,
        map: &'q Map<String, Value>,
        key: &str,
        context: &ReadContext<'q, '_>,
        read: ReadFn<T>,
    ) -> Option<DeferredResult<T>> {
        let value = get(map, key)?;
        self.part_count += 1;
        self.read_value(value, &context.at(&Place::Key(context.place, key)), read)
    }

    /// Reads `class` and `classes`. If both are present, warns and selects records of any class of either.
    fn read_classes<'q>(
        &mut self,
        map: &'q Map<String, Value>,
        context: &ReadContext<'q, '_>,
    ) -> Option<DeferredResult<Vec<String>>> {
        let class = self.read_part(map, "class", context, readers::classes);
        let classes = self.read_part(map, "classes", context, readers::classes);
        match (class, classes) {
            (Some(class), Some(classes)) => {
                let warning =
                    request_keys::redundant_fields(["class", "classes"], "records of either are selected");
                self.faults.warn(context.place.with_pointer(warning));
                Some(class.and_then(|class| Ok([class, classes?].concat())))
            }
            (class, classes) => class.or(classes),
        }
    }

    /// Parses the operands of `all` or `any`: an array of filters.
    fn read_operands<'q>(
        &mut self,
        map: &'q Map<String, Value>,
        key: &str,
        context: &ReadContext<'q, '_>,
    ) -> Option<DeferredResult<Vec<DeferredResult<Filter>>>> {
        let place = Place::Key(context.place, key);
        self.read_expanded(get(map, key)?, &context.at(&place), &mut |reader, value, context| match value {
            Value::Array(items) => {
                let read = |(index, item)| {
                    let place = Place::Index(context.place, index);
                    reader.read_expanded(item, &context.at(&place), &mut Self::read_nested)
                };
                Some(items.iter().enumerate().filter_map(read).collect())
            }
            other => refuse_type(reader.faults, context.place, "an array of conditions", other),
        })
    }

    /// Parses a nested filter.
    fn read_nested<'q>(&mut self, value: &'q Value, context: &ReadContext<'q, '_>) -> Option<Filter> {
        let Value::Object(map) = value else {
            return refuse_type(self.faults, context.place, "a condition (an object)", value);
        };
        if self.depth == json::MAX_DEPTH {
            let message = format!("conditions may nest {} deep, placeholders resolved", json::MAX_DEPTH);
            return readers::refuse(self.faults, context.place.fault(message));
        }
        let unknown = request_keys::unknown(map, &KEYS);
        if !unknown.is_empty() {
            let message = format!("a condition has no key `{}`", unknown.join("`, `"));
            let item = context.place.fault(message).with("unknown_fields", unknown);
            self.faults.refuse(context.place.with_pointer(item.with("allowed", KEYS.to_vec())));
        }
        self.depth += 1;
        let filter = self.with_placeholders(map, context, |reader, context| reader.read(map, context));
        self.depth -= 1;
        Some(filter)
    }

    /// Reads a value. If the value is a placeholder, reads the definition of the placeholder instead.
    fn read_expanded<'q, T>(
        &mut self,
        value: &'q Value,
        context: &ReadContext<'q, '_>,
        read: &mut dyn FnMut(&mut Self, &'q Value, &ReadContext<'q, '_>) -> Option<T>,
    ) -> Option<DeferredResult<T>> {
        let Some(name) = placeholder::name(value) else {
            return self.read_or_defer(context, |reader| read(reader, value, context));
        };
        match self.resolver.expand(name, context) {
            Ok(expansion) => {
                let place = Place::Definition(context.place);
                self.read_expanded(expansion.definition, &context.within(&expansion, &place), read)
            }
            Err(item) => Some(Err(self.defer(vec![item]))),
        }
    }

    /// Reads a value. Its faults are reported, or deferred if the value is part of the definition of a
    /// placeholder, that is, if the context has an expansion.
    fn read_or_defer<T>(
        &mut self,
        context: &ReadContext<'_, '_>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<DeferredResult<T>> {
        match context.expansion {
            None => read(self).map(Ok),
            Some(_) => self.deferring_errors(|reader| read(reader).map(Ok)),
        }
    }

    /// Calls `read`, and defers the errors that it reports. Warnings and hints are reported at once.
    fn deferring_errors<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<DeferredResult<T>>,
    ) -> Option<DeferredResult<T>> {
        // `read` reports to an empty list of faults.
        let mut outer = std::mem::take(self.faults);
        // The budget for regular expressions is that of the whole request.
        self.faults.patterns = std::mem::take(&mut outer.patterns);
        let part = read(self);
        let mut inner = std::mem::replace(self.faults, outer);
        self.faults.patterns = std::mem::take(&mut inner.patterns);
        // The first list is empty: this reader collects deferred errors in its own list, `self.deferred`.
        let (_, hints) = inner.take_for_validate();
        let (errors, warnings) = inner.into_parts();
        self.faults.warn_all(warnings);
        self.faults.hint_all(hints);
        if errors.is_empty() { part } else { Some(Err(self.defer(errors.into_items()))) }
    }

    /// Adds errors to the deferred ones, and returns them as the error of the part.
    fn defer(&mut self, items: Vec<ErrorItem>) -> Error {
        self.deferred.extend(items.iter().cloned());
        Error::of(items)
    }
}

//! The catalog: all defined classes, each with its inherited fields and constraints resolved.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use rpds::{HashTrieMapSync, RedBlackTreeSetSync};
use serde_json::{Map, Value};

use super::constraint::Constraint;
use super::definition::Definition;
use super::field::{Fields, NamedField};
use super::inheritance::{Definitions, FieldOrder, check_parents, linearize};
use super::text_rules::TextRules;
use crate::diagnostics::FaultList;
use crate::json;
use crate::stack::Stack;
use crate::uns;

/// All defined classes.
///
/// The maps are persistent data structures: a clone shares all entries that are not changed. So a transaction
/// can keep its initial catalog cheaply, and a change of a class costs time in proportion to the class and
/// its subclasses, not to the catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    classes: ClassMap,
    /// The direct and indirect subclasses of each class, in alphabetical order. Every select of a class needs
    /// them.
    subclasses: NameRelation,
    /// For each class, the classes whose fields may contain its objects.
    embedded_in: NameRelation,
    /// The total of [`Class::inherited_count`] over all classes.
    inherited_total: usize,
    /// The number of changes since the empty catalog.
    revision: u64,
}

/// The maximum of [`Catalog::inherited_total`]. Each class has a list of the fields, constraints and
/// ancestors that it inherits. Without this limit, short definitions of subclasses could take any amount of
/// memory.
const MAX_INHERITED: usize = 1_000_000;

type ClassMap = HashTrieMapSync<Arc<str>, Arc<Class>, RandomState>;
type NameRelation = HashTrieMapSync<Arc<str>, NameSet, RandomState>;
type NameSet = RedBlackTreeSetSync<Arc<str>>;

/// A class with its inherited fields and constraints resolved.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) definition: Definition,
    /// The class, then its ancestors in pre-order: parents left to right, depth first, each once.
    pub(crate) lineage: Vec<String>,
    /// All fields, own and inherited, in the order of [`FieldOrder`]: inherited fields precede own ones. The
    /// first class of `lineage` that declares a field defines it.
    pub(super) fields: Fields,
    /// The constraints of the class and its ancestors.
    pub(crate) constraints: Vec<Arc<Constraint>>,
    /// Whether the fields of the class may hold references.
    pub(crate) holds_references: bool,
    /// Whether [normalization](super::normalize::Normalizer::normalize) by the class may change a bucket.
    pub(super) normalizes: bool,
    /// Facts about the class for checking a bucket as JSON text, without parsing it.
    pub(super) text_rules: TextRules,
    /// The stack of a record whose only class is this one. Cached because most new records have one class.
    pub(crate) stack: Map<String, Value>,
    /// `stack` as JSON text.
    pub(crate) stack_text: String,
}

impl Catalog {
    /// Builds a catalog from definitions.
    ///
    /// # Errors
    /// `class-not-found` for each undefined parent, `validation-failed` for each class that inherits from
    /// itself or through too many levels. The total of what classes inherit is not limited: an earlier
    /// version with another limit may have stored the definitions.
    pub(crate) fn of(definitions: impl IntoIterator<Item = Definition>) -> Result<Self> {
        Self::default().with_limit(definitions.into_iter().collect(), &[], usize::MAX)
    }

    /// Builds a catalog from the definitions of a past time. Their inheritance may be invalid, since an
    /// import checks the inheritance of the current definitions only. Invalid inheritance is repaired, not
    /// refused: undefined parents are removed, and a class that inherits from itself or through too many
    /// levels loses all its parents. Classes are repaired in alphabetical order, so an earlier repair can
    /// make a later one unnecessary.
    pub(crate) fn of_past(definitions: impl IntoIterator<Item = Definition>) -> Self {
        let named = definitions.into_iter().map(|definition| (definition.name.clone(), definition));
        let empty = Self::default();
        let (removed, added) = (HashSet::new(), named.collect());
        let mut all = ChangedDefinitions { catalog: &empty, removed, added };
        let mut names: Vec<String> = all.added.keys().cloned().collect();
        names.sort_unstable();
        for name in &names {
            let Some(definition) = all.get(name) else { continue };
            let mut faults = FaultList::default();
            check_parents(definition, &all, &mut faults);
            if faults.is_empty() {
                continue;
            }
            let mut repaired = definition.clone();
            repaired.inherits.retain(|parent| all.get(parent).is_some() || uns::is_built_in(parent));
            let mut faults = FaultList::default();
            check_parents(&repaired, &all, &mut faults);
            if !faults.is_empty() {
                repaired.inherits.clear();
            }
            all.added.insert(name.clone(), repaired);
        }
        let mut past = empty.clone();
        // `rebuild` fails only if the total exceeds the limit, and no total exceeds `usize::MAX`.
        let _ = past.rebuild(&names, &all, usize::MAX);
        past
    }

    /// A copy of the catalog in which the definitions `added` are added or replaced, and the classes with the
    /// names `removed` are removed. A class in both is kept, with its new definition.
    ///
    /// # Errors
    /// The errors of [`of`](Self::of); `validation-failed`, if all classes together inherit more than
    /// [`MAX_INHERITED`] and more than before.
    pub(crate) fn with(&self, added: Vec<Definition>, removed: &[String]) -> Result<Self> {
        self.with_limit(added, removed, MAX_INHERITED)
    }

    /// As [`with`](Self::with), with `max_inherited` in place of [`MAX_INHERITED`].
    fn with_limit(&self, added: Vec<Definition>, removed: &[String], max_inherited: usize) -> Result<Self> {
        let changed = ChangedDefinitions {
            catalog: self,
            removed: removed.iter().map(String::as_str).collect(),
            added: added.into_iter().map(|definition| (definition.name.clone(), definition)).collect(),
        };
        let mut affected: BTreeSet<&str> =
            changed.added.keys().map(String::as_str).chain(removed.iter().map(String::as_str)).collect();
        let subclasses: Vec<&str> = affected.iter().flat_map(|name| self.subclasses(name)).collect();
        affected.extend(subclasses);
        let mut faults = FaultList::default();
        for definition in affected.iter().filter_map(|name| changed.get(name)) {
            check_parents(definition, &changed, &mut faults);
        }
        faults.sort();
        faults.check()?;
        let names: Vec<&str> = affected.into_iter().collect();
        let mut new = self.clone();
        new.rebuild(&names, &changed, max_inherited.max(self.inherited_total))?;
        Ok(new)
    }

    /// Replaces the classes with these names by those that `changed` defines. Removes a class that `changed`
    /// does not define.
    ///
    /// # Errors
    /// `validation-failed`, if all classes together inherit more than `max_inherited`.
    fn rebuild(
        &mut self,
        names: &[impl AsRef<str>],
        changed: &ChangedDefinitions<'_>,
        max_inherited: usize,
    ) -> Result<()> {
        // All are removed before any is inserted: a total with classes that are still to be replaced could
        // exceed the limit although the final total does not.
        names.iter().for_each(|name| self.remove(name.as_ref()));
        for definition in names.iter().filter_map(|name| changed.get(name.as_ref())) {
            self.insert(Class::of(definition, changed));
            if self.inherited_total > max_inherited {
                return Err(inheritance_limit_exceeded(&definition.name, max_inherited));
            }
        }
        self.revision += 1;
        Ok(())
    }

    /// Whether no change was made between the two catalogs. Only the numbers of their changes are compared,
    /// so one catalog must have been made from the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.revision == other.revision
    }

    /// Inserts a class. The catalog must not have a class of the same name.
    fn insert(&mut self, class: Class) {
        let name: Arc<str> = class.definition.name.as_str().into();
        for ancestor in class.ancestors() {
            insert_related(&mut self.subclasses, ancestor, &name);
        }
        self.inherited_total += class.inherited_count();
        for embedded in class.embedded() {
            insert_related(&mut self.embedded_in, embedded, &name);
        }
        self.classes.insert_mut(name, Arc::new(class));
    }

    fn remove(&mut self, name: &str) {
        let Some(class) = self.classes.get(name).cloned() else { return };
        for ancestor in class.ancestors() {
            remove_related(&mut self.subclasses, ancestor, name);
        }
        self.inherited_total -= class.inherited_count();
        for embedded in class.embedded() {
            remove_related(&mut self.embedded_in, embedded, name);
        }
        self.classes.remove_mut(name);
    }

    /// The class with this name, if it is defined.
    pub(crate) fn class(&self, name: &str) -> Option<&Arc<Class>> {
        self.classes.get(name)
    }

    /// The class itself, then its subclasses in alphabetical order.
    pub(crate) fn with_subclasses<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        std::iter::once(name).chain(self.subclasses(name))
    }

    /// The direct and indirect subclasses, in alphabetical order.
    pub(crate) fn subclasses<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c str> + use<'c> {
        self.subclasses.get(name).into_iter().flatten().map(|name| &**name)
    }

    /// Whether `class` is one of `allowed`, or a subclass of one of them.
    pub(crate) fn is_subclass_of_any(&self, class: &str, allowed: &[String]) -> bool {
        let lineage = self.class(class).map(|class| class.lineage.as_slice());
        allowed.iter().any(|name| name == class || lineage.is_some_and(|lineage| lineage.contains(name)))
    }

    /// The constraints of the class and its ancestors; empty if the class is not defined.
    pub(crate) fn constraints(&self, class: &str) -> &[Arc<Constraint>] {
        self.class(class).map_or(&[], |class| &class.constraints)
    }

    /// Whether the fields of the class may hold references.
    pub(crate) fn has_references(&self, class: &str) -> bool {
        self.class(class).is_some_and(|class| class.holds_references)
    }

    /// Extends `names` with all classes whose records may contain objects of a class in `names`, at any
    /// depth.
    pub(crate) fn add_embedding_classes(&self, names: &mut BTreeSet<String>) {
        let mut new: Vec<String> = names.iter().cloned().collect();
        while let Some(name) = new.pop() {
            for class in self.embedded_in.get(name.as_str()).into_iter().flatten() {
                if !names.contains(&**class) {
                    names.insert((**class).to_owned());
                    new.push((**class).to_owned());
                }
            }
        }
    }
}

/// Adds `name` to the names that are related to the class `to`.
fn insert_related(related: &mut NameRelation, to: &str, name: &Arc<str>) {
    if let Some(names) = related.get_mut(to) {
        names.insert_mut(Arc::clone(name));
    } else {
        let mut names = NameSet::default();
        names.insert_mut(Arc::clone(name));
        related.insert_mut(to.into(), names);
    }
}

/// Removes `name` from the names that are related to the class `from`.
fn remove_related(related: &mut NameRelation, from: &str, name: &str) {
    if let Some(names) = related.get_mut(from) {
        names.remove_mut(name);
        if names.is_empty() {
            related.remove_mut(from);
        }
    }
}

/// The error if the insertion of `class` makes all classes together inherit more than `allowed`.
fn inheritance_limit_exceeded(class: &str, allowed: usize) -> Error {
    let message = format!(
        "with `{class}`, the classes of the database would inherit more than {allowed} fields, constraints \
         and ancestors in all: give the class fewer ancestors, or give its ancestors fewer fields"
    );
    let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", uns::CLASS);
    item.with("field", "inherits").with("found", class).with("allowed", allowed).into()
}

/// The definitions after a change, as an overlay over the catalog.
struct ChangedDefinitions<'c> {
    catalog: &'c Catalog,
    removed: HashSet<&'c str>,
    added: HashMap<String, Definition>,
}

impl Definitions for ChangedDefinitions<'_> {
    fn get(&self, name: &str) -> Option<&Definition> {
        self.added.get(name).or_else(|| {
            let class = self.catalog.classes.get(name).filter(|_| !self.removed.contains(name));
            class.map(|class| &class.definition)
        })
    }
}

impl Class {
    /// Whether the class is abstract: records may have its subclasses, but not the class itself.
    pub(crate) fn is_abstract(&self) -> bool {
        self.definition.is_abstract
    }

    /// The ancestors of the class.
    fn ancestors(&self) -> impl Iterator<Item = &String> {
        self.lineage.iter().filter(|ancestor| **ancestor != self.definition.name)
    }

    /// The number of fields, constraints and ancestors that the class inherits.
    fn inherited_count(&self) -> usize {
        let Self { lineage, fields, constraints, definition, .. } = self;
        (lineage.len() + fields.len() + constraints.len())
            - (1 + definition.fields.len() + definition.constraints.len())
    }

    /// The classes of the objects that the fields of the class may contain.
    fn embedded(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.fields.iter().for_each(|(_, field)| field.add_embedded(&mut names));
        names
    }

    /// Resolves the inheritance of a class. `all` has the definitions of its ancestors.
    fn of(definition: &Definition, all: &ChangedDefinitions<'_>) -> Self {
        let lineage = linearize(definition, all);
        // `order` gives each field its position. The definition of a field is the declaration in the first
        // class of the lineage that declares the field.
        let mut order = FieldOrder::default();
        order.collect(definition, all);
        let mut declared: HashMap<&str, &Arc<NamedField>> = HashMap::with_capacity(order.names.len());
        for class in lineage.iter().filter_map(|class| all.get(class)) {
            for field in class.fields.shared() {
                declared.entry(&field.name).or_insert(field);
            }
        }
        let declared_field = |name: &str| declared.get(name).map(|field| Arc::clone(field));
        let fields: Fields = order.names.into_iter().filter_map(declared_field).collect();
        let lineage_definitions = lineage.iter().filter_map(|class| all.get(class));
        let constraints: Vec<_> = lineage_definitions.flat_map(|class| &class.constraints).cloned().collect();
        let holds_references = fields.iter().any(|(_, field)| field.holds_references());
        let text_rules = TextRules::of(&fields, &constraints, definition.is_abstract, holds_references);
        let normalizes = fields.iter().any(|(_, field)| field.normalizes());
        let stack = Stack::of_class(definition.name.clone()).into_map(None);
        let stack_text = json::text_of(&stack);
        let definition = definition.clone();
        Self {
            definition,
            lineage,
            fields,
            constraints,
            holds_references,
            normalizes,
            text_rules,
            stack,
            stack_text,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::diagnostics::Place;

    fn definition(value: Value) -> Definition {
        let mut faults = FaultList::default();
        let definition = Definition::read(value.as_object().unwrap(), Place::Root, &mut faults);
        assert_eq!(faults.into_items(), []);
        definition.unwrap()
    }

    fn catalog(definitions: Value) -> Result<Catalog> {
        let definitions = definitions.as_array().unwrap().iter().cloned().map(definition);
        Catalog::of(definitions)
    }

    #[test]
    fn fields_are_in_post_order_and_defined_by_the_first_class_of_the_lineage() {
        let catalog = catalog(json!([
            {"name": "a.b/thing", "fields": {"id": {"class": "number"}, "label": {"class": "string"}}},
            {"name": "a.b/moving", "inherits": "a.b/thing", "fields": {"speed": {"class": "number"}}},
            {"name": "a.b/owned", "inherits": ["a.b/thing"],
             "fields": {"label": {"class": "url"}, "owner": {}}},
            {"name": "a.b/ship", "inherits": ["a.b/moving", "a.b/owned"],
             "fields": {"crew": {"class": "array"}, "speed": {"class": "number", "required": true}}},
        ]))
        .unwrap();
        let ship = catalog.class("a.b/ship").unwrap();
        assert_eq!(ship.lineage, ["a.b/ship", "a.b/moving", "a.b/thing", "a.b/owned"]);
        let names: Vec<&str> = ship.fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "label", "speed", "owner", "crew"]);
        assert!(
            ship.fields.iter().any(|(name, field)| name == "speed" && field.required),
            "its own definition of a field takes precedence"
        );
        assert_eq!(
            catalog.with_subclasses("a.b/thing").collect::<Vec<_>>(),
            ["a.b/thing", "a.b/moving", "a.b/owned", "a.b/ship"]
        );
        assert!(catalog.with_subclasses("a.b/ship").eq(["a.b/ship"]));
        assert!(catalog.is_subclass_of_any("a.b/ship", &["a.b/owned".to_owned()]));
        assert!(!catalog.is_subclass_of_any("a.b/owned", &["a.b/ship".to_owned()]));
    }

    #[test]
    fn cycles_and_missing_parents_are_refused_all_at_once() {
        let error = catalog(json!([
            {"name": "a.b/one", "inherits": ["a.b/two"]},
            {"name": "a.b/two", "inherits": ["a.b/one"]},
            {"name": "a.b/self", "inherits": "a.b/self"},
            {"name": "a.b/orphan", "inherits": ["a.b/nobody", "puck.uno/record"]},
        ]))
        .unwrap_err();
        let messages: Vec<&str> = error.items().iter().map(ErrorItem::message).collect();
        assert_eq!(
            messages,
            [
                "`a.b/orphan` inherits from `a.b/nobody`, which is not defined",
                "`a.b/one` inherits from itself: a.b/one inherits from a.b/two inherits from a.b/one",
                "`a.b/self` inherits from itself: a.b/self inherits from a.b/self",
                "`a.b/two` inherits from itself: a.b/two inherits from a.b/one inherits from a.b/two",
            ]
        );
    }

    #[test]
    fn a_hundred_levels_of_inheritance_are_accepted() {
        let definitions = (0..100).map(|level| {
            let parents = if level == 0 { json!([]) } else { json!([format!("a.b/c{}", level - 1)]) };
            let fields = json!({format!("f{level}"): {}});
            definition(json!({"name": format!("a.b/c{level}"), "inherits": parents, "fields": fields}))
        });
        let catalog = Catalog::of(definitions).unwrap();
        assert_eq!(catalog.class("a.b/c99").unwrap().fields.iter().count(), 100);
        assert_eq!(catalog.with_subclasses("a.b/c0").count(), 100);
    }

    #[test]
    fn subclasses_share_what_they_inherit_and_all_together_inherit_within_a_limit() {
        let fields = json!({"a": {"unique": true}, "b": {"class": "string"}});
        let root = definition(json!({"name": "a.b/root", "fields": fields, "uniques": [["a", "b"]]}));
        let subclass = |n: usize| {
            definition(json!({"name": format!("a.b/c{n}"), "inherits": "a.b/root", "fields": {"own": {}}}))
        };
        let mut catalog = Catalog::of([root]).unwrap();
        // Each of three subclasses inherits two fields, two constraints and one ancestor.
        let max = 3 * 5;
        for n in 0..3 {
            catalog = catalog.with_limit(vec![subclass(n)], &[], max).unwrap();
        }
        let [root, last] = ["a.b/root", "a.b/c2"].map(|name| Arc::clone(catalog.class(name).unwrap()));
        assert!(
            root.fields.shared().iter().zip(last.fields.shared()).all(|(one, other)| Arc::ptr_eq(one, other))
        );
        assert!(root.constraints.iter().zip(&last.constraints).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert_eq!((last.fields.len(), last.constraints.len()), (3, 2));
        let error = catalog.with_limit(vec![subclass(3)], &[], max).unwrap_err();
        assert_eq!(error.items()[0].details["found"], "a.b/c3");
        let of_root = |fields: Value| vec![definition(json!({"name": "a.b/root", "fields": fields}))];
        let wider = json!({"a": {}, "b": {}, "c": {}, "d": {}, "e": {}});
        catalog.with_limit(of_root(wider.clone()), &[], max).unwrap_err();
        // A catalog beyond the limit may change if its total does not grow.
        let fewer = catalog.with_limit(of_root(json!({"a": {}})), &[], 1).unwrap();
        fewer.with_limit(of_root(wider), &["a.b/c0".to_owned(), "a.b/c1".to_owned()], max).unwrap();
    }

    #[test]
    fn a_new_class_leaves_the_others_untouched() {
        let mut catalog = Catalog::default();
        for number in 0..300 {
            let parent = if number % 3 == 0 { json!([]) } else { json!([format!("a.b/c{}", number - 1)]) };
            let fields = json!({"f": {"class": format!("a.b/c{}", number / 2)}});
            let added =
                definition(json!({"name": format!("a.b/c{number}"), "inherits": parent, "fields": fields}));
            let new = catalog.with(vec![added], &[]).unwrap();
            for (name, class) in &catalog.classes {
                assert!(Arc::ptr_eq(class, &new.classes[name]), "`{name}` is shared, not rebuilt");
            }
            catalog = new;
        }
        assert!(catalog.subclasses("a.b/c0").eq(["a.b/c1", "a.b/c2"]));
    }

    proptest! {
        #[test]
        fn a_changed_catalog_equals_one_that_is_built_from_its_definitions(
            // A class, its parents or `None` to delete it, and the class of its field.
            changes in proptest::collection::vec(
                (0_usize..6, proptest::option::of(proptest::collection::vec(0_usize..6, 0..3)), 0_usize..6),
                1..20,
            )
        ) {
            let name = |number: usize| format!("a.b/c{number}");
            let mut catalog = Catalog::default();
            let mut definitions: HashMap<usize, Definition> = HashMap::new();
            for (number, inherits, embeds) in changes {
                let (mut added, mut removed) = (Vec::new(), Vec::new());
                let mut changed = definitions.clone();
                match inherits {
                    None => {
                        removed.push(name(number));
                        changed.remove(&number);
                    }
                    Some(parents) => {
                        let parents: Vec<String> = parents.into_iter().map(name).collect();
                        let fields = json!({name(number): {"class": name(embeds)}, "x": {"class": "number"}});
                        let bucket = json!({"name": name(number), "inherits": parents, "fields": fields});
                        let new_definition = definition(bucket);
                        changed.insert(number, new_definition.clone());
                        added.push(new_definition);
                    }
                }
                let rebuilt = Catalog::of(changed.values().cloned());
                let updated = catalog.with(added, &removed);
                prop_assert_eq!(updated.is_ok(), rebuilt.is_ok());
                let (Ok(updated), Ok(rebuilt)) = (updated, rebuilt) else { continue };
                (catalog, definitions) = (updated, changed);
                for name in (0..6).map(name) {
                    prop_assert!(catalog.subclasses(&name).eq(rebuilt.subclasses(&name)));
                    let (class, expected) = (catalog.class(&name), rebuilt.class(&name));
                    prop_assert_eq!(class.map(|class| &class.lineage), expected.map(|class| &class.lineage));
                    let embedding = |catalog: &Catalog| {
                        let mut names = BTreeSet::from([name.clone()]);
                        catalog.add_embedding_classes(&mut names);
                        names
                    };
                    prop_assert_eq!(embedding(&catalog), embedding(&rebuilt));
                }
            }
        }
    }
}

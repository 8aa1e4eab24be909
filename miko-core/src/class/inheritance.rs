//! Inheritance between definitions: the lineage of a class, the order of its fields, and cycles.

use std::collections::HashSet;

use miko_rpc::{ErrorId, ErrorItem};

use super::definition::Definition;
use crate::diagnostics::FaultList;
use crate::uns;

/// Definitions by the name of their class.
pub(super) trait Definitions {
    fn get(&self, name: &str) -> Option<&Definition>;
}

/// The class and its ancestors: parents left to right, depth first, each once.
pub(super) fn linearize(definition: &Definition, all: &impl Definitions) -> Vec<String> {
    let mut lineage = Vec::new();
    append_lineage(definition, all, &mut lineage, &mut HashSet::new());
    lineage
}

/// Appends a class and its ancestors to `lineage`. `seen` has the classes of `lineage`: a class may inherit
/// from very many, so `lineage` itself is not searched.
fn append_lineage<'d>(
    definition: &'d Definition,
    all: &'d impl Definitions,
    lineage: &mut Vec<String>,
    seen: &mut HashSet<&'d str>,
) {
    if !seen.insert(&definition.name) {
        return;
    }
    lineage.push(definition.name.clone());
    for parent in &definition.inherits {
        match all.get(parent) {
            Some(parent) => append_lineage(parent, all, lineage, seen),
            // A built-in class, which has no definition. `check_parents` refuses any other undefined parent.
            None if seen.insert(parent) => lineage.push(parent.clone()),
            None => {}
        }
    }
}

/// The names of the fields of a class, own and inherited, in the order of a depth-first walk: the fields of
/// the parents, left to right, precede those of the class itself.
#[derive(Default)]
pub(super) struct FieldOrder<'d> {
    pub(super) names: Vec<&'d str>,
    /// `names` as a set.
    seen_fields: HashSet<&'d str>,
    /// The classes whose fields were collected.
    seen_classes: HashSet<&'d str>,
}

impl<'d> FieldOrder<'d> {
    /// Appends the fields of a class and its ancestors, each once.
    pub(super) fn collect(&mut self, definition: &'d Definition, all: &'d impl Definitions) {
        if !self.seen_classes.insert(&definition.name) {
            return;
        }
        for parent in definition.inherits.iter().filter_map(|parent| all.get(parent)) {
            self.collect(parent, all);
        }
        for (name, _) in definition.fields.iter() {
            if self.seen_fields.insert(name) {
                self.names.push(name);
            }
        }
    }
}

/// Reports undefined parents, and a class that inherits from itself or through too many levels.
pub(super) fn check_parents(definition: &Definition, all: &impl Definitions, faults: &mut FaultList) {
    for parent in definition.inherits.iter().filter(|parent| all.get(parent).is_none()) {
        if !uns::is_built_in(parent) {
            let message = format!("`{}` inherits from `{parent}`, which is not defined", definition.name);
            faults.push(
                ErrorItem::new(ErrorId::CLASS_NOT_FOUND, message)
                    .with("class", parent.as_str())
                    .with("inherited_by", definition.name.as_str()),
            );
        }
    }
    let mut path = vec![definition.name.as_str()];
    let message = match find_cycle(definition, definition, all, &mut path, &mut HashSet::new()) {
        CycleSearch::NoCycle => return,
        CycleSearch::Cycle => {
            format!("`{}` inherits from itself: {}", definition.name, path.join(" inherits from "))
        }
        CycleSearch::TooDeep => {
            // Of the classes on the path, the first inherits from the others.
            let levels = MAX_INHERITANCE_DEPTH - 1;
            format!("`{}` inherits through more than {levels} levels", definition.name)
        }
    };
    let fault = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
    faults.push(
        fault.with("class", uns::CLASS).with("field", "inherits").with("found", definition.name.as_str()),
    );
}

/// The result of [`find_cycle`].
enum CycleSearch {
    NoCycle,
    /// The class inherits from itself.
    Cycle,
    /// A path to an ancestor has more than [`MAX_INHERITANCE_DEPTH`] classes.
    TooDeep,
}

/// The maximal number of classes on the path from a class to an ancestor, both included. If there are several
/// paths, the one that a depth-first search takes first counts. This limit also bounds the recursion of this
/// module.
const MAX_INHERITANCE_DEPTH: usize = 200;

/// Searches all ancestors of `from` for `origin`, depth first. `path` leads from `origin` to `from`. If the
/// result is a cycle, `path` is the cycle. `seen` has the ancestors that need not be searched again.
fn find_cycle<'d>(
    from: &'d Definition,
    origin: &Definition,
    all: &'d impl Definitions,
    path: &mut Vec<&'d str>,
    seen: &mut HashSet<&'d str>,
) -> CycleSearch {
    if path.len() > MAX_INHERITANCE_DEPTH {
        return CycleSearch::TooDeep;
    }
    for parent in from.inherits.iter().filter_map(|parent| all.get(parent)) {
        path.push(&parent.name);
        if parent.name == origin.name {
            return CycleSearch::Cycle;
        }
        if seen.insert(&parent.name) {
            match find_cycle(parent, origin, all, path, seen) {
                CycleSearch::NoCycle => {}
                found => return found,
            }
        }
        path.pop();
    }
    CycleSearch::NoCycle
}

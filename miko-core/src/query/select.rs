//! The action `select`.

use crate::query::Path;
use crate::query::fields::{self, Fields};

/// What Q0 defines for `select` and this version does not run.
const LATER: [&str; 9] =
    ["all", "any", "then", "sort", "sorts", "placeholders", "history", "cutoff", "transaction"];

/// Which records, and how many of them.
#[derive(Debug, Default)]
pub(crate) struct Select {
    pub(crate) condition: Condition,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
}

/// What a record must fulfil: every part that is given.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// One of these is the class of one of its platters.
    pub(crate) classes: Option<Vec<String>>,
    /// One of these is its pk.
    pub(crate) pks: Option<Vec<String>>,
    pub(crate) path: Option<Path>,
}

impl Select {
    /// Every record of one class.
    pub(crate) fn of_class(class: &str) -> Self {
        let condition = Condition { classes: Some(vec![class.to_owned()]), ..Condition::default() };
        Self { condition, ..Self::default() }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.not_yet(&LATER);
        let condition = Condition::read(fields);
        let limit = fields.read("limit", fields::count);
        let offset = fields.read("offset", fields::count).unwrap_or(0);
        Some(Self { condition, limit, offset })
    }
}

impl Condition {
    fn read(fields: &mut Fields<'_>) -> Self {
        let class = fields.read("class", fields::classes);
        let classes = fields.read("classes", fields::classes);
        if class.is_some() && classes.is_some() {
            fields.faults.warn(fields::redundant(["class", "classes"], "records of either are selected"));
        }
        Self {
            classes: union(class, classes),
            pks: fields.read("pk", fields::pks),
            path: fields.read("path", Path::read),
        }
    }
}

fn union(a: Option<Vec<String>>, b: Option<Vec<String>>) -> Option<Vec<String>> {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.extend(b);
            Some(a)
        }
        (a, b) => a.or(b),
    }
}

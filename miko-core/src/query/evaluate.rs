//! Evaluating a select in Rust, record by record.

use std::cmp::Ordering;

use crate::error::Result;
use crate::query::condition::{Condition, Part};
use crate::query::select::Select;
use crate::query::sort::SortBy;
use crate::timestamp::Timestamp;

/// A record, as a condition sees it.
pub(crate) trait Subject {
    fn pk(&self) -> &str;
    /// The bucket's JSON text.
    fn bucket(&self) -> &str;
    /// Is the class of one of its platters one of these, or a subclass of one?
    fn is_of(&self, classes: &[String]) -> bool;
    fn created_at(&self) -> Timestamp;
    fn updated_at(&self) -> Timestamp;
}

impl Condition {
    /// Does it hold for this record? Parts are tried in their order, up to the first that fails.
    ///
    /// # Errors
    /// If a placeholder is reached that leads nowhere.
    pub(crate) fn holds(&self, subject: &impl Subject) -> Result<bool> {
        let own = self.own_parts_hold(subject)?;
        let negated = self.negated.as_ref().map_or(Ok(false), Clone::clone)?;
        if own == negated {
            return Ok(false);
        }
        self.then.as_deref().map_or(Ok(true), |then| holds(then, subject))
    }

    fn own_parts_hold(&self, subject: &impl Subject) -> Result<bool> {
        let classes = reach(self.classes.as_ref())?;
        if classes.is_some_and(|classes| !subject.is_of(classes)) {
            return Ok(false);
        }
        if reach(self.pks.as_ref())?.is_some_and(|pks| !pks.iter().any(|pk| pk == subject.pk())) {
            return Ok(false);
        }
        if reach(self.path.as_ref())?.is_some_and(|path| !path.holds(subject.bucket())) {
            return Ok(false);
        }
        for member in reach(self.all.as_ref())?.into_iter().flatten() {
            if !holds(member, subject)? {
                return Ok(false);
            }
        }
        let Some(members) = reach(self.any.as_ref())? else { return Ok(true) };
        for member in members {
            if holds(member, subject)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn holds(condition: &Part<Condition>, subject: &impl Subject) -> Result<bool> {
    condition.as_ref().map_err(Clone::clone)?.holds(subject)
}

fn reach<T>(part: Option<&Part<T>>) -> Result<Option<&T>> {
    part.map(|part| part.as_ref().map_err(Clone::clone)).transpose()
}

impl Select {
    /// Those of `subjects`, which come in order of creation, that are selected, in their order.
    ///
    /// # Errors
    /// If a subject cannot be had, or a placeholder is reached that leads nowhere.
    pub(crate) fn evaluate<S: Subject>(&self, subjects: impl Iterator<Item = Result<S>>) -> Result<Vec<S>> {
        let mut selected = Vec::new();
        // A limit ends the search only where nobody can tell.
        let enough = self.limit.and_then(|limit| usize::try_from(limit.saturating_add(self.offset)).ok());
        let enough = enough.filter(|_| self.sorts.is_empty() && !self.may_fail);
        for subject in subjects {
            if enough.is_some_and(|enough| selected.len() >= enough) {
                break;
            }
            let subject = subject?;
            if self.condition.holds(&subject)? {
                selected.push(subject);
            }
        }
        Ok(self.arranged(selected))
    }

    /// Those that are selected, in their order, without those that the limit and the offset leave out.
    pub(crate) fn arranged<S: Subject>(&self, selected: Vec<S>) -> Vec<S> {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let limit = self.limit.map_or(usize::MAX, count);
        self.sorted(selected).into_iter().skip(count(self.offset)).take(limit).collect()
    }

    fn sorted<S: Subject>(&self, subjects: Vec<S>) -> Vec<S> {
        if self.sorts.is_empty() {
            return subjects;
        }
        let keys = |subject: &S| self.sorts.iter().map(|sort| sort.by.key_of(subject)).collect::<Vec<_>>();
        let mut keyed: Vec<_> = subjects.into_iter().map(|subject| (keys(&subject), subject)).collect();
        keyed.sort_by(|(a, _), (b, _)| {
            let pairs = self.sorts.iter().zip(a.iter().zip(b));
            pairs
                .map(|(sort, (a, b))| compare(a.as_deref(), b.as_deref(), sort.reverse))
                .find(|ordering| ordering.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        keyed.into_iter().map(|(_, subject)| subject).collect()
    }
}

/// What has no key is last, in both directions.
fn compare(a: Option<&[u8]>, b: Option<&[u8]>, reverse: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if reverse => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

impl SortBy {
    fn key_of(&self, subject: &impl Subject) -> Option<Vec<u8>> {
        let time = |time: Timestamp| Some((time.as_millis() as u64 ^ 1 << 63).to_be_bytes().to_vec());
        match self {
            Self::Pk => Some(subject.pk().as_bytes().to_vec()),
            Self::CreatedAt => time(subject.created_at()),
            Self::UpdatedAt => time(subject.updated_at()),
            Self::Bucket(path) => path.key(subject.bucket()),
        }
    }
}

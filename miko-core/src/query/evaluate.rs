//! Evaluating a select in Rust, record by record.

use std::cmp::Ordering;

use crate::error::Result;
use crate::memory;
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
    /// If a subject cannot be had, or a placeholder is reached that leads nowhere; those of `take`.
    pub(crate) fn evaluate<S: Subject>(
        &self,
        subjects: impl Iterator<Item = Result<S>>,
        take: impl Fn(&S) -> Result<()>,
    ) -> Result<Vec<S>> {
        let mut selection = Selection::of(self, take);
        for subject in subjects {
            if selection.is_complete() {
                break;
            }
            let subject = subject?;
            if self.condition.holds(&subject)? {
                selection.push(subject)?;
            }
        }
        selection.finish()
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

/// So many subjects may be collected beyond those that the limit asks for before they are sorted out.
const MAX_SURPLUS: usize = 1024;

/// The subjects for which a condition holds, as they are found. With a limit it holds little more than that many.
pub(crate) struct Selection<'s, S, F> {
    select: &'s Select,
    found: Vec<S>,
    /// How many are asked for, with those that the offset skips.
    most: usize,
    /// Takes room for a subject in the answer.
    take: F,
}

impl<'s, S: Subject, F: Fn(&S) -> Result<()>> Selection<'s, S, F> {
    /// `take` is called once for each subject that is part of the answer, as soon as that is known.
    pub(crate) fn of(select: &'s Select, take: F) -> Self {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let most = select.limit.map_or(usize::MAX, |limit| count(limit.saturating_add(select.offset)));
        Self { select, found: Vec::new(), most, take }
    }

    /// Whether a subject that was found can be left out after all.
    fn has_surplus(&self) -> bool {
        self.select.limit.is_some() || self.select.offset > 0
    }

    /// Whether no further subject can be selected. An error of a later one would be missed, so a select that may
    /// fail is never complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.found.len() >= self.most && self.select.sorts.is_empty() && !self.select.may_fail
    }

    /// Adds a subject, which comes after all before it in order of creation.
    ///
    /// # Errors
    /// Those of `take`; `storage-full`, if there is no memory for so many.
    pub(crate) fn push(&mut self, subject: S) -> Result<()> {
        if self.has_surplus() {
            memory::grow(subject.bucket().len() + size_of::<S>())?;
        } else {
            (self.take)(&subject)?;
        }
        self.found.push(subject);
        if self.found.len() > self.most.saturating_mul(2).saturating_add(MAX_SURPLUS) {
            let found = std::mem::take(&mut self.found);
            self.found = self.select.sorted(found);
            self.found.truncate(self.most);
        }
        Ok(())
    }

    /// The subjects in their order, without those that the limit and the offset leave out.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn finish(self) -> Result<Vec<S>> {
        let has_surplus = self.has_surplus();
        let Self { select, found, most, take } = self;
        let offset = usize::try_from(select.offset).unwrap_or(usize::MAX);
        let selected: Vec<_> = select.sorted(found).into_iter().take(most).skip(offset).collect();
        if has_surplus {
            selected.iter().try_for_each(take)?;
        }
        Ok(selected)
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

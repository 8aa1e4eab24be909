//! Evaluates a select in Rust, record by record.

use std::cmp::Ordering;

use miko_rpc::{Result, memory};

use crate::query::filter::{DeferredResult, Filter};
use crate::query::select::SelectRequest;
use crate::query::sort::{SortBy, compare_sort_values};
use crate::timestamp::Timestamp;

/// The access to a record that the evaluator needs.
pub(crate) trait RecordView {
    fn pk(&self) -> &str;
    /// The JSON text of the bucket.
    fn bucket(&self) -> &str;
    /// Whether a class of the record is one of `classes`, or a subclass of one.
    fn is_instance_of(&self, classes: &[String]) -> bool;
    fn created_at(&self) -> Timestamp;
    fn updated_at(&self) -> Timestamp;
}

impl Filter {
    /// Whether the record passes the filter.
    ///
    /// The order of evaluation decides which deferred errors are raised. The parts before `negated` come
    /// first, in the order of the fields of [`Filter`], up to the first that does not hold. `negated`
    /// follows, whether they hold or not. `then` is evaluated only if the record passes all parts before it.
    ///
    /// # Errors
    /// The deferred error of a part, if the evaluation reaches that part.
    pub(crate) fn matches(&self, record: &impl RecordView) -> Result<bool> {
        let conjunction_holds = self.conjunction_holds(record)?;
        let negated = self.negated.as_ref().map_or(Ok(false), Clone::clone)?;
        if conjunction_holds == negated {
            return Ok(false);
        }
        self.then.as_deref().map_or(Ok(true), |then| nested_filter_matches(then, record))
    }

    /// Whether all parts before `negated` hold.
    fn conjunction_holds(&self, record: &impl RecordView) -> Result<bool> {
        let classes = part_or_error(self.classes.as_ref())?;
        if classes.is_some_and(|classes| !record.is_instance_of(classes)) {
            return Ok(false);
        }
        if part_or_error(self.pks.as_ref())?.is_some_and(|pks| !pks.contains_pk(record.pk())) {
            return Ok(false);
        }
        if part_or_error(self.path.as_ref())?.is_some_and(|path| !path.holds(record.bucket())) {
            return Ok(false);
        }
        for operand in part_or_error(self.all.as_ref())?.into_iter().flatten() {
            if !nested_filter_matches(operand, record)? {
                return Ok(false);
            }
        }
        let Some(operands) = part_or_error(self.any.as_ref())? else { return Ok(true) };
        for operand in operands {
            if nested_filter_matches(operand, record)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the record passes a filter inside another one. The deferred error, if the filter has one.
fn nested_filter_matches(filter: &DeferredResult<Filter>, record: &impl RecordView) -> Result<bool> {
    filter.as_ref().map_err(Clone::clone)?.matches(record)
}

/// The value of a part; `None` if the filter has no such part. The deferred error, if the part has one.
fn part_or_error<T>(part: Option<&DeferredResult<T>>) -> Result<Option<&T>> {
    part.map(|part| part.as_ref().map_err(Clone::clone)).transpose()
}

/// The values by which a record is sorted, one for each sort key of a select, as bytes that compare as the
/// values do. `None` stands for a null or absent value.
pub(crate) type SortValues = Box<[Option<Vec<u8>>]>;

/// The approximate size of sort values in bytes.
pub(crate) fn size_of_sort_values(values: &SortValues) -> usize {
    values.iter().map(|value| size_of_val(value) + value.as_ref().map_or(0, Vec::len)).sum()
}

impl SelectRequest {
    /// The values by which a record is sorted.
    pub(crate) fn sort_values(&self, record: &impl RecordView) -> SortValues {
        self.sorts.iter().map(|sort| sort.by.sort_value(record)).collect()
    }

    /// Compares two records by their sort values. Returns `Equal` if all of these are equal: the caller then
    /// orders the records by creation, by their row ids or by a stable sort.
    pub(crate) fn compare(&self, a: &SortValues, b: &SortValues) -> Ordering {
        let pairs = self.sorts.iter().zip(a.iter().zip(b));
        pairs
            .map(|(sort, (a, b))| compare_sort_values(a.as_deref(), b.as_deref(), sort.reverse))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Sorts records by the sort keys of the select. The sort is stable: records with equal keys keep their
    /// order.
    ///
    /// # Errors
    /// `storage-full` if the memory limit is reached.
    fn sorted<S: RecordView>(&self, records: Vec<S>) -> Result<Vec<S>> {
        // With a limit of 0 no record is returned, so the order does not matter.
        if self.sorts.is_empty() || self.limit == Some(0) {
            return Ok(records);
        }
        let mut keyed = Vec::with_capacity(records.len());
        for record in records {
            let values = self.sort_values(&record);
            memory::charge(size_of_sort_values(&values))?;
            keyed.push((values, record));
        }
        keyed.sort_by(|(a, _), (b, _)| self.compare(a, b));
        Ok(keyed.into_iter().map(|(_, record)| record).collect())
    }
}

/// For a select with a limit, a [`MatchCollector`] keeps up to `2 * (limit + offset) + EXTRA_CAPACITY`
/// records. At one more, it sorts them and discards all but the first `limit + offset`.
const EXTRA_CAPACITY: usize = 1024;

/// Collects the records that the caller has found to pass the filter of a select, then sorts and limits them.
pub(crate) struct MatchCollector<'s, S, F> {
    select: &'s SelectRequest,
    matches: Vec<S>,
    /// The number of records on which the result can depend: `limit + offset`; `usize::MAX` without a limit.
    limit_plus_offset: usize,
    /// Charges a record of the result to the memory limit, and to the size limit of the answer if the answer
    /// contains the records.
    charge: F,
}

impl<'s, S: RecordView, F: Fn(&S) -> Result<()>> MatchCollector<'s, S, F> {
    /// The collector calls `charge` once for each record of the result: in `push` if the select has neither
    /// limit nor offset, otherwise in `finish`.
    pub(crate) fn of(select: &'s SelectRequest, charge: F) -> Self {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let limit_plus_offset =
            select.limit.map_or(usize::MAX, |limit| count(limit.saturating_add(select.offset)));
        Self { select, matches: Vec::new(), limit_plus_offset, charge }
    }

    /// Whether the result may lack a collected record.
    fn may_discard(&self) -> bool {
        self.select.limit.is_some() || self.select.offset > 0
    }

    /// Whether further records cannot change the result. A select that may fail is never complete: a later
    /// record could raise an error.
    pub(crate) fn is_complete(&self) -> bool {
        self.matches.len() >= self.limit_plus_offset && self.select.sorts.is_empty() && !self.select.may_fail
    }

    /// Adds a record, which must pass the filter of the select. Records must be added in order of creation,
    /// which breaks ties of the sort.
    ///
    /// # Errors
    /// The errors of `charge`; `storage-full` if the memory limit is reached.
    pub(crate) fn push(&mut self, record: S) -> Result<()> {
        if self.may_discard() {
            // The result may lack this record, so only its memory is charged. `finish` calls `charge` for the
            // records of the result.
            memory::charge(record.bucket().len() + size_of::<S>())?;
        } else {
            (self.charge)(&record)?;
        }
        self.matches.push(record);
        if self.matches.len() > self.limit_plus_offset.saturating_mul(2).saturating_add(EXTRA_CAPACITY) {
            let matches = std::mem::take(&mut self.matches);
            self.matches = self.select.sorted(matches)?;
            self.matches.truncate(self.limit_plus_offset);
        }
        Ok(())
    }

    /// Sorts the records and applies the offset and the limit.
    ///
    /// # Errors
    /// The errors of `charge`; `storage-full` if the memory limit is reached.
    pub(crate) fn finish(self) -> Result<Vec<S>> {
        let may_discard = self.may_discard();
        let Self { select, matches, limit_plus_offset, charge } = self;
        let offset = usize::try_from(select.offset).unwrap_or(usize::MAX);
        let selected: Vec<_> =
            select.sorted(matches)?.into_iter().take(limit_plus_offset).skip(offset).collect();
        if may_discard {
            selected.iter().try_for_each(charge)?;
        }
        Ok(selected)
    }
}

impl SortBy {
    /// The value of a record by which it is sorted, as bytes whose order is that of the values; `None` if the
    /// value is null or absent.
    fn sort_value(&self, record: &impl RecordView) -> Option<Vec<u8>> {
        // With the sign bit flipped, the order of the bytes is that of the signed numbers.
        let encode_time = |time: Timestamp| Some((time.as_millis() as u64 ^ 1 << 63).to_be_bytes().to_vec());
        match self {
            Self::Pk => Some(record.pk().as_bytes().to_vec()),
            Self::CreatedAt => encode_time(record.created_at()),
            Self::UpdatedAt => encode_time(record.updated_at()),
            Self::Bucket(path) => path.sort_value(record.bucket()),
        }
    }
}

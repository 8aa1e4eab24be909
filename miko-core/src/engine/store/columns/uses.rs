//! Decides whether a column is worth building: by the number of records that selects have examined for lack
//! of the column.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::query::{PathStep, SelectRequest};
use crate::storage::ids::RowId;

/// Which records a table has: those of this class and its subclasses, or all records for `None`.
pub(crate) type Scope = Option<String>;

/// The steps from the bucket down to a value.
pub(crate) type Path = Vec<PathStep>;

/// Selects on a path without a column examine records. When they have examined this many times the number of
/// all records, the column is built.
const MIN_SCANS: u64 = 2;

/// The number of records that a select is assumed to examine if it reads only the records of one index value,
/// or stops at its limit.
const FEW_RECORDS: u64 = 256;

/// Each build that was not worth it doubles the number of examined records that the next build needs, at most
/// this many times.
const MAX_FAILURES: u32 = 10;

/// The most paths for which uses are counted. When one more is counted, all earlier counts are deleted.
const MAX_PATHS: usize = 1024;

/// How many records a select examines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effort {
    /// All records of the class, or of the database.
    All,
    /// Presumably few: the select ends when it has found as many records as its limit.
    UpToLimit,
    /// The records that an index has for one value.
    Few,
}

impl Effort {
    /// The effort of a select that has found `found` records. If it has found fewer than its limit, it has
    /// examined all records.
    pub(crate) fn of_finished(self, select: &SelectRequest, found: usize) -> Self {
        let reached_limit = select.limit.is_some_and(|limit| found as u64 >= limit);
        match self {
            Self::UpToLimit if !reached_limit => Self::All,
            effort => effort,
        }
    }

    /// The assumed number of records. The number of records of a class is not known: the class counts as the
    /// whole database. `last_row` is the last row of the database, by which its records are counted.
    pub(crate) fn records(self, last_row: RowId) -> u64 {
        let all = last_row.0.unsigned_abs();
        match self {
            Self::All => all,
            Self::UpToLimit | Self::Few => all.min(FEW_RECORDS),
        }
    }
}

/// How many records selects have examined for each path of each scope. The key is a hash of scope and path. A
/// collision only makes a column be built too early or too late.
#[derive(Debug, Default)]
pub(crate) struct PathUses {
    uses: HashMap<u64, PathUse>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct PathUse {
    /// The number of records that were examined for lack of the column, since the column was last dropped.
    examined: u64,
    /// The number of builds in a row that were not worth it, at most [`MAX_FAILURES`]. Set to this maximum
    /// for a column that exceeds the size limit or the memory limit.
    failures: u32,
}

impl PathUse {
    /// The number of records that have to be examined before a column is built.
    fn needed(&self, last_row: RowId) -> u64 {
        MIN_SCANS.saturating_mul(last_row.0.unsigned_abs()) << self.failures
    }
}

impl PathUses {
    /// Whether it is worth it to build columns of these paths for a select of this effort, given the selects
    /// that were counted before.
    pub(crate) fn justify_build(
        &self,
        scope: &Scope,
        paths: &[Path],
        effort: Effort,
        last_row: RowId,
    ) -> bool {
        paths.iter().all(|path| {
            let unused = PathUse::default();
            let path_use = self.uses.get(&self.key(scope, path)).unwrap_or(&unused);
            path_use.examined.saturating_add(effort.records(last_row)) >= path_use.needed(last_row)
        })
    }

    /// Counts a select that was answered without columns.
    pub(crate) fn count(&mut self, scope: &Scope, paths: &[Path], effort: Effort, last_row: RowId) {
        for path in paths {
            let path_use = self.entry(scope, path);
            path_use.examined = path_use.examined.saturating_add(effort.records(last_row));
        }
    }

    /// Notes that the columns of these paths were dropped, and counts from zero again. `avoided_reads` is the
    /// number of records that selects would have examined without the columns. If it is less than the number
    /// of examined records that the build of the columns needed, the next build needs twice as many.
    pub(crate) fn note_drop<'p>(
        &mut self,
        scope: &Scope,
        paths: impl IntoIterator<Item = &'p Path>,
        avoided_reads: u64,
        last_row: RowId,
    ) {
        for path in paths {
            let path_use = self.entry(scope, path);
            let was_worth_it = avoided_reads >= path_use.needed(last_row);
            path_use.failures = if was_worth_it { 0 } else { (path_use.failures + 1).min(MAX_FAILURES) };
            path_use.examined = 0;
        }
    }

    /// Postpones the next build of these columns as far as possible: they exceed the size limit or the memory
    /// limit.
    pub(crate) fn give_up(&mut self, scope: &Scope, paths: &[Path]) {
        for path in paths {
            *self.entry(scope, path) = PathUse { examined: 0, failures: MAX_FAILURES };
        }
    }

    fn entry(&mut self, scope: &Scope, path: &Path) -> &mut PathUse {
        let key = self.key(scope, path);
        if self.uses.len() >= MAX_PATHS && !self.uses.contains_key(&key) {
            self.uses.clear();
        }
        self.uses.entry(key).or_default()
    }

    fn key(&self, scope: &Scope, path: &Path) -> u64 {
        self.hasher.hash_one((scope, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: RowId = RowId(10_000);

    /// The number of selects before the one for which a column is built.
    fn selects_before_build(uses: &mut PathUses, effort: Effort) -> usize {
        let paths = [vec![PathStep::Key("a".to_owned())]];
        let mut selects = 0;
        while !uses.justify_build(&None, &paths, effort, LAST) {
            uses.count(&None, &paths, effort, LAST);
            selects += 1;
        }
        selects
    }

    #[test]
    fn a_column_is_built_at_the_second_scan_or_after_small_reads_of_as_many_records() {
        assert_eq!(selects_before_build(&mut PathUses::default(), Effort::All), 1);
        // Each select is assumed to examine 256 records. The 79th select reaches 2 × 10,000.
        assert_eq!(selects_before_build(&mut PathUses::default(), Effort::Few), 78);
    }

    #[test]
    fn a_select_that_has_not_reached_its_limit_has_examined_all_records() {
        let select = SelectRequest { limit: Some(3), ..SelectRequest::default() };
        for (effort, found, expected) in [
            (Effort::UpToLimit, 2, 10_000),
            (Effort::UpToLimit, 3, FEW_RECORDS),
            (Effort::Few, 2, FEW_RECORDS),
            (Effort::All, 3, 10_000),
        ] {
            assert_eq!(effort.of_finished(&select, found).records(LAST), expected, "{effort:?}, {found}");
        }
    }

    #[test]
    fn a_column_that_is_dropped_unused_is_built_ever_later() {
        let mut uses = PathUses::default();
        let paths = [vec![PathStep::Key("a".to_owned())]];
        // Built at the 2nd scan, then at the 4th, the 8th and the 16th.
        for expected in [1, 3, 7, 15] {
            assert_eq!(selects_before_build(&mut uses, Effort::All), expected);
            uses.note_drop(&None, &paths, 0, LAST);
        }
        uses.note_drop(&None, &paths, 1_000_000, LAST);
        assert_eq!(selects_before_build(&mut uses, Effort::All), 1);
        uses.give_up(&None, &paths);
        assert_eq!(selects_before_build(&mut uses, Effort::All), 2047);
    }
}

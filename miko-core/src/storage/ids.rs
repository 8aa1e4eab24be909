//! The numbers that identify the rows of the tables, and that order the writes.

use std::fmt;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) i64);

        impl $name {
            /// The number after this one.
            pub(crate) const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The number of a row of the table `record` (its column `seq`, not the `seq` of changes), in order of
    /// creation. The default, 0, is less than that of the first row.
    RowId
}

number! {
    /// A commit number (column `commit_seq`): each write of one record gets one, in order of commit. A commit
    /// of several writes has several numbers. The default, 0, is less than that of the first write.
    CommitSeq
}

number! {
    /// The number of a class name.
    ClassId
}

number! {
    /// The number of a constraint of a class.
    ConstraintId
}

number! {
    /// The number of a file.
    FileId
}

impl ConstraintId {
    /// The only constraint that no class declares, which every storage has from the start: the names of class
    /// definitions are unique.
    pub(crate) const DEFINITION_NAME: Self = Self(1);
}

/// The largest number of each kind that is in use. The engine assigns the numbers that follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LastNumbers {
    pub(crate) row: RowId,
    pub(crate) commit: CommitSeq,
    pub(crate) class: ClassId,
    pub(crate) constraint: ConstraintId,
    pub(crate) file: FileId,
}

//! The numbers that identify the rows of the tables, and the commit numbers, which order the writes.

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
    /// The number of a row of the table `record`, in order of creation: the order in which the database got
    /// its records. After a merge it may differ from that of the times of creation. It is the column `seq` of
    /// the table.
    /// The `seq` of changes is another number. The default, 0, is less than the number of the first row.
    RowId
}

number! {
    /// A commit number (column `commit_seq`): each write of one record gets one, in order of commit. A commit
    /// that writes several records has several numbers. The default, 0, is less than the number of the first
    /// write.
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
    /// The constraint that the names of class definitions are unique. No class declares it: every storage has
    /// it from the start.
    pub(crate) const DEFINITION_NAME: Self = Self(1);
}

/// Of each kind, the largest number that is in use. The engine gives new rows the numbers after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LastNumbers {
    pub(crate) row: RowId,
    pub(crate) commit: CommitSeq,
    pub(crate) class: ClassId,
    pub(crate) constraint: ConstraintId,
    pub(crate) file: FileId,
}

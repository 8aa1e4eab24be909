//! Class definitions: what a record of a class must be, and what it inherits.
//!
//! Pure logic on JSON. It knows no store: an engine asks the [`Catalog`] for a [`Class`], has it check a bucket, and
//! enforces by its own means what needs other records (uniqueness, references).
//!
//! | subject | where |
//! | --- | --- |
//! | reading a definition, with all its faults | [`definition`], [`field`], [`settings`]; rules that contradict each other, [`contradiction`] |
//! | classes with what they inherit | [`catalog`] |
//! | normalizing a bucket, then checking it | [`normalize`]; [`check`], [`value`]; what `custom_classes` mark in it, [`markers`] |
//! | what a class says of other records | [`constraint`], [`reference`] |

mod catalog;
mod check;
mod constraint;
mod constraint_key;
mod contradiction;
mod definition;
mod field;
mod inheritance;
mod marked;
mod markers;
mod normalize;
mod reference;
mod reference_scan;
mod scalar;
mod settings;
mod violations;

pub(crate) use catalog::{Catalog, Class};
pub(crate) use check::{Purpose, check};
pub(crate) use constraint::{Constraint, ConstraintKind};
pub(crate) use definition::Definition;
pub(crate) use marked::check_marked;
pub(crate) use markers::Markers;
pub(crate) use normalize::Normalizer;
pub(crate) use reference::{OnDelete, Reference};

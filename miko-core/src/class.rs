//! Class definitions: fields, inheritance and constraints.
//!
//! Pure logic on JSON, without a store. An engine gets a [`Class`] from the [`Catalog`] to normalize and
//! validate a bucket. The engine itself enforces the rules that involve other records: uniqueness and
//! references.
//!
//! | subject | module |
//! | --- | --- |
//! | reads definitions | [`definition`], [`field`], [`scalar_rules`], [`settings`] |
//! | the lists of the fields of a class or a hash | [`named_list`] |
//! | detects rules that contradict each other | [`contradiction`] |
//! | resolves inheritance | [`catalog`], [`inheritance`] |
//! | normalizes buckets | [`normalize`] |
//! | validates buckets | [`check`], [`scalar`], [`violations`] |
//! | accepts buckets that are text | [`text`], [`text_rules`] |
//! | finds and validates the objects that `custom_classes` marks | [`markers`], [`marked`] |
//! | unique values, joins and indexes | [`constraint`], [`constraint_key`] |
//! | the keys of upserts | [`key_object`] |
//! | references to other records | [`reference`], [`reference_scan`] |

mod catalog;
mod check;
mod constraint;
mod constraint_key;
mod contradiction;
mod definition;
mod field;
mod inheritance;
mod key_object;
mod marked;
mod markers;
mod named_list;
mod normalize;
mod reference;
mod reference_scan;
mod scalar;
mod scalar_rules;
mod settings;
mod text;
mod text_rules;
mod violations;

pub(crate) use catalog::{Catalog, Class};
pub(crate) use check::{WriteKind, check};
pub(crate) use constraint::{Constraint, ConstraintKind};
pub(crate) use definition::Definition;
pub(crate) use marked::check_marked;
pub(crate) use markers::Markers;
pub(crate) use normalize::Normalizer;
pub(crate) use reference::{OnDelete, Reference};
pub(crate) use reference_scan::ReferenceScan;
pub(crate) use text::AcceptedText;

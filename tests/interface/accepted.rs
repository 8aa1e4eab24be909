//! Traits that the attribute accepts. These modules must compile.

pub mod any_argument_names;
mod lints;
mod names;
mod visibilities;

//! Traits that the attribute accepts as they are. That these modules compile is most of the test.

pub mod any_argument_names;
mod visibilities;

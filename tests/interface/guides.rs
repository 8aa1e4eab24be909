//! The examples in the guides on the attributes, which are what a user writes.

#![cfg(doctest)]

#[doc = include_str!("../../miko-macros/docs/mikobase_interface.md")]
mod mikobase_interface {}

#[doc = include_str!("../../miko-macros/docs/test.md")]
mod test {}

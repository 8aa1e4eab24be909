//! Neither the standard prelude is there, nor may generated code allow what the crate forbids.

#![no_implicit_prelude]
#![forbid(
    unsafe_code, missing_docs, dead_code, unused, unreachable_pub, nonstandard_style, future_incompatible,
    private_interfaces, private_bounds, unreachable_patterns, unused_imports, unused_qualifications,
    unused_results, trivial_casts, missing_debug_implementations, missing_copy_implementations
)]

use ::mikobase::{Result, mikobase_interface};
use ::std::ffi::{CStr, OsStr};
use ::std::path::Path;
use ::std::string::String;

/// Types that are borrowed.
#[mikobase_interface]
pub trait Borrowing {
    /// Texts.
    fn texts(&self, text: &str, path: &Path, name: &OsStr, bytes: &CStr) -> Result<String>;

    /// An argument whose name has more underscores than lints like.
    fn own_name(&self, _unused: u8) -> Result<()>;
}

/// A trait that only this crate uses.
#[mikobase_interface]
trait Private: Borrowing {
    /// Returns what only this crate has.
    fn own(&self) -> Result<Own>;
}

type Own = u8;

#[derive(::std::fmt::Debug, ::std::clone::Clone, ::std::marker::Copy)]
struct Echo;

impl Borrowing for Echo {
    fn texts(&self, text: &str, path: &Path, name: &OsStr, bytes: &CStr) -> Result<String> {
        ::std::result::Result::Ok(::std::format!("{text} {path:?} {name:?} {bytes:?}"))
    }

    fn own_name(&self, _unused: u8) -> Result<()> {
        ::std::result::Result::Ok(())
    }
}

impl Private for Echo {
    fn own(&self) -> Result<Own> {
        ::std::result::Result::Ok(3)
    }
}

fn main() {
    use ::mikobase::rpc::{Interface, serde_json};
    let private: &dyn Private = &Echo;
    let result = private.dispatch("own", serde_json::Value::Null).unwrap();
    ::std::assert_eq!(result.get(), "3");
    let params = r#"{"text": "a", "path": "b/c", "name": {"Unix": [100]}, "bytes": [101]}"#;
    let result = private.dispatch("texts", serde_json::from_str(params).unwrap()).unwrap();
    ::std::assert_eq!(result.get(), r#""a \"b/c\" \"d\" \"e\"""#);
}

//! What the types of arguments and results must be, with a message that says what to write.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can be sent between processes: the type of every argument and result of a remote method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent between processes",
    label = "this type must implement `Serialize` and `DeserializeOwned`, be `Send` and borrow nothing",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or pass something that has them"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// A type that an argument may refer to. Generated code uses it for types with names of unsized ones, such as
/// `Path`: an interface may have a type of its own with that name.
pub trait Referred {
    /// The type of the value that is received.
    type Owned;
}

impl<T> Referred for T {
    type Owned = T;
}

impl Referred for str {
    type Owned = String;
}

impl Referred for Path {
    type Owned = PathBuf;
}

impl Referred for OsStr {
    type Owned = OsString;
}

impl Referred for CStr {
    type Owned = CString;
}

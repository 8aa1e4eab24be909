//! What the types of arguments and results must be, with a message that says what to write.

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

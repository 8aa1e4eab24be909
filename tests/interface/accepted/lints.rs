//! Lints that a trait allows find nothing in generated code either, which repeats its tokens.
#![deny(warnings)]
#![allow(dead_code, reason = "no code uses these traits")]

use mikobase::{Result, mikobase_interface};

#[allow(non_snake_case)]
#[mikobase_interface]
trait OddNames {
    fn GetIt(&self, theValue: u8) -> Result<()>;
}

#[deprecated]
#[derive(serde::Serialize, serde::Deserialize)]
struct Old;

#[expect(deprecated, reason = "the type is replaced in the next version")]
#[mikobase_interface]
trait UsesOldTypes {
    fn put(&self, old: Old) -> Result<()>;
}

#[mikobase_interface]
trait UsesOneOldType {
    #[allow(deprecated)]
    fn put(&self, old: Old) -> Result<()>;
}

#[deprecated]
#[mikobase_interface]
trait Gone {
    fn call(&self) -> Result<()>;
}

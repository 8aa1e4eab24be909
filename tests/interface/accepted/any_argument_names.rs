//! Arguments may have any name, also those of variables in the generated code.
#![deny(missing_docs, unreachable_pub, unused, clippy::pedantic)]

use mikobase::rpc::Interface;
use mikobase::{Result, json, mikobase_interface};

/// Echoes.
#[mikobase_interface]
pub trait Echo {
    /// Joins.
    ///
    /// # Errors
    /// None.
    fn join(
        &self,
        method: &str,
        params: u64,
        request: &[String],
        result: String,
        error: Option<u8>,
    ) -> Result<String>;

    /// # Errors
    /// None.
    ///
    /// Names of [links] that *are* "none", `{}` and \n included.
    fn unknown(&self, unknown: bool, message: bool, transport: u8, f: f64) -> Result<bool>;

    /// # Errors
    /// None.
    fn call(&self, __call: u8, __client: u8) -> Result<u8>;
}

struct Joiner;

impl Echo for Joiner {
    fn join(
        &self,
        method: &str,
        params: u64,
        request: &[String],
        result: String,
        error: Option<u8>,
    ) -> Result<String> {
        Ok(format!("{method} {params} {request:?} {result} {error:?}"))
    }

    fn unknown(&self, unknown: bool, message: bool, transport: u8, f: f64) -> Result<bool> {
        Ok(unknown && message && transport == 1 && f > 0.0)
    }

    fn call(&self, __call: u8, __client: u8) -> Result<u8> {
        Ok(__call - __client)
    }
}

#[test]
fn arguments_of_these_names_are_dispatched() {
    let echo: &dyn Echo = &Joiner;
    let params = json!({"method": "a", "params": 1, "request": ["b"], "result": "c"});
    assert_eq!(echo.dispatch("join", params).unwrap().get(), r#""a 1 [\"b\"] c None""#);
    assert_eq!(echo.dispatch("unknown", json!([true, true, 1, 0.5])).unwrap().get(), "true");
    assert_eq!(echo.dispatch("call", json!({"__call": 3, "__client": 1})).unwrap().get(), "2");
}

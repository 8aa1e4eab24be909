//! The JSON Schemas of the trait describe what calls by name return.

use boon::{Compiler, Schemas};
use miko_core::Mikobase;
use miko_core::rpc::{DispatchError, Interface};
use serde_json::{Value, json};

use crate::support::temporal;

/// Checks that `result` is valid by the schema of what `method` returns, or of its error.
fn check(method: &str, result: &Result<Value, Value>) {
    let described = <dyn Mikobase>::surface().schemas.as_ref().unwrap();
    let types = &described.sent.methods[method];
    let schema = if result.is_ok() { &types.returns } else { &types.error };
    let document = json!({"$defs": described.sent.definitions, "allOf": [schema]});
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("result.json", document).unwrap();
    let index = compiler.compile("result.json", &mut schemas).unwrap();
    let (Ok(value) | Err(value)) = result;
    schemas.validate(value, index).unwrap_or_else(|fault| panic!("{method}: {fault}\n{value}"));
}

#[test]
fn results_and_errors_are_as_described() {
    let db = temporal();
    let call = |method: &str, params: Value| {
        let result = match db.dispatch(method, params) {
            Ok(result) => Ok(serde_json::from_str::<Value>(result.get()).unwrap()),
            Err(DispatchError::Failed(error)) => Err(serde_json::from_str(error.get()).unwrap()),
            Err(DispatchError::Request(error)) => panic!("{method}: {error}"),
        };
        check(method, &result);
        result
    };
    let pk_of = |result: Result<Value, Value>| result.unwrap()["results"]["pk"].as_str().unwrap().to_owned();
    let schema =
        json!({"classes": {"a.b/ship": {"fields": {"name": {"class": "string", "required": true}}}}});
    call("import_schema", json!([schema])).unwrap();
    call("export_schema", json!([])).unwrap();
    call("properties", json!([])).unwrap();
    let create = json!({"action": "create", "class": "a.b/ship", "bucket": {"name": "Enterprise"},
                        "comment": "The first."});
    let pk = pk_of(call("q0", json!([create])));
    call("q0", json!([{"action": "update", "pk": pk, "bucket": {"name": "Defiant"}}])).unwrap();
    call("record_by_pk", json!([pk])).unwrap();
    call("record_by_pk", json!(["no such pk"])).unwrap();
    call("by_class", json!(["a.b/ship"])).unwrap();
    call("q0", json!([{"action": "select", "pk": pk}])).unwrap();
    call("q0", json!([{"action": "select", "pk": pk, "history": true}])).unwrap();
    call("batch", json!([[{"action": "select"}, {"action": "oops"}], false])).unwrap();
    call("validate", json!([{"action": "select", "limit": -1}])).unwrap();
    call("validate", json!([{"action": "select"}])).unwrap();
    let file = call("begin_file", json!(["text/plain"])).unwrap();
    call("put_chunk", json!([file, 0, "aGVsbG8="])).unwrap();
    let file = call("end_file", json!([file])).unwrap();
    call("file_info", json!([file])).unwrap();
    call("file_piece", json!([file, {"chunk": 0, "offset": 0}])).unwrap();
    for source in [json!("worldlet"), json!({"select": {"action": "select"}})] {
        let stream = call("open_stream", json!([source])).unwrap();
        call("next_chunk", json!([stream, 0])).unwrap();
        call("close_stream", json!([stream])).unwrap();
    }
    call("q0", json!([{"action": "delete", "pk": pk}])).unwrap();
    call("history", json!([pk])).unwrap();
    call("collect_files", json!([])).unwrap();
    call("q0", json!([{"action": "select", "limit": -1}])).unwrap_err();
    call("file_info", json!(["no such file"])).unwrap_err();
}

//! The results and errors of calls that name their method are valid by the JSON Schemas of the trait.

use std::cell::RefCell;
use std::task::Poll;

use boon::{Compiler, Schemas};
use miko_core::rpc::{DispatchError, Interface, JsonItem, JsonSession, Surface};
use miko_core::{Import, Mikobase, Upload};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::temporal;

/// Checks that `result` is valid by the schema of what `method` returns, or of its error.
fn check(surface: &Surface, method: &str, result: &Result<Value, Value>) {
    let described = surface.schemas.as_ref().unwrap();
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
fn results_and_errors_are_valid_by_the_schemas_of_their_methods() {
    let db = temporal();
    let checked = |surface: &Surface, method: &str, result: Result<Box<RawValue>, DispatchError>| {
        let result = match result {
            Ok(result) => Ok(read(&result)),
            Err(DispatchError::Failed(error)) => Err(read(&error)),
            Err(DispatchError::Request(error)) => panic!("{method}: {error}"),
        };
        check(surface, method, &result);
        result
    };
    let session = RefCell::new(JsonSession::new(&*db));
    let call = |method: &str, params: Value| {
        checked(<dyn Mikobase>::surface(), method, session.borrow_mut().dispatch(method, params))
    };
    // Calls a method of an object that was returned.
    let call_on = |surface: &Surface, object: &Value, method: &str, params: Value| {
        let handle = object["object"].as_u64().unwrap();
        checked(surface, method, session.borrow_mut().dispatch_to(handle, method, params))
    };
    // A stream is described as the array of its items.
    let items = |method: &str, params: Value| {
        let mut session = session.borrow_mut();
        let stream = read(&session.dispatch(method, params).unwrap())["stream"].as_u64().unwrap();
        let mut items = Vec::new();
        loop {
            match session.next_item(stream, None) {
                Ok(Poll::Ready(JsonItem::Item { item, .. })) => items.push(read(&item)),
                Ok(Poll::Ready(JsonItem::End(None))) => break,
                other => panic!("{method}: {other:?}"),
            }
        }
        check(<dyn Mikobase>::surface(), method, &Ok(items.clone().into()));
        items
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
    call("records_by_pks", json!([[pk, "no such pk"]])).unwrap();
    call("create_many", json!(["a.b/ship", [{"name": "Voyager"}]])).unwrap();
    call("create_many", json!(["a.b/ship", [{"name": "Voyager"}, {}]])).unwrap_err();
    call("by_class", json!(["a.b/ship"])).unwrap();
    call("q0", json!([{"action": "select", "pk": pk}])).unwrap();
    call("q0", json!([{"action": "select", "pk": pk, "history": true}])).unwrap();
    call("batch", json!([[{"action": "select"}, {"action": "oops"}], false])).unwrap();
    call("validate", json!([{"action": "select", "limit": -1}])).unwrap();
    call("validate", json!([{"action": "select"}])).unwrap();
    // The data are `hello` in base64.
    let upload = call("write_file", json!(["text/plain"])).unwrap();
    call_on(<dyn Upload>::surface(), &upload, "put", json!(["aGVsbG8="])).unwrap();
    let file = call_on(<dyn Upload>::surface(), &upload, "finish", json!([])).unwrap();
    call("file_info", json!([file])).unwrap();
    assert_eq!(items("read_file", json!([file])), ["aGVsbG8="]);
    let text = items("export", json!([])).remove(0);
    let records = items("select_stream", json!([{"action": "select", "pk": pk}]));
    assert_eq!(records, [call("record_by_pk", json!([pk])).unwrap()]);
    let import = call("import", json!([false])).unwrap();
    call_on(<dyn Import>::surface(), &import, "put", json!([text])).unwrap();
    call_on(<dyn Import>::surface(), &import, "finish", json!([])).unwrap();
    call("q0", json!([{"action": "delete", "pk": pk}])).unwrap();
    call("history", json!([pk])).unwrap();
    call("collect_files", json!([])).unwrap();
    call("q0", json!([{"action": "select", "limit": -1}])).unwrap_err();
    call("file_info", json!(["no such file"])).unwrap_err();
}

fn read(json: &RawValue) -> Value {
    serde_json::from_str(json.get()).unwrap()
}

//! The description of the routes in the form of OpenAPI 3.1, made from a surface and its schemas.

pub(crate) mod route;

use miko_rpc::{ERROR_IDS, Method, Param, Surface};
use serde_json::{Map, Value, json};

use self::route::{Route, failure};
use crate::status::status_of;

/// Describes the routes of a server of this interface.
pub(crate) fn describe(surface: &Surface) -> Value {
    let mut paths = Map::new();
    let mut schemas = schemas(surface);
    for method in surface.methods.iter() {
        let operation = operation(surface, method, &mut schemas);
        paths.insert(format!("/call/{}", method.name), json!({ "post": operation }));
    }
    fixed().into_iter().for_each(|route| route.add_to(&mut paths));
    #[cfg(feature = "mikobase")]
    if crate::mikobase::is_served(surface) {
        crate::mikobase::describe(&mut paths);
    }
    let version = if surface.version.is_empty() { "0" } else { &surface.version };
    json!({
        "openapi": "3.1.0",
        "info": {"title": surface.interface, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Failure": failure_response()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        // A server on a Unix socket may know its callers by their user.
        "security": [{"token": []}, {}],
    })
}

/// The routes of a server of any interface.
fn fixed() -> [Route; 9] {
    let params = json!({
        "description": "The params by name, or in order.",
        "anyOf": [{"type": "object"}, {"type": "array", "items": {}}],
    });
    [
        Route::new("get", "/health", "Whether the server answers. Needs no authentication.").open_to_all(),
        Route::new("get", "/surface", "The surface of the interface."),
        Route::new("get", "/openapi.json", "This description."),
        Route::new("get", "/metrics", "What the server has counted, in the text format of Prometheus."),
        Route::new("post", "/session", "Opens a session, which lasts as long as this response."),
        Route::new("post", "/objects/{handle}/{method}", "Calls a method of an object of the session.")
            .in_session()
            .body("application/json", false, &params),
        Route::new("delete", "/objects/{handle}", "Drops an object of the session.").in_session(),
        Route::new("get", "/streams/{handle}", "The items of a stream of the session.").in_session(),
        Route::new("delete", "/streams/{handle}", "Ends a stream of the session.").in_session(),
    ]
}

/// The schemas that those of the methods refer to, for each direction, since they may differ.
fn schemas(surface: &Surface) -> Map<String, Value> {
    let mut all = Map::new();
    if let Some(schemas) = &surface.schemas {
        for (direction, set) in [("sent", &schemas.sent), ("received", &schemas.received)] {
            for (name, schema) in &set.definitions {
                all.insert(component(direction, name), as_object(relocated(schema, direction)));
            }
        }
    }
    let ids: Vec<&str> = ERROR_IDS.iter().map(|doc| doc.id.as_str()).collect();
    all.insert(
        "Failure".to_owned(),
        json!({
            "type": "object",
            "required": ["success", "errors"],
            "properties": {
                "success": {"const": false},
                "errors": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "required": ["id", "details"],
                    "properties": {
                        "id": {"type": "string", "examples": ids},
                        "details": {"type": "object"},
                    },
                }},
            },
        }),
    );
    all
}

/// Describes the call of a method. The schema of its params by name is added to `components`, so that
/// generators of clients name the type by the method.
fn operation(surface: &Surface, method: &Method, components: &mut Map<String, Value>) -> Value {
    let schemas = surface.schemas.as_ref();
    let sent = schemas.and_then(|schemas| schemas.sent.methods.get(&*method.name));
    let received = schemas.and_then(|schemas| schemas.received.methods.get(&*method.name));
    let mut properties = Map::new();
    let mut required = Vec::new();
    for param in method.params.iter() {
        let schema = received.and_then(|method| method.params.get(&*param.name));
        // Without schemas, any value; the type as written says more to a person.
        let schema = schema.map_or_else(
            || json!({"description": format!("`{}`", param.ty)}),
            |schema| as_object(relocated(schema, "received")),
        );
        properties.insert(param.name.clone().into_owned(), schema);
        if received.is_some_and(|method| !method.optional.contains(&*param.name)) {
            required.push(Value::from(&*param.name));
        }
    }
    let returns = sent.map_or_else(
        || json!({"description": format!("`{}`", method.returns)}),
        |method| as_object(relocated(&method.returns, "sent")),
    );
    let mut operation = json!({
        "operationId": method.name,
        "summary": method.doc.lines().next().unwrap_or_default(),
        "description": method.doc,
        "responses": {
            "200": {"description": "The result.", "content": content(&returns)},
            "default": failure(),
        },
    });
    if !method.params.is_empty() {
        let in_order: Vec<&Value> = properties.values().collect();
        let is_required = |param: &Param| required.iter().any(|name| *name == *param.name);
        // Those before the last required one have a place, if only for a `null`.
        let at_least = method.params.iter().rposition(is_required).map_or(0, |last| last + 1);
        let in_order = json!({
            "type": "array",
            "description": "The params in order.",
            "prefixItems": in_order,
            "minItems": at_least,
            "maxItems": in_order.len(),
        });
        let name = component("params", &method.name);
        let by_name = json!({ "$ref": format!("#/components/schemas/{name}") });
        let params = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        components.insert(name, params);
        operation["requestBody"] = json!({
            "required": !required.is_empty(),
            "content": {"application/json": {"schema": {"anyOf": [by_name, in_order]}}},
        });
    }
    if method.returns_object() {
        let description = "Results of this method live with a session: its id.";
        operation["parameters"] = json!([route::session(true, description)]);
    }
    operation
}

/// A stream is sent item by item.
fn content(returns: &Value) -> Value {
    if returns.get("x-stream") == Some(&Value::Bool(true)) {
        let item = returns.get("items").cloned().unwrap_or_default();
        return json!({
            "application/x-ndjson": {"schema": item},
            "text/event-stream": {"schema": {"type": "string"}},
        });
    }
    json!({"application/json": {"schema": returns}})
}

fn failure_response() -> Value {
    let mut lines = vec!["The first error decides the status:".to_owned(), String::new()];
    let statuses = ERROR_IDS.iter().map(|doc| format!("- {}: `{}`", status_of(&doc.id).as_u16(), doc.id));
    lines.extend(statuses);
    json!({
        "description": lines.join("\n"),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    })
}

/// The name of a schema of this group: a direction, or `params`.
fn component(group: &str, name: &str) -> String {
    format!("{group}.{name}")
}

/// The schema with its references to `#/$defs/Name` led to the components of a direction.
fn relocated(schema: &Value, direction: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let relocate = |(key, value): (&String, &Value)| {
                let name = value.as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
                let value = match name {
                    Some(name) if key == "$ref" => {
                        format!("#/components/schemas/{}", component(direction, name)).into()
                    }
                    _ => relocated(value, direction),
                };
                let value = match (key.as_str(), value) {
                    ("properties" | "patternProperties", Value::Object(schemas)) => {
                        schemas.into_iter().map(|(name, schema)| (name, as_object(schema))).collect()
                    }
                    ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(schemas)) => {
                        schemas.into_iter().map(as_object).collect()
                    }
                    ("items", schema) => as_object(schema),
                    (_, value) => value,
                };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(relocate).collect())
        }
        Value::Array(elements) => elements.iter().map(|element| relocated(element, direction)).collect(),
        other => other.clone(),
    }
}

/// The schema of any value as an object: generators of clients know no other form of it.
fn as_object(schema: Value) -> Value {
    if schema == Value::Bool(true) { json!({}) } else { schema }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_in_order_end_with_the_last_required_one_at_the_earliest() {
        for (optional, at_least) in
            [(json!([]), 2), (json!(["a"]), 2), (json!(["b"]), 1), (json!(["a", "b"]), 0)]
        {
            let set = json!({"methods": {"order": {
                "params": {"a": {}, "b": {}}, "optional": optional, "returns": {}, "error": {},
            }}});
            let params = json!([{"name": "a", "type": "A"}, {"name": "b", "type": "B"}]);
            let surface = json!({
                "interface": "Shop",
                "methods": [{"name": "order", "params": params, "returns": "Result<()>"}],
                "schemas": {"sent": set, "received": set},
            });
            let surface: Surface = serde_json::from_value(surface).unwrap();
            let call = &describe(&surface)["paths"]["/call/order"]["post"];
            let schema = &call["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(schema["anyOf"][1]["minItems"], at_least, "{optional}");
        }
    }
}

//! Routes that are not made from a method, in the form of OpenAPI.

use serde_json::{Map, Value, json};

/// A route that is described.
pub(crate) struct Route {
    path: &'static str,
    method: &'static str,
    operation: Value,
}

impl Route {
    /// A route with its method of HTTP in small letters. The parameters of its path are strings.
    pub(crate) fn new(method: &'static str, path: &'static str, summary: &str) -> Self {
        let operation = json!({
            "summary": summary,
            "parameters": [],
            "responses": {"200": {"description": "The answer."}, "default": failure()},
        });
        let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        names.fold(Self { path, method, operation }, |route, name| {
            route.parameter(
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
            )
        })
    }

    /// It is about what lives with a session.
    pub(crate) fn in_session(self) -> Self {
        self.parameter(session(true, "The id of the session."))
    }

    /// It has a body of this type.
    pub(crate) fn body(mut self, content_type: &str, is_required: bool, schema: &Value) -> Self {
        self.operation["requestBody"] =
            json!({"required": is_required, "content": {content_type: {"schema": schema}}});
        self
    }

    /// It needs no token.
    pub(crate) fn open_to_all(mut self) -> Self {
        self.operation["security"] = json!([]);
        self
    }

    fn parameter(mut self, parameter: Value) -> Self {
        if let Some(parameters) = self.operation["parameters"].as_array_mut() {
            parameters.push(parameter);
        }
        self
    }

    /// Adds it to the paths of a description.
    pub(crate) fn add_to(self, paths: &mut Map<String, Value>) {
        paths.entry(self.path).or_insert_with(|| json!({}))[self.method] = self.operation;
    }
}

#[cfg(feature = "mikobase")]
impl Route {
    /// It has a parameter in the query, which may be left out.
    pub(crate) fn query(self, name: &str, kind: &str, description: &str) -> Self {
        let schema = json!({"type": kind});
        self.parameter(json!({"name": name, "in": "query", "description": description, "schema": schema}))
    }

    /// It has a header field, which may be left out.
    pub(crate) fn header(self, name: &str, description: &str) -> Self {
        let schema = json!({"type": "string"});
        self.parameter(json!({"name": name, "in": "header", "description": description, "schema": schema}))
    }

    /// It may be asked in a session.
    pub(crate) fn maybe_in_session(self, description: &str) -> Self {
        self.parameter(session(false, description))
    }

    /// It answers with this status instead of 200.
    pub(crate) fn answers(mut self, status: &str, description: &str) -> Self {
        self.operation["responses"] = json!({status: {"description": description}, "default": failure()});
        self
    }

    /// It also answers with this status.
    pub(crate) fn answers_also(mut self, status: &str, description: &str) -> Self {
        self.operation["responses"][status] = json!({"description": description});
        self
    }
}

/// The parameter of a request in a session.
pub(super) fn session(is_required: bool, description: &str) -> Value {
    json!({
        "name": "Mikobase-Session", "in": "header", "required": is_required, "description": description,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    })
}

/// The response of a request that failed.
pub(super) fn failure() -> Value {
    json!({"$ref": "#/components/responses/Failure"})
}

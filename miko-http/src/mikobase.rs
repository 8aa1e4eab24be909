//! The routes that only a Mikobase has. They make calls by name, as the general routes do: this package
//! depends on no engine.

mod changes;
mod files;
mod made;
mod method;
mod pieces;
mod query;
mod range;
mod tags;
mod worldlet;

use hyper::Method;
use miko_rpc::Surface;
use serde_json::{Map, Value, json};

use crate::asked::{Asked, unknown_route};
use crate::reply::Answer;

/// Whether a server of this interface has the routes: it is a Mikobase.
pub(crate) fn is_served(surface: &Surface) -> bool {
    surface.interface == "Mikobase"
}

/// Answers a request for one of these routes.
pub(crate) async fn route(asked: Asked, segments: &[&str]) -> Answer {
    let allow = |methods: &[Method]| asked.check_method(methods);
    match *segments {
        ["q0"] => {
            allow(&[Method::POST])?;
            query::q0(asked).await
        }
        ["records", pk] => {
            allow(&[Method::GET])?;
            query::record(asked, pk).await
        }
        ["schema"] => {
            allow(&[Method::GET])?;
            query::schema(asked, None).await
        }
        ["classes", ref uns @ ..] if !uns.is_empty() => {
            allow(&[Method::GET])?;
            query::schema(asked, Some(&uns.join("/"))).await
        }
        ["changes"] => {
            allow(&[Method::GET])?;
            changes::changes(asked).await
        }
        ["worldlet"] => {
            allow(&[Method::GET, Method::POST])?;
            if asked.method == Method::POST {
                worldlet::merge(asked).await
            } else {
                worldlet::export(asked).await
            }
        }
        ["files"] => {
            allow(&[Method::POST])?;
            files::put(asked).await
        }
        ["files", pk] => {
            allow(&[Method::GET])?;
            files::get(asked, pk).await
        }
        _ => Err(unknown_route().into()),
    }
}

/// Adds these routes to the description of all.
pub(crate) fn describe(paths: &mut Map<String, Value>) {
    let answer = json!({"200": {"description": "The answer."},
                        "default": {"$ref": "#/components/responses/Failure"}});
    let in_path =
        |name: &str| json!([{"name": name, "in": "path", "required": true, "schema": {"type": "string"}}]);
    let routes = [
        (
            "/q0",
            "post",
            "Runs one Q0 request. The body is the response of Q0, also of one that failed.",
            None,
        ),
        ("/records/{pk}", "get", "The record with this pk.", Some("pk")),
        ("/classes/{uns}", "get", "The definition of this class.", Some("uns")),
        ("/schema", "get", "All class definitions.", None),
        (
            "/changes",
            "get",
            "Committed changes of the records of `target`, as server-sent events or in lines.",
            None,
        ),
        ("/worldlet", "get", "The whole state of this moment, as a worldlet.", None),
        ("/worldlet", "post", "Merges the versions of a worldlet.", None),
        ("/files", "post", "Stores the body as a file. Its type is that of the body.", None),
        ("/files/{pk}", "get", "The content of a file, or the part that `Range` asks for.", Some("pk")),
    ];
    for (path, method, summary, parameter) in routes {
        let mut described = json!({"summary": summary, "responses": answer});
        if (path, method) == ("/files", "post") {
            described["responses"] = json!({"201": {"description": "The file is stored: its pk."},
                                            "default": answer["default"]});
        }
        if let Some(name) = parameter {
            described["parameters"] = in_path(name);
        }
        paths.entry(path).or_insert_with(|| json!({}))[method] = described;
    }
}

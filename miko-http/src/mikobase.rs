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
use crate::openapi::route::Route;
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
    let object = json!({"type": "object"});
    let content = json!({"description": "A body of any type.", "type": "string", "format": "binary"});
    let q0 = "Runs one Q0 request. The body is the response of Q0, also of one that failed.";
    let session =
        "The session with which transactions and claims live, and in whose transaction it is answered.";
    let changes = "Committed changes of the records of `target`, as server-sent events or in lines.";
    let routes = [
        Route::new("post", "/q0", q0).body("application/json", true, &object),
        Route::new("get", "/records/{pk}", "The record with this pk."),
        Route::new("get", "/classes/{uns}", "The definition of this class."),
        Route::new("get", "/schema", "All class definitions."),
        Route::new("get", "/changes", changes)
            .query("target", "string", "A class name, a pk, or a condition as JSON; without it all records.")
            .query("after", "integer", "The number of the last change that the client has seen.")
            .query("snapshot", "boolean", "Whether to begin with the records that are there.")
            .query("leaving", "boolean", "Whether to tell of records that leave the target.")
            .header("Last-Event-ID", "As `after`: the id of the last event."),
        Route::new("get", "/worldlet", "The whole state of this moment, as a worldlet."),
        Route::new("post", "/worldlet", "Merges the versions of a worldlet.").body(
            "application/json",
            true,
            &object,
        ),
        Route::new("post", "/files", "Stores the body as a file. Its type is that of the body.")
            .body("application/octet-stream", false, &content)
            .answers("201", "The file is stored: its pk."),
        Route::new("get", "/files/{pk}", "The content of a file, or the part that `Range` asks for.")
            .header("Range", "The bytes that are sent, such as `bytes=0-99`.")
            .answers_also("206", "The part of the file."),
    ];
    routes.into_iter().for_each(|route| route.maybe_in_session(session).add_to(paths));
}

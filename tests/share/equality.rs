//! A script of calls has the same answers on a local engine and through the proxy in a worker.

use std::collections::HashMap;

use mikobase::SqliteEngine;
use mikobase::prelude::*;
use mikobase::rpc::Interface;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::harness::Case;
use crate::support::{over_http, uds};

pub const CASES: &[Case] = &[
    ("a_worker_gets_the_answers_of_a_local_engine", same_answers),
    ("buckets_with_faults_are_refused_alike_in_a_worker", same_refusals),
    ("a_stock_tarpc_client_is_served", stock_tarpc_client),
];

/// The calls: method and params. `"$1"` is replaced by the first pk in the answers.
fn script() -> Vec<(&'static str, Value)> {
    let hostile = json!({"": 0, "a.b": {"c\"d": ["$", "\u{0}", "🖖"]}, "z": u64::MAX, "a": i64::MIN,
                         "f": [1.0, 1, -0.0, 5e-324, 1e308, 0.1], "null": null, "deep": [[[[{}]]]]});
    let hostile_values = json!([{"$serde_json::private::RawValue": "5"}, u64::MAX, -0.0, null]);
    let q0 = |query: Value| ("q0", json!({ "query": query }));
    let class = "starfleet.com/officer";
    let long_ago = "2000-01-01T00:00:00.000Z";
    let oops = json!({"action": "oops"});
    vec![
        ("properties", json!({})),
        q0(json!({"action": "create", "class": class, "bucket": {"name": "Spock"}})),
        q0(json!({"action": "create", "class": format!("https://{class}"), "bucket": hostile})),
        q0(json!({"action": "create", "bucket": {}, "comment": "kept", "misc": [1, 2.50]})),
        ("record_by_pk", json!({"pk": "$1"})),
        ("record_by_pk", json!(["$2"])),
        ("record_by_pk", json!({"pk": "nobody"})),
        ("by_class", json!({"class": class})),
        ("by_class", json!({"class": "no class"})),
        q0(json!({"action": "select"})),
        q0(json!({"action": "select", "path": ["a.b", "c\"d", 2, "🖖"], "limit": 5, "offset": 0})),
        q0(json!({"action": "select", "class": "a.b/c", "classes": [class]})),
        q0(json!({"action": "update", "pk": "$1", "bucket": {"name": "Spock", "rank": "Commander"}})),
        q0(json!({"action": "update", "pk": "$1", "bucket": {}, "if_updated_at": long_ago})),
        (
            "edit",
            json!({"pk": "$1", "edits": [{"path": ["n", "m"], "increment": 2},
                                              {"path": ["name"], "set": hostile_values}]}),
        ),
        ("edit", json!({"pk": "$1", "edits": [{"path": ["name"], "test": 1}]})),
        ("edit", json!({"pk": "$1", "edits": [{"path": ["name"], "set": 1, "push": 1}, 5]})),
        ("edit", json!({"pk": "$1", "edits": [{"path": ["name"], "remove": true}]})),
        q0(json!({"action": "edit", "pk": "$1", "edits": [{"path": ["a"], "push": 1}]})),
        q0(json!({"action": "patch", "pk": "$1", "bucket": {"a": null}})),
        q0(json!({"action": "delete", "pk": "$1", "if_updated_at": long_ago})),
        q0(json!({"action": "delete", "pk": "$3"})),
        q0(json!({"action": "delete", "pk": "$3"})),
        q0(json!({"action": "delete", "pk": "$3", "if_exists": true})),
        q0(json!({"action": "update", "pk": "nobody", "bucket": {}})),
        q0(json!({"action": "engage", "limit": -1})),
        q0(json!(5)),
        q0(json!({"action": "select", "limit": -1, "warp": 9})),
        ("validate", json!({"query": {"action": "select", "limit": -1, "warp": 9}})),
        ("batch", json!({"queries": [{"action": "create", "bucket": {"n": 1}}, oops], "atomic": false})),
        ("batch", json!({"queries": [{"action": "create", "bucket": {"n": 2}}, oops], "atomic": true})),
        ("batch", json!({"queries": [], "atomic": true})),
        q0(json!({"action": "select", "path": ["n", 2]})),
        ("engage", json!({})),
        ("record_by_pk", json!({"key": 5})),
    ]
}

/// Runs the script and gives each answer as text, with pks and times replaced by their order of appearance.
fn answers(db: &(dyn Mikobase + 'static)) -> Vec<String> {
    let mut names = Names::default();
    let run = |(method, params): (&str, Value)| {
        let params = names.put_in(params);
        let answer = match db.dispatch(method, params) {
            Ok(result) => format!("ok {result}"),
            Err(error) => format!("error {}", error.to_json()),
        };
        format!("{method}: {}", names.take_out(&answer))
    };
    script().into_iter().map(run).collect()
}

/// Maps pks and times, which differ between runs of a script, to names.
#[derive(Default)]
struct Names {
    pks: Vec<String>,
    times: HashMap<String, usize>,
}

impl Names {
    fn put_in(&self, params: Value) -> Value {
        let mut text = params.to_string();
        for (i, pk) in self.pks.iter().enumerate().rev() {
            text = text.replace(&format!("\"${}\"", i + 1), &format!("\"{pk}\""));
        }
        serde_json::from_str(&text).unwrap()
    }

    fn take_out(&mut self, answer: &str) -> String {
        let words = answer.split_inclusive('"').map(|word| {
            let bare = word.trim_end_matches('"');
            if bare.len() == 36 && bare.bytes().filter(|byte| *byte == b'-').count() == 4 {
                let known = self.pks.iter().position(|pk| pk == bare);
                let index = known.unwrap_or_else(|| {
                    self.pks.push(bare.to_owned());
                    self.pks.len() - 1
                });
                format!("${}\"", index + 1)
            } else if bare.len() == 24
                && bare.starts_with("20")
                && bare.ends_with('Z')
                && !bare.starts_with("2000")
            {
                let next = self.times.len();
                // Two writes may have the same millisecond in one run and not in the other: times get one
                // name.
                self.times.entry(bare.to_owned()).or_insert(next);
                "time\"".to_owned()
            } else {
                word.to_owned()
            }
        });
        words.collect()
    }
}

fn same_answers() {
    let local = answers(&SqliteEngine::in_memory().unwrap());
    let report = uds().mikobase(1, |db, _| Ok(answers(db))).unwrap();
    let shared = report.into_returned().unwrap().remove(0);
    for (local, shared) in local.iter().zip(&shared) {
        assert_eq!(local, shared);
    }
    assert_eq!(local.len(), shared.len());
    assert!(local[4].contains("Spock") && local[5].contains("18446744073709551615"), "{local:#?}");
    assert!(local.iter().filter(|answer| answer.contains(": ok")).count() > 12, "{local:#?}");
}

/// Creates and updates records with values that serialize as the texts. Returns the errors, and then all
/// buckets. Over HTTP the errors are only ids: the server finds a fault in the body of the request, and says
/// where in the body it is.
fn refusals(db: &(dyn Mikobase + 'static)) -> mikobase::Result<Vec<String>> {
    let class = "test.org/item";
    let nested = |levels| format!("{}{}{}", r#"{"a":"#.repeat(levels), "{}", "}".repeat(levels));
    let texts = [
        r#"{"n": 1, "spaces": [ ]}"#,
        r#"{"n":1,"n":2}"#,
        r#"{"n":{"a":1,"a":1}}"#,
        r#"{"n":0.12345678901234567891}"#,
        r#"{"n":1e400}"#,
        r#"{"n":123456789012345678901234567890}"#,
        r#"{"n":2.50}"#,
        r#"{"$serde_json::private::RawValue":"5"}"#,
        r#"{"$serde_json::private::RawValue":1,"n":1,"n":2}"#,
        r#"{"s":"\u001b[0m","n":1,"n":2}"#,
        r#"{"s":"\u0001","n":0.12345678901234567891}"#,
        r#"{"s":"\u0001","n":1}"#,
        "5",
        "null",
        &nested(50),
        &nested(110),
        &nested(125),
        &nested(1000),
    ];
    let pk = db.create(class, &json!({}))?;
    let mut results = Vec::new();
    for text in texts {
        let bucket: Box<RawValue> = serde_json::from_str::<&RawValue>(text).unwrap().to_owned();
        results.push(db.create(class, &bucket).map(drop));
        results.push(db.update(&pk, &bucket));
        let good = serde_json::from_str::<&RawValue>("{}").unwrap().to_owned();
        results.push(db.create_all(class, &[good, bucket]).map(drop));
    }
    results.push(db.create(class, &f64::NAN).map(drop));
    results.push(db.create(class, &HashMap::from([("n", f64::NAN)])).map(drop));
    let mut lines: Vec<String> = results
        .into_iter()
        .map(|result| match result {
            Ok(()) => "ok".to_owned(),
            Err(error) if over_http() => {
                format!("{:?}", error.items().iter().map(|item| &item.id).collect::<Vec<_>>())
            }
            Err(error) => error.to_json().to_string(),
        })
        .collect();
    lines.extend(db.by_class(class)?.iter().map(|record| record.bucket.as_str().to_owned()));
    Ok(lines)
}

fn same_refusals() {
    let local = refusals(&SqliteEngine::in_memory().unwrap()).unwrap();
    let report = uds().mikobase(1, |db, _| Ok(refusals(db)?)).unwrap();
    let shared = report.into_returned().unwrap().remove(0);
    for (local, shared) in local.iter().zip(&shared) {
        assert_eq!(local, shared);
    }
    assert_eq!(local.len(), shared.len());
    let accepted = local.iter().filter(|line| *line == "ok").count();
    assert!((9..20).contains(&accepted) && local.len() > 50, "{local:#?}");
}

fn stock_tarpc_client() {
    use miko_core::{Error, Record};
    use serde::{Deserialize, Serialize};
    use tarpc::tokio_serde::formats::MessagePack;
    use tarpc::tokio_util::codec::LengthDelimitedCodec;

    #[derive(Debug, Serialize, Deserialize)]
    enum StockRequest {
        #[serde(rename = "record_by_pk")]
        RecordByPk { pk: String },
    }
    impl tarpc::RequestName for StockRequest {
        fn name(&self) -> &str {
            "record_by_pk"
        }
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum StockResponse {
        #[serde(rename = "record_by_pk")]
        RecordByPk(Result<Option<Record>, Error>),
    }

    let uds = uds();
    let share: crate::support::Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let pk = crate::support::create(share.db().unwrap(), 7).unwrap();
    let stream = crate::support::Raw::admitted(&share).stream;
    stream.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
        let framed = tarpc::tokio_util::codec::Framed::new(stream, LengthDelimitedCodec::new());
        let transport = tarpc::serde_transport::new(framed, MessagePack::default());
        let client = tarpc::client::new::<StockRequest, StockResponse, _>(Default::default(), transport);
        let (client, dispatch) = (client.client, client.dispatch);
        tokio::task::LocalSet::new()
            .run_until(async {
                tokio::task::spawn_local(dispatch);
                let request = StockRequest::RecordByPk { pk };
                let response = client.call(tarpc::context::current(), request).await.unwrap();
                let StockResponse::RecordByPk(Ok(Some(record))) = response else {
                    panic!("another response: {response:?}")
                };
                assert_eq!(record.bucket.get("n").unwrap(), Some(json!(7)));
            })
            .await;
    });
    drop(runtime);
    share.join().unwrap();
}

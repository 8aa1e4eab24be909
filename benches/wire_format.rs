//! What a call costs to encode and decode, what it weighs, and what each format does to the values it
//! carries.
//!
//! The messages are tarpc's own envelopes around calls shaped like ours. Decision 0001 in `docs/decisions`
//! rests on it. Run: `cargo bench --bench wire_format`.

#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

mod support;

use std::collections::BTreeMap;
use std::hint::black_box;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::{Samples, Table, interleaved, seconds_per_call};
use tarpc::{ClientMessage, Request, Response};

const ROUNDS: usize = 9;
const CALLS: usize = 50_000;
const BUCKET: &str = r#"{"name":"Officer 000123","rank":"Commander","serial":"SC-00000123","ship":"ship-017","age":37,"score":12.5,"active":true,"medals":["valor","service"],"home":{"city":"Riverside","planet":"Earth"}}"#;
const STACK: &str = r#"{"shadow":{},"officer":{"class":"starfleet.com/officer"}}"#;
const PK: &str = "0196c1b2-7d3a-7c4e-9f10-2b3c4d5e6f70";

fn main() {
    if !support::wanted() {
        return;
    }
    println!("{}", costs());
    println!("{}", exactness());
    println!("{}", survivors());
}

// ---- formats ----

#[derive(Clone, Copy)]
enum Format {
    Json,
    Compact,
    Named,
    Postcard,
}

const FORMATS: [Format; 4] = [Format::Json, Format::Compact, Format::Named, Format::Postcard];

type Failure = Box<dyn std::error::Error>;

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Compact => "MessagePack, compact",
            Self::Named => "MessagePack, named",
            Self::Postcard => "postcard",
        }
    }

    fn encode(self, message: &impl Serialize) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            Self::Json => serde_json::to_vec(message)?,
            Self::Compact => rmp_serde::to_vec(message)?,
            Self::Named => rmp_serde::to_vec_named(message)?,
            Self::Postcard => postcard::to_stdvec(message)?,
        })
    }

    fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Failure> {
        Ok(match self {
            Self::Json => serde_json::from_slice(bytes)?,
            Self::Compact | Self::Named => rmp_serde::from_slice(bytes)?,
            Self::Postcard => postcard::from_bytes(bytes)?,
        })
    }

    fn table() -> Table {
        Table::new(FORMATS.map(Self::name))
    }
}

// ---- messages ----

/// A query's tree, or its text where the format cannot tell by itself what comes next.
#[derive(Serialize, Deserialize)]
enum Call<Tree> {
    RecordByPk { pk: String },
    Create { query: Tree },
}

#[derive(Serialize, Deserialize)]
enum Answer {
    RecordByPk(Result<Option<Record>, Refusal>),
    Create(Result<String, Refusal>),
}

/// Bucket and stack travel as the JSON text they are stored as, so nobody on the way parses them.
#[derive(Serialize, Deserialize)]
struct Record {
    pk: String,
    bucket: String,
    stack: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    id: String,
    details: String,
}

fn request<Tree>(message: Call<Tree>) -> ClientMessage<Call<Tree>> {
    ClientMessage::Request(Request { context: tarpc::context::current(), id: 1_234, message })
}

fn answer(message: Answer) -> Response<Answer> {
    Response { request_id: 1_234, message: Ok(message) }
}

fn record() -> Record {
    Record {
        pk: PK.into(),
        bucket: BUCKET.into(),
        stack: STACK.into(),
        created_at: 1_777_000_000_123,
        updated_at: 1_777_000_000_123,
    }
}

fn query() -> Value {
    let bucket: Value = serde_json::from_str(BUCKET).expect("our own JSON");
    json!({"class": "starfleet.com/officer", "bucket": bucket})
}

// ---- time and size ----

fn costs() -> Table {
    let mut table = Format::table();
    let read = request(Call::<Value>::RecordByPk { pk: PK.into() });
    plain_cost(&mut table, "read request", &read);
    plain_cost(&mut table, "read answer, bucket as text", &answer(Answer::RecordByPk(Ok(Some(record())))));
    let query = query();
    cost(
        &mut table,
        "create request, query as a tree",
        |format| encode_create(format, &query),
        decode_create,
    );
    plain_cost(&mut table, "create answer", &answer(Answer::Create(Ok(PK.into()))));
    table
}

fn encode_create(format: Format, query: &Value) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Postcard => format.encode(&request(Call::Create { query: query.to_string() })),
        _ => format.encode(&request(Call::Create { query })),
    }
}

fn decode_create(format: Format, bytes: &[u8]) -> Result<Value, Failure> {
    match format {
        Format::Postcard => Ok(serde_json::from_str(&query_of::<String>(format.decode(bytes)?)?)?),
        _ => query_of(format.decode(bytes)?),
    }
}

fn query_of<Tree>(message: ClientMessage<Call<Tree>>) -> Result<Tree, Failure> {
    match message {
        ClientMessage::Request(Request { message: Call::Create { query }, .. }) => Ok(query),
        _ => Err("not a create".into()),
    }
}

/// The cost of a message that every format takes as it is.
fn plain_cost<M: Serialize + DeserializeOwned>(table: &mut Table, what: &str, message: &M) {
    cost(table, what, |format| format.encode(message), |format, bytes| format.decode::<M>(bytes));
}

fn cost<M>(
    table: &mut Table,
    what: &str,
    encode: impl Fn(Format) -> Result<Vec<u8>, Failure>,
    decode: impl Fn(Format, &[u8]) -> Result<M, Failure>,
) {
    let encoded = FORMATS.map(|format| encode(format).expect("plain data"));
    let mut cases: Vec<_> = FORMATS.iter().zip(&encoded).collect();
    let encoding = interleaved(ROUNDS, &mut cases, |(format, _)| {
        1e9 * seconds_per_call(CALLS, |_| drop(black_box(encode(**format).expect("plain data"))))
    });
    let decoding = interleaved(ROUNDS, &mut cases, |(format, bytes)| {
        1e9 * seconds_per_call(CALLS, |_| {
            drop(black_box(decode(**format, black_box(bytes)).expect("own bytes")))
        })
    });
    table.measured(format!("{what}: encode, ns"), &encoding);
    table.measured(format!("{what}: decode, ns"), &decoding);
    table.measured(format!("{what}: bytes"), &encoded.map(|bytes| Samples::exact(bytes.len() as f64)));
}

// ---- do JSON values come back exactly? ----

fn exactness() -> Table {
    let nested =
        (0..100).fold(json!(1), |inside, n| if n % 2 == 0 { json!([inside]) } else { json!({"in": inside}) });
    let cases = [
        ("order of keys", json!({"z": 1, "a": {"y": 2, "b": 3}, "m": 4})),
        ("odd keys", json!({"": 1, "a.b": 2, "\"": 3, "\0": 4, "$": 5, "é\u{1F680}": 6})),
        ("`u64::MAX`, `i64::MIN`", json!([u64::MAX, i64::MIN, i64::MAX, 0, -1])),
        ("-0.0, 1e308, 5e-324, 0.1", json!([-0.0, 1e308, 5e-324, 0.1, f64::MAX])),
        ("1 against 1.0", json!([1, 1.0, -1, -1.0, 9_007_199_254_740_993_u64, 9_007_199_254_740_992.0])),
        ("nesting of 100", nested),
    ];
    let mut table = Format::table();
    for (what, value) in &cases {
        table.told(*what, FORMATS.map(|format| verdict(exact(format, value))));
    }
    table
}

/// Compared as printed, for `Value` itself holds -0.0 equal to 0.0 and disregards the order of keys.
fn exact(format: Format, value: &Value) -> Result<bool, Failure> {
    let back = decode_create(format, &encode_create(format, value)?)?;
    let [back, sent] = [&back, value].map(Value::to_string);
    Ok(back == sent)
}

// ---- do users' own types survive? ----

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    nickname: Option<String>,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Named { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: f64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct WithValue {
    value: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct WithRaw {
    raw: Box<RawValue>,
}

impl PartialEq for WithRaw {
    fn eq(&self, other: &Self) -> bool {
        self.raw.get() == other.raw.get()
    }
}

/// What a newer peer makes of `Skipping`: fields in another order, and one more.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Grown {
    name: String,
    #[serde(default)]
    age: u8,
    #[serde(default)]
    nickname: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Old {
    First,
    Second,
}

/// What a newer peer makes of `Old`: a variant in between.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum New {
    First,
    Between,
    Second,
}

fn survivors() -> Table {
    let spock = Skipping { nickname: None, name: "Spock".into() };
    let known = Skipping { nickname: Some("Bones".into()), name: "McCoy".into() };
    let grown = Grown { name: "McCoy".into(), age: 0, nickname: Some("Bones".into()) };
    let flat = Flat { id: 7, rest: BTreeMap::from([("planet".into(), "Vulcan".into())]) };
    let raw = WithRaw { raw: RawValue::from_string(BUCKET.into()).expect("our own JSON") };

    let mut table = Format::table();
    let mut survives = |what: &str, test: &dyn Fn(Format) -> Result<bool, Failure>| {
        table.told(what, FORMATS.map(|format| verdict(test(format))));
    };
    survives("`skip_serializing_if`", &|f| returns(f, &spock));
    survives("`untagged`", &|f| {
        Ok(returns(f, &Untagged::Number(5))?
            && returns(f, &Untagged::Text("5".into()))?
            && returns(f, &Untagged::Named { name: "5".into() })?)
    });
    survives("`tag = \"…\"`", &|f| returns(f, &Tagged::Circle { radius: 1.5 }));
    survives("`flatten`", &|f| returns(f, &flat));
    survives("a `serde_json::Value` field", &|f| returns(f, &WithValue { value: query() }));
    survives("a `RawValue` field", &|f| returns(f, &raw));
    survives("a field added by one side", &|f| becomes(f, &known, &grown));
    survives("a variant added by one side", &|f| becomes(f, &Old::Second, &New::Second));
    survives("a map with tuples as keys", &|f| returns(f, &BTreeMap::from([((1, 2), "x".to_owned())])));
    survives("infinity", &|f| returns(f, &f64::INFINITY));
    survives("`Some(None)` apart from `None`", &|f| returns(f, &Some(None::<u8>)));
    survives("`u128::MAX`", &|f| returns(f, &u128::MAX));
    table
}

fn returns<T: Serialize + DeserializeOwned + PartialEq>(format: Format, sent: &T) -> Result<bool, Failure> {
    becomes(format, sent, sent)
}

fn becomes<T: DeserializeOwned + PartialEq>(
    format: Format,
    sent: &impl Serialize,
    expected: &T,
) -> Result<bool, Failure> {
    Ok(format.decode::<T>(&format.encode(sent)?)? == *expected)
}

fn verdict(outcome: Result<bool, Failure>) -> String {
    match outcome {
        Ok(true) => "yes".to_owned(),
        Ok(false) => "**changed**".to_owned(),
        Err(_) => "**no**".to_owned(),
    }
}

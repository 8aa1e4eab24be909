//! Calls that are well-formed on the wire: each method, with arguments of the right type and any content.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use miko_shared::wire::extension;
use mikobase::rpc::codec::SerdeMessage;
use mikobase::{Bytes, json};
use serde::Serialize;
use serde_json::{Map, Value};

use super::client::result_of;
use super::requests::Requests;
use crate::random::Random;
use crate::support::enclosed_call;

/// Names and handles from earlier answers, to be used in calls.
#[derive(Default)]
struct Known {
    pks: Vec<String>,
    files: Vec<String>,
    /// What is open on the connection.
    open: Open,
}

/// The handles of a connection.
#[derive(Default)]
struct Open {
    uploads: Vec<u64>,
    imports: Vec<u64>,
    streams: Vec<u64>,
    transactions: Vec<u64>,
}

/// The largest length of a list in [`Known`].
const MAX_KNOWN: usize = 50;

/// The frame limit of the server: an eighth of its memory limit.
const MAX_FRAME: usize = super::LIMIT / 8;

/// A call that continues what an earlier one began.
struct Planned {
    method: &'static str,
    frame: Vec<u8>,
    /// Whether it is a call of an object of the connection.
    is_of_object: bool,
}

pub struct Generator {
    requests: Requests,
    known: Known,
    planned: VecDeque<Planned>,
    spared: String,
    /// About the largest argument, in bytes.
    largest: usize,
}

/// The arguments of `put`, which have binary data.
#[derive(Serialize)]
struct Piece {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Bytes>,
}

impl Piece {
    fn of_file(data: Vec<u8>) -> Self {
        Self { data: Some(data.into()), text: None }
    }

    fn of_worldlet(text: Vec<u8>) -> Self {
        Self { data: None, text: Some(text.into()) }
    }
}

impl Generator {
    /// Calls that name any record but the one with the pk `spared`.
    pub fn new(random: Random, spared: &str, is_heavy: bool) -> Self {
        let largest = if is_heavy { 24 << 20 } else { 1 << 20 };
        let requests = Requests::new(random, largest);
        let (known, planned) = (Known::default(), VecDeque::new());
        Self { requests, known, planned, spared: spared.to_owned(), largest }
    }

    pub fn largest(&self) -> usize {
        self.largest
    }

    /// A method and the frame of a call of it, which is within the frame limit.
    pub fn call(&mut self) -> (&'static str, Vec<u8>) {
        if !self.random().one_in(3)
            && let Some(Planned { method, frame, .. }) = self.planned.pop_front()
        {
            return (method, frame);
        }
        self.new_call()
    }

    /// As [`call`](Self::call), but not one that continues what an earlier one began.
    pub fn new_call(&mut self) -> (&'static str, Vec<u8>) {
        loop {
            let (method, frame) = self.call_of_any_size();
            if frame.len() <= MAX_FRAME {
                return (method, frame);
            }
        }
    }

    fn call_of_any_size(&mut self) -> (&'static str, Vec<u8>) {
        self.requests.begin();
        let call = match self.random().below(100) {
            0..40 => ("q0", json!({"query": self.requests.request()})),
            40..46 => ("validate", json!({"query": self.requests.request()})),
            46..52 => self.batch(),
            52..58 => ("import_schema", json!({"schema": self.requests.schema()})),
            58..62 => ("merge", json!({"worldlet": self.requests.worldlet()})),
            62..70 => return self.file_call(),
            70..80 => self.stream_call(),
            80..90 => return self.import_call(),
            _ => self.small_call(),
        };
        (call.0, enclosed_call(call.0, &call.1))
    }

    /// Forgets what was open on a connection that has been closed.
    pub fn forget_connection(&mut self) {
        self.known.open = Open::default();
        self.planned.retain(|planned| !planned.is_of_object);
    }

    /// Frames without an answer about what is open: credit for streams, releases, cancellations.
    pub fn controls(&mut self) -> Vec<u8> {
        let mut frames = Vec::new();
        let Open { uploads, imports, streams, transactions } = &mut self.known.open;
        let random = self.requests.random();
        for stream in streams.iter() {
            if random.one_in(2) {
                extension::put_credit(*stream, random.size(1 << 20) as u64, &mut frames);
            }
        }
        for handles in [uploads, imports, streams, transactions] {
            if !handles.is_empty() && random.one_in(10) {
                extension::put_release(handles.swap_remove(random.below(handles.len())), &mut frames);
            }
        }
        if random.one_in(20) {
            extension::put_credit(random.next(), random.next(), &mut frames);
            extension::put_release(random.size(1000) as u64, &mut frames);
            extension::put_cancel(random.size(3) as u64, &mut frames);
        }
        frames
    }

    /// Collects names and handles from the answer to a successful call, for later calls.
    pub fn learn(&mut self, method: &str, answer: &[u8]) {
        match result_of(method, answer).map(name_in) {
            Some(Value::Number(handle)) => {
                if let Some(handle) = handle.as_u64() {
                    self.learn_handle(method, handle);
                }
            }
            Some(Value::String(name)) if name != self.spared => self.learn_name(method, name),
            _ => {}
        }
    }

    fn learn_handle(&mut self, method: &str, handle: u64) {
        let Open { uploads, imports, streams, transactions } = &mut self.known.open;
        match method {
            "write_file" => {
                uploads.push(handle);
                self.plan_object_call("put", handle, &Piece::of_file(handle.to_be_bytes().to_vec()));
                self.plan_object_call("finish", handle, &json!({}));
            }
            "import" => {
                imports.push(handle);
                let record = json!({"bucket": {"n": 1}, "stack": {"x": {"class": "fuzz.test/imported"}}});
                let pk = format!("imported-{handle}");
                let worldlet = json!({"format": "worldlet/1.0", "records": {pk: record}});
                self.plan_object_call("put", handle, &Piece::of_worldlet(worldlet.to_string().into_bytes()));
                self.plan_object_call("finish", handle, &json!({}));
            }
            "select_stream" | "watch_select" | "export" | "read_file" | "changes" => streams.push(handle),
            "begin" => {
                transactions.push(handle);
                // A call that takes the turn to write would let the other calls of this client wait.
                self.plan_object_call("commit", handle, &json!({}));
            }
            _ => {}
        }
    }

    fn learn_name(&mut self, method: &str, name: String) {
        if method != "q0" || self.random().one_in(4) {
            self.plan(method, &name);
        }
        let names = match method {
            "finish" => &mut self.known.files,
            "q0" => {
                self.requests.learn_pk(&name);
                &mut self.known.pks
            }
            _ => return,
        };
        names.push(name);
        if names.len() > MAX_KNOWN {
            names.remove(0);
        }
    }

    /// Plans calls about what `method` has made. Random calls alone rarely come so far.
    fn plan(&mut self, method: &str, name: &str) {
        match method {
            "finish" => {
                self.plan_call("file_info", &json!({"pk": name}));
                self.plan_call("read_file", &json!({"pk": name}));
                self.plan_call("delete_file", &json!({"pk": name}));
            }
            "q0" => {
                self.plan_call("history", &json!({"pk": name}));
                let version = json!({"record": name, "updated_at": "2366-01-01T00:00:00.000Z", "bucket": {}});
                let worldlet = json!({"properties": {"temporal": true}, "history": {name: version}});
                self.plan_call("merge", &json!({"worldlet": worldlet}));
            }
            _ => {}
        }
    }

    fn plan_call(&mut self, method: &'static str, params: &impl Serialize) {
        self.planned.push_back(Planned { method, frame: enclosed_call(method, params), is_of_object: false });
    }

    fn plan_object_call(&mut self, method: &'static str, object: u64, params: &impl Serialize) {
        let frame = object_call(object, method, params);
        self.planned.push_back(Planned { method, frame, is_of_object: true });
    }

    fn random(&mut self) -> &mut Random {
        self.requests.random()
    }

    fn batch(&mut self) -> (&'static str, Value) {
        let queries = if self.random().one_in(10) {
            let request = self.requests.request();
            self.requests.repeated(&request)
        } else {
            (0..self.random().size(30)).map(|_| self.requests.request()).collect()
        };
        ("batch", json!({"queries": queries, "atomic": self.random().one_in(2)}))
    }

    fn file_call(&mut self) -> (&'static str, Vec<u8>) {
        let file = self.name_of(|known| &known.files);
        let (method, params) = match self.random().below(8) {
            0 | 1 => ("write_file", json!({"mime": self.requests.text()})),
            2 | 3 => {
                let upload = self.handle_of(|open| &open.uploads);
                let piece = Piece::of_file(self.piece_of(Random::bytes));
                return ("put", object_call(upload, "put", &piece));
            }
            4 => {
                let upload = self.handle_of(|open| &open.uploads);
                return ("finish", object_call(upload, "finish", &json!({})));
            }
            _ => (*self.random().pick(&["file_info", "read_file", "delete_file"]), json!({"pk": file})),
        };
        (method, enclosed_call(method, &params))
    }

    fn stream_call(&mut self) -> (&'static str, Value) {
        match self.random().below(5) {
            0 => ("export", json!({})),
            1 => {
                let target = match self.random().below(3) {
                    0 => self.name_of(|known| &known.pks).into(),
                    1 => json!("fuzz.test/imported"),
                    _ => self.requests.select(),
                };
                let after = self.random().one_in(4).then(|| self.random().below(1000));
                let options = json!({"after": after, "leaving": true, "snapshot": self.random().one_in(2)});
                ("changes", json!({"target": target, "options": options}))
            }
            2 => ("watch_select", json!({"query": self.requests.select()})),
            _ => ("select_stream", json!({"query": self.requests.select()})),
        }
    }

    fn import_call(&mut self) -> (&'static str, Vec<u8>) {
        let import = self.handle_of(|open| &open.imports);
        match self.random().below(6) {
            0 | 1 => ("import", enclosed_call("import", &json!({"trust": self.random().one_in(2)}))),
            2..=4 => {
                let worldlet = self.requests.worldlet().to_string();
                let piece =
                    Piece::of_worldlet(self.piece_of(|random, size| text_of(random, &worldlet, size)));
                ("put", object_call(import, "put", &piece))
            }
            _ => ("finish", object_call(import, "finish", &json!({}))),
        }
    }

    fn small_call(&mut self) -> (&'static str, Value) {
        let pk = self.name_of(|known| &known.pks);
        match self.random().below(11) {
            10 => {
                let bucket = if self.random().one_in(4) { self.requests.value() } else { json!({"n": 2}) };
                ("update_one", json!({ "pk": pk, "bucket": bucket }))
            }
            9 => {
                let edits = json!([{"path": ["fuzzed"], "set": 1}]);
                let edits = if self.random().one_in(3) { self.requests.edits() } else { edits };
                ("edit", json!({ "pk": pk, "edits": edits }))
            }
            7 => ("records_by_pks", json!({ "pks": [pk, self.name_of(|known| &known.pks), pk] })),
            8 => {
                let bucket = if self.random().one_in(4) { self.requests.value() } else { json!({"n": 1}) };
                if self.random().one_in(2) {
                    return ("create_one", json!({"class": self.requests.class(), "bucket": bucket}));
                }
                let buckets = [json!({}), bucket];
                ("create_many", json!({"class": self.requests.class(), "buckets": buckets}))
            }
            0 => ("record_by_pk", json!({ "pk": pk })),
            1 => ("by_class", json!({"class": self.requests.class()})),
            2 => ("history", json!({ "pk": pk })),
            3 => ("export_schema", json!({})),
            4 => ("collect_files", json!({})),
            5 => ("properties", json!({})),
            6 if self.random().one_in(2) => ("begin", json!({})),
            _ => ("validate", json!({"query": self.requests.value()})),
        }
    }

    /// A name from an answer, or a random one.
    fn name_of(&mut self, list: fn(&Known) -> &Vec<String>) -> String {
        let names = list(&self.known);
        if names.is_empty() || self.requests.random().one_in(10) {
            return self.requests.text();
        }
        // The newest names are the most frequent, since they are most likely still valid.
        let back = self.requests.random().size(names.len() - 1);
        names[names.len() - 1 - back].clone()
    }

    /// The handle of something open, or a random one.
    fn handle_of(&mut self, list: fn(&Open) -> &Vec<u64>) -> u64 {
        let handles = list(&self.known.open);
        let random = self.requests.random();
        if handles.is_empty() || random.one_in(10) {
            return random.size(1000) as u64;
        }
        *random.pick(handles)
    }

    fn piece_of(&mut self, bytes: impl FnOnce(&mut Random, usize) -> Vec<u8>) -> Vec<u8> {
        let most = self.largest.min(3 << 20);
        let size = self.random().size(most);
        bytes(self.random(), size)
    }
}

/// The frame of a call of an object.
fn object_call(object: u64, method: &str, params: &impl Serialize) -> Vec<u8> {
    let mut frame = Vec::new();
    let call = BTreeMap::from([(method, params)]);
    let deadline = Duration::from_secs(60);
    extension::put_call(object, 1, deadline, &SerdeMessage(&call), usize::MAX, &mut frame).unwrap();
    frame
}

/// The text of a worldlet, which may be damaged, cut off or repeated.
fn text_of(random: &mut Random, worldlet: &str, size: usize) -> Vec<u8> {
    let mut text = worldlet.as_bytes().to_vec();
    match random.below(6) {
        0 => text.truncate(size),
        1 => text = b"[".repeat(size),
        2 => text = b"{\"records\":".repeat(size / 10 + 1),
        3 => {
            let at = random.below(text.len());
            text[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    text
}

/// The name or handle in a result: the result itself, or the pk of a created record.
fn name_in(result: Value) -> Value {
    let pk = |result: &Value| find_pk(result.as_object()?);
    pk(&result).unwrap_or(result)
}

fn find_pk(result: &Map<String, Value>) -> Option<Value> {
    result.iter().find_map(|(key, value)| match value {
        Value::String(_) if key == "pk" => Some(value.clone()),
        Value::Object(inner) => find_pk(inner),
        Value::Array(items) => items.first()?.as_object().and_then(find_pk),
        _ => None,
    })
}

//! Calls that are well-formed on the wire: each method, with arguments of the right type and any content.

use std::collections::{BTreeMap, VecDeque};

use mikobase::{Bytes, json};
use serde::Serialize;
use serde_json::{Map, Value};

use super::client::result_of;
use super::requests::Requests;
use crate::random::Random;
use crate::support::enclosed_call;

/// Names from earlier answers, to be used in calls.
#[derive(Default)]
struct Known {
    pks: Vec<String>,
    files: Vec<String>,
    streams: Vec<String>,
    imports: Vec<String>,
    /// The number of pieces sent or received, by file, stream or import.
    pieces: BTreeMap<String, u64>,
    /// The file, stream or import of the last call.
    last: String,
}

/// The largest length of a list in [`Known`].
const MAX_KNOWN: usize = 50;

/// The frame limit of the server: an eighth of its memory limit.
const MAX_FRAME: usize = super::LIMIT / 8;

/// A call that continues what an earlier one began.
struct Planned {
    method: &'static str,
    frame: Vec<u8>,
    /// The file, stream or import that it is about.
    name: String,
}

pub struct Generator {
    requests: Requests,
    known: Known,
    planned: VecDeque<Planned>,
    spared: String,
    /// About the largest argument, in bytes.
    largest: usize,
}

/// The arguments of `put_chunk` or `put_import`, which have binary data.
#[derive(Serialize)]
struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<&'a str>,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Bytes>,
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
            && let Some(Planned { method, frame, name }) = self.planned.pop_front()
        {
            self.known.last = name;
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

    /// Collects names from the answer to a successful call, for later calls.
    pub fn learn(&mut self, method: &str, answer: &[u8]) {
        if matches!(method, "put_chunk" | "put_import" | "next_chunk") {
            *self.known.pieces.entry(self.known.last.clone()).or_default() += 1;
        }
        let Some(Value::String(name)) = result_of(method, answer).map(name_in) else { return };
        if name == self.spared {
            return;
        }
        if method != "q0" || self.random().one_in(4) {
            self.plan(method, &name);
        }
        let names = match method {
            "begin_file" | "end_file" => &mut self.known.files,
            "open_stream" => &mut self.known.streams,
            "begin_import" => &mut self.known.imports,
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

    /// Plans the calls that bring to its end what `method` began. Random calls alone rarely come so far.
    fn plan(&mut self, method: &str, name: &str) {
        match method {
            "begin_import" => {
                let record = json!({"bucket": {"n": 1}, "stack": {"x": {"class": "fuzz.test/imported"}}});
                let worldlet = json!({"format": "worldlet/1.0", "records": {name: record}});
                let text = Some(worldlet.to_string().into_bytes().into());
                let piece = Piece { file: None, import: Some(name), index: 0, data: None, text };
                self.plan_call("put_import", name, &piece);
                self.plan_call("end_import", name, &json!({"import": name, "trust": false}));
            }
            "begin_file" if self.random().one_in(3) => {
                self.plan_call("cancel_file", name, &json!({"file": name}));
            }
            "begin_file" => {
                let data = Some(name.as_bytes().to_vec().into());
                let piece = Piece { file: Some(name), import: None, index: 0, data, text: None };
                self.plan_call("put_chunk", name, &piece);
                self.plan_call("end_file", name, &json!({"file": name}));
            }
            "end_file" => {
                self.plan_call("file_info", name, &json!({"pk": name}));
                self.plan_call("file_piece", name, &json!({"pk": name, "at": {"chunk": 0, "offset": 0}}));
                self.plan_call("delete_file", name, &json!({"pk": name}));
            }
            "q0" => {
                self.plan_call("history", name, &json!({"pk": name}));
                let version = json!({"record": name, "updated_at": "2366-01-01T00:00:00.000Z", "bucket": {}});
                let worldlet = json!({"properties": {"temporal": true}, "history": {name: version}});
                self.plan_call("merge", name, &json!({"worldlet": worldlet}));
            }
            _ => {}
        }
    }

    fn plan_call(&mut self, method: &'static str, name: &str, params: &impl Serialize) {
        let frame = enclosed_call(method, params);
        self.planned.push_back(Planned { method, frame, name: name.to_owned() });
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
            0 | 1 => ("begin_file", json!({"mime": self.requests.text()})),
            2 | 3 => {
                let data = Some(self.piece_of(|random, size| random.bytes(size)));
                let (index, file) = (self.index(), Some(&*file));
                let piece = Piece { file, import: None, index, data, text: None };
                return ("put_chunk", enclosed_call("put_chunk", &piece));
            }
            4 => ("end_file", json!({"file": file})),
            5 => ("cancel_file", json!({"file": file})),
            6 => {
                let at = json!({"chunk": self.index(), "offset": self.requests.integer()});
                ("file_piece", json!({"pk": file, "at": at}))
            }
            _ => (*self.random().pick(&["file_info", "delete_file"]), json!({"pk": file})),
        };
        (method, enclosed_call(method, &params))
    }

    fn stream_call(&mut self) -> (&'static str, Value) {
        let stream = self.name_of(|known| &known.streams);
        match self.random().below(6) {
            0 => ("open_stream", json!({"source": "worldlet"})),
            1 | 2 => ("open_stream", json!({"source": {"select": self.requests.select()}})),
            3 | 4 => ("next_chunk", json!({"stream": stream, "index": self.index()})),
            _ => ("close_stream", json!({"stream": stream})),
        }
    }

    fn import_call(&mut self) -> (&'static str, Vec<u8>) {
        let import = self.name_of(|known| &known.imports);
        let (method, params) = match self.random().below(7) {
            0 | 1 => ("begin_import", json!({})),
            2..=4 => {
                let worldlet = self.requests.worldlet().to_string();
                let text = Some(self.piece_of(|random, size| text_of(random, &worldlet, size)));
                let (index, import) = (self.index(), Some(&*import));
                let piece = Piece { file: None, import, index, data: None, text };
                return ("put_import", enclosed_call("put_import", &piece));
            }
            5 => ("end_import", json!({"import": import, "trust": self.random().one_in(2)})),
            _ => ("cancel_import", json!({"import": import})),
        };
        (method, enclosed_call(method, &params))
    }

    fn small_call(&mut self) -> (&'static str, Value) {
        let pk = self.name_of(|known| &known.pks);
        match self.random().below(7) {
            0 => ("record_by_pk", json!({ "pk": pk })),
            1 => ("by_class", json!({"class": self.requests.class()})),
            2 => ("history", json!({ "pk": pk })),
            3 => ("export_schema", json!({})),
            4 => ("collect_files", json!({})),
            5 => ("properties", json!({})),
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
        self.known.last = names[names.len() - 1 - back].clone();
        self.known.last.clone()
    }

    /// The index of a piece; most often the expected one.
    fn index(&mut self) -> u64 {
        if !self.random().one_in(5) {
            return self.known.pieces.get(&self.known.last).copied().unwrap_or_default();
        }
        if self.random().one_in(4) { self.random().next() } else { self.random().size(3) as u64 }
    }

    fn piece_of(&mut self, bytes: impl FnOnce(&mut Random, usize) -> Vec<u8>) -> Bytes {
        let most = self.largest.min(3 << 20);
        let size = self.random().size(most);
        bytes(self.random(), size).into()
    }
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

/// The name in a result: a string, or the pk of a created record.
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

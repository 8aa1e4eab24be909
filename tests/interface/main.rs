//! `#[mikobase_interface]`: the code that it generates, and its messages for invalid traits.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test program")]

pub mod accepted;
mod cargo;
mod composed;
mod described;
mod fidelity;
mod growth;
mod library;
mod mistakes;
mod mistakes_page;
mod objects;
mod strict;
mod third_party;

use std::collections::BTreeMap;
use std::sync::Mutex;

use mikobase::prelude::*;
use mikobase::rpc::codec;
use mikobase::rpc::{Call, CallTransport, DispatchError, Interface, OutgoingCall, Proxy};
use mikobase::{Error, Result};
use serde::{Deserialize, Serialize};

/// A custom error type.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum StockError {
    SoldOut { item: String },
    Lost(Error),
}

impl From<Error> for StockError {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

/// Counts what is in stock.
#[mikobase_interface]
trait Stock {
    /// Adds items and returns their count.
    #[interface(write, deadline = "2m")]
    fn put(&self, item: &str, count: u64) -> Result<u64>;

    /// Removes one item and returns the remaining count.
    #[interface(idempotent, name = "take.one")]
    fn take(&self, item: &str) -> Result<u64, StockError>;

    /// The counts of these items, or of all items if the list is empty.
    #[interface(read)]
    fn list(&self, items: &[String], at_least: Option<u64>) -> Result<BTreeMap<String, u64>>;

    /// Panics.
    fn burn(&self) -> Result<()>;

    #[interface(local)]
    fn put_dozen(&self, item: &str) -> Result<u64> {
        self.put(item, 12)
    }
}

/// Results that JSON has, and others.
#[mikobase_interface]
trait Figures {
    #[interface(read)]
    fn half(&self) -> Result<f64>;

    #[interface(read)]
    fn nothing(&self) -> Result<Vec<f64>>;

    #[interface(read)]
    fn huge(&self) -> Result<u128>;

    #[interface(read)]
    fn pairs(&self) -> Result<BTreeMap<(u8, u8), u8>>;
}

struct Numbers;

impl Figures for Numbers {
    fn half(&self) -> Result<f64> {
        Ok(0.5)
    }

    fn nothing(&self) -> Result<Vec<f64>> {
        Ok(vec![1.0, f64::NAN])
    }

    fn huge(&self) -> Result<u128> {
        Ok(u128::MAX)
    }

    fn pairs(&self) -> Result<BTreeMap<(u8, u8), u8>> {
        Ok(BTreeMap::from([((1, 2), 3)]))
    }
}

#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, u64>>);

impl Stock for Shelf {
    fn put(&self, item: &str, count: u64) -> Result<u64> {
        let mut shelf = self.0.lock().unwrap();
        let there = shelf.entry(item.to_owned()).or_default();
        *there += count;
        Ok(*there)
    }

    fn take(&self, item: &str) -> Result<u64, StockError> {
        match self.0.lock().unwrap().get_mut(item) {
            Some(there) if *there > 0 => {
                *there -= 1;
                Ok(*there)
            }
            _ => Err(StockError::SoldOut { item: item.to_owned() }),
        }
    }

    fn list(&self, items: &[String], at_least: Option<u64>) -> Result<BTreeMap<String, u64>> {
        let shelf = self.0.lock().unwrap();
        let wanted = |(item, there): &(&String, &u64)| {
            (items.is_empty() || items.contains(item)) && at_least.is_none_or(|least| **there >= least)
        };
        Ok(shelf.iter().filter(wanted).map(|(item, there)| (item.clone(), *there)).collect())
    }

    fn burn(&self) -> Result<()> {
        panic!("fire")
    }
}

/// A transport to an implementation in this process, which serializes calls as for a socket; and the
/// implementation as its interface.
struct Loopback<T, I: ?Sized>(T, fn(&T) -> &I);

impl<T: Send + Sync, I: Interface + ?Sized> CallTransport for Loopback<T, I> {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (mut sent, mut answer) = (Vec::new(), Vec::new());
        assert!(codec::encode(&mut sent, usize::MAX, |encoder| call.request.write(encoder)).is_ok());
        let (method, arguments) = codec::split_variant(&sent).unwrap();
        (self.1)(&self.0).serve(Call::message(method, arguments, &mut answer, usize::MAX))?;
        read(&answer)
    }
}

fn proxy() -> stock_rpc::StockClient {
    stock_rpc::StockClient::new(Box::new(Loopback(Shelf::default(), |shelf: &Shelf| shelf as &dyn Stock)))
}

#[test]
fn a_proxy_is_an_implementation_like_any_other() {
    fn fill(stock: &impl Stock) -> Result<u64> {
        stock.put("bolts", 3)?;
        stock.put_dozen("bolts")
    }
    for stock in [&proxy() as &dyn Stock, &Shelf::default()] {
        assert_eq!(stock.put("nuts", 1).unwrap(), 1);
        assert_eq!(stock.take("nuts"), Ok(0));
        assert_eq!(stock.take("nuts"), Err(StockError::SoldOut { item: "nuts".to_owned() }));
        assert_eq!(stock.list(&["nuts".to_owned()], None).unwrap(), BTreeMap::from([("nuts".to_owned(), 0)]));
    }
    assert_eq!(fill(&proxy()).unwrap(), 15);
    assert_eq!(fill(&Shelf::default()).unwrap(), 15);
}

#[test]
fn a_proxy_can_be_a_field_of_what_is_debugged() {
    assert_eq!(format!("{:?}", proxy()), "StockClient { .. }");
}

#[test]
fn a_panic_in_a_method_is_an_error_and_the_server_goes_on() {
    let stock = proxy();
    let error = stock.burn().unwrap_err();
    assert!(error.is(ErrorId::INTERNAL), "{error}");
    assert_eq!(error.to_string(), r#"internal: the method panicked: fire (method: "burn")"#);
    assert_eq!(stock.put("nuts", 1).unwrap(), 1);
}

/// A type whose deserialization panics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "u8")]
struct Explosive(u8);

impl TryFrom<u8> for Explosive {
    type Error = String;

    fn try_from(fuse: u8) -> Result<Self, String> {
        assert!(fuse != 0, "no fuse");
        Ok(Self(fuse))
    }
}

#[mikobase_interface]
trait Mine {
    fn light(&self, explosive: Explosive) -> Result<u8>;
}

struct Pit;

impl Mine for Pit {
    fn light(&self, explosive: Explosive) -> Result<u8> {
        Ok(explosive.0)
    }
}

#[test]
fn a_panic_of_a_type_is_an_error_and_the_server_goes_on() {
    let mine = mine_rpc::MineClient::new(Box::new(Loopback(Pit, |pit: &Pit| pit as &dyn Mine)));
    assert_eq!(
        mine.light(Explosive(0)).unwrap_err().to_string(),
        r#"internal: a type of the method panicked: no fuse (method: "light")"#
    );
    assert_eq!(mine.light(Explosive(3)).unwrap(), 3);
}

#[test]
fn a_failure_on_the_way_is_the_error_of_the_method() {
    struct Broken;
    impl CallTransport for Broken {
        fn call(&self, _: &OutgoingCall<'_>, _: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
            Err(Error::new(ErrorId::SERVER_GONE, "it left"))
        }
    }
    let stock = stock_rpc::StockClient::new(Box::new(Broken));
    assert!(stock.put("nuts", 1).unwrap_err().is(ErrorId::SERVER_GONE));
    assert!(matches!(stock.take("nuts"), Err(StockError::Lost(error)) if error.is(ErrorId::SERVER_GONE)));
}

#[test]
fn methods_are_called_by_name_with_params_by_name_or_position() {
    let stock = proxy();
    let call = |method, params| match stock.as_interface().dispatch(method, params) {
        Ok(result) => result.get().to_owned(),
        Err(DispatchError::Failed(error)) => format!("failed {}", error.get()),
        Err(DispatchError::Request(error)) => error.to_string(),
    };
    let cases = [
        ("put", json!({"item": "nuts", "count": 2}), "2"),
        ("put", json!(["nuts", 2]), "4"),
        ("take.one", json!({"item": "nuts"}), "3"),
        ("take.one", json!(["bolts"]), r#"failed {"SoldOut":{"item":"bolts"}}"#),
        ("list", json!({"items": []}), r#"{"nuts":3}"#),
        ("list", json!([[], 4]), "{}"),
        ("list", json!({"items": [], "at_least?": 0, "at_most?": 0}), r#"{"nuts":3}"#),
        (
            "list",
            json!({"items": [], "at_most?": 1}),
            "invalid_request: the method has no param `at_most?` (unknown_fields: [\"at_most?\"], method: \
             \"list(items: &[String], at_least: Option<u64>) -> Result<BTreeMap<String, u64>>\")",
        ),
        (
            "take",
            json!(["nuts"]),
            "invalid_request: Stock has no method `take` \
             (found: \"take\", known: [\"put\",\"take.one\",\"list\",\"burn\"])",
        ),
        (
            "put",
            json!({"item": 5, "colour": "red"}),
            "invalid_request: the method has no param `colour` (unknown_fields: [\"colour\"], \
             method: \"put(item: &str, count: u64) -> Result<u64>\"); \
             invalid_request: the param `item` does not fit: invalid type: integer `5`, expected a string \
             (field: \"item\", expected: \"&str\", method: \"put(item: &str, count: u64) -> Result<u64>\"); \
             invalid_request: the param `count` is missing (missing_fields: [\"count\"], expected: \"u64\", \
             method: \"put(item: &str, count: u64) -> Result<u64>\")",
        ),
        (
            "list",
            json!({"items": [], "at_least": 4, "at_least?": 0}),
            "invalid_request: the param `at_least` is given twice: as `at_least` and as `at_least?` \
             (field: \"at_least\", \
             method: \"list(items: &[String], at_least: Option<u64>) -> Result<BTreeMap<String, u64>>\")",
        ),
        (
            "burn",
            json!([1]),
            "invalid_request: there are more params than the method has \
             (expected: 0, found: 1, method: \"burn() -> Result<()>\")",
        ),
        (
            "burn",
            json!("now"),
            "invalid_request: params are an object by name or an array by position \
             (found: \"string\", method: \"burn() -> Result<()>\")",
        ),
    ];
    for (method, params, expected) in cases {
        assert_eq!(call(method, params.clone()), expected, "{method} {params}");
    }
}

#[test]
fn a_call_by_name_refuses_results_that_json_lacks() {
    for (method, expected) in [
        ("half", "0.5"),
        (
            "nothing",
            "internal: the result cannot be represented in JSON: JSON has no number NaN (method: \"nothing\")",
        ),
        (
            "huge",
            "internal: the result cannot be represented in JSON: \
             340282366920938463463374607431768211455 has more than 64 bits (method: \"huge\")",
        ),
        (
            "pairs",
            "internal: the result cannot be represented in JSON: key must be a string (method: \"pairs\")",
        ),
    ] {
        let figures: &dyn Figures = &Numbers;
        // What serves the call, and the hook around it, get the error as well.
        let served = figures.serve(Call::json(method, json!([]), &mut None));
        assert_eq!(served.is_ok(), method == "half", "{method}: {served:?}");
        let given = match figures.dispatch(method, json!([])) {
            Ok(result) => result.get().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(given, expected, "{method}");
    }
}

#[test]
fn the_surface_says_what_the_trait_says() {
    let surface = <dyn Stock as Interface>::surface();
    let lines: Vec<String> = surface.methods.iter().map(ToString::to_string).collect();
    assert_eq!(surface.interface, "Stock");
    assert_eq!(
        lines,
        [
            "put(item: &str, count: u64) -> Result<u64>",
            "take.one(item: &str) -> Result<u64, StockError>",
            "list(items: &[String], at_least: Option<u64>) -> Result<BTreeMap<String, u64>>",
            "burn() -> Result<()>",
        ]
    );
    let [put, take, list, burn] = &surface.methods[..] else { panic!("four methods") };
    assert_eq!(
        (put.read, put.deadline_ms, &*put.doc),
        (Some(false), Some(120_000), "Adds items and returns their count.")
    );
    assert!(take.idempotent && !put.idempotent);
    assert_eq!((list.read, burn.read), (Some(true), None));
    let copy: mikobase::rpc::Surface =
        serde_json::from_str(&serde_json::to_string(surface).unwrap()).unwrap();
    assert_eq!(&copy, surface);
}

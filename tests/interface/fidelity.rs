//! A proxy gives what the local object gives, and so does a call by name: for values of a hundred types.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::CString;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, Wrapping};
use std::ops::{Bound, Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use mikobase::rpc::{Call, Interface, Proxy, serde_json};
use mikobase::{Bytes, Result, json, mikobase_interface};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Loopback;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    a: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    #[serde(rename = "type")]
    c: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flattened {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Newtype(Option<u8>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuple(u8, String);

/// An enum in each representation of serde.
macro_rules! enums {
    ($($(#[$meta:meta])* $name:ident)*) => {
        $(#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        $(#[$meta])*
        pub enum $name {
            Unit,
            Newtype(Named),
            Struct { x: Option<u8>, y: Vec<String> },
        })*
    };
}

enums! {
    External
    #[serde(tag = "t")] Internal
    #[serde(tag = "t", content = "c")] Adjacent
    #[serde(untagged)] Untagged
    #[serde(rename_all = "SCREAMING-KEBAB-CASE")] Renamed
}

/// Bytes that serde buffers in each of the types below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    data: Bytes,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlattenedPiece {
    id: u8,
    #[serde(flatten)]
    piece: Piece,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum TaggedPiece {
    Newtype(Piece),
    Struct { data: Bytes },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UntaggedPiece {
    Struct { piece: Piece },
    Bytes(Bytes),
}

/// Base64 in itself, a text that is no base64, and no text.
fn pieces() -> impl Iterator<Item = Bytes> {
    [&b"AQL/"[..], b"hello world", &[0xff, 0xfe]].map(|data| Bytes::from(data.to_vec())).into_iter()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WithTuple {
    Pair(u8, Option<String>),
    Unit,
}

/// A trait that returns what it is given, an implementation, and the list of its checks.
macro_rules! echo {
    ($($method:ident: $ty:ty = [$($value:expr),* $(,)?];)*) => {
        #[mikobase_interface]
        pub trait Echo {
            $(fn $method(&self, value: $ty) -> Result<$ty>;)*
        }

        struct Local;

        impl Echo for Local {
            $(fn $method(&self, value: $ty) -> Result<$ty> {
                Ok(value)
            })*
        }

        /// How many types there are.
        const TYPES: usize = [$(stringify!($method)),*].len();

        fn check_all() {
            let loopback = Loopback(Local, |local: &Local| local as &dyn Echo);
            let proxy = echo_rpc::EchoClient::new(Box::new(loopback));
            $({
                let values: Vec<$ty> = vec![$($value),*];
                for value in values {
                    let here = format!("{:?}", Local.$method(value.clone()).unwrap());
                    let there = format!("{:?}", proxy.$method(value.clone()).unwrap());
                    assert_eq!(there, here, "{}", stringify!($method));
                    check_by_name(stringify!($method), &value);
                }
            })*
        }
    };
}

/// Calls a method by name with the value as JSON has it, and compares the result. A value that JSON lacks is
/// refused as a result; see `a_call_by_name_refuses_results_that_json_lacks`.
fn check_by_name<T: Serialize + Debug>(method: &str, value: &T) {
    let Ok(text) = mikobase::rpc::json::to_text(value) else { return };
    let param: Value = serde_json::from_str(&text).unwrap();
    let local: &dyn Echo = &Local;
    let result =
        local.dispatch(method, json!({"value": param})).unwrap_or_else(|error| panic!("{method}: {error}"));
    let result: Value = serde_json::from_str(result.get()).unwrap();
    assert_eq!(result, param, "{method}");
}

fn named() -> Named {
    Named { a: 1, b: None, c: vec![Named { a: 2, b: Some(String::new()), c: vec![] }] }
}

echo! {
    unit: () = [()];
    boolean: bool = [true, false];
    character: char = ['a', '\u{1f600}'];
    text: String = [String::new(), "a\0b\u{7f}é".to_owned()];
    boxed_text: Box<str> = ["text".into()];
    static_text: Cow<'static, str> = ["text".into()];
    u_8: u8 = [0, u8::MAX];
    u_16: u16 = [0, u16::MAX];
    u_32: u32 = [0, u32::MAX];
    u_64: u64 = [0, u64::MAX];
    u_128: u128 = [0, 1, u128::from(u64::MAX) + 1, u128::MAX];
    u_size: usize = [usize::MAX];
    i_8: i8 = [i8::MIN, -1, i8::MAX];
    i_16: i16 = [i16::MIN, i16::MAX];
    i_32: i32 = [i32::MIN, i32::MAX];
    i_64: i64 = [i64::MIN, -1, i64::MAX];
    i_128: i128 = [i128::MIN, -1, i128::MAX];
    i_size: isize = [isize::MIN];
    f_32: f32 = [0.1, -0.0, f32::MAX, f32::NAN, f32::INFINITY];
    f_64: f64 = [0.1, -0.0, f64::MIN_POSITIVE, f64::NAN, f64::NEG_INFINITY];
    non_zero: NonZeroU8 = [NonZeroU8::MIN, NonZeroU8::MAX];
    wrapping: Wrapping<u8> = [Wrapping(7)];
    bytes: Bytes = [Bytes::from(vec![]), Bytes::from(vec![0, 200, 255])];
    byte_vec: Vec<u8> = [vec![], vec![0, 200, 255]];
    byte_option: Option<Vec<u8>> = [None, Some(vec![]), Some(vec![1])];
    byte_vecs: Vec<Vec<u8>> = [vec![vec![1, 200], vec![]]];
    byte_box: Box<[u8]> = [vec![1, 200].into()];
    byte_array: [u8; 4] = [[0, 1, 200, 255]];
    byte_deque: VecDeque<u8> = [VecDeque::from([1, 200])];
    byte_tuple: (Vec<u8>, u8) = [(vec![1, 200], 3)];
    value: Value = [json!(null), json!({"a": [1, -2, 0.5, "x", true, null, {}], "": []})];
    values: Vec<Value> = [vec![], vec![json!(null), json!([[]])]];
    map_of_values: BTreeMap<String, Value> = [BTreeMap::from([("a".to_owned(), json!({"b": 1}))])];
    json_map: serde_json::Map<String, Value> = [
        serde_json::Map::from_iter([("z".to_owned(), json!(1)), ("a".to_owned(), json!(2))])
    ];
    number: serde_json::Number = [1.into(), u64::MAX.into()];
    option: Option<u8> = [None, Some(0)];
    option_of_unit: Option<()> = [None, Some(())];
    option_of_value: Option<Value> = [None, Some(json!(null)), Some(json!(5)), Some(json!({"a": null}))];
    option_of_option: Option<Option<u8>> = [None, Some(None), Some(Some(3))];
    option_thrice: Option<Option<Option<String>>> = [
        None, Some(None), Some(Some(None)), Some(Some(Some("x".to_owned())))
    ];
    option_of_option_of_unit: Option<Option<()>> = [None, Some(None), Some(Some(()))];
    option_of_unit_struct: Option<Unit> = [None, Some(Unit)];
    option_of_newtype: Option<Newtype> = [None, Some(Newtype(None)), Some(Newtype(Some(1)))];
    option_of_box: Option<Box<Option<u8>>> = [None, Some(Box::new(None)), Some(Box::new(Some(1)))];
    option_of_text: Option<String> = [None, Some(String::new())];
    option_of_vec: Option<Vec<Option<u8>>> = [None, Some(vec![]), Some(vec![None, Some(1)])];
    option_of_struct: Option<Named> = [None, Some(named())];
    option_of_enum: Option<External> = [None, Some(External::Unit)];
    option_of_pair: Option<(Option<u8>, ())> = [None, Some((None, ()))];
    box_of_option: Box<Option<u8>> = [Box::new(None), Box::new(Some(1))];
    vec: Vec<u16> = [vec![], vec![1, 65_535]];
    vec_of_units: Vec<()> = [vec![(), ()]];
    vec_of_options: Vec<Option<u8>> = [vec![None, Some(1)]];
    vec_of_vecs: Vec<Vec<String>> = [vec![vec![], vec!["a".to_owned()]]];
    boxed_slice: Box<[u16]> = [vec![1, 2].into()];
    deque: VecDeque<i8> = [VecDeque::from([-1, 1])];
    set: BTreeSet<char> = [BTreeSet::from(['a', 'b'])];
    array: [u16; 3] = [[1, 2, 65_535]];
    empty_array: [u8; 0] = [[]];
    array_of_options: [Option<bool>; 2] = [[None, Some(true)]];
    pair: (u8, String) = [(1, "a".to_owned())];
    single: (u8,) = [(1,)];
    reversed: std::cmp::Reverse<u8> = [std::cmp::Reverse(1)];
    linked_list: std::collections::LinkedList<u8> = [std::collections::LinkedList::from([1, 2])];
    triple: (Option<u8>, (), Vec<u8>) = [(None, (), vec![200])];
    nested_pair: ((u8, u8), (i8, (i8,))) = [((1, 2), (-1, (-2,)))];
    map: BTreeMap<String, u8> = [BTreeMap::new(), BTreeMap::from([("a".to_owned(), 1)])];
    hash_map: HashMap<String, Option<u8>> = [HashMap::from([("a".to_owned(), None)])];
    map_by_integer: BTreeMap<i64, String> = [BTreeMap::from([(-1, "a".to_owned())])];
    map_by_char: BTreeMap<char, u8> = [BTreeMap::from([('a', 1)])];
    map_by_bool: BTreeMap<bool, u8> = [BTreeMap::from([(true, 1)])];
    map_by_pair: BTreeMap<(u8, u8), u8> = [BTreeMap::from([((1, 2), 3)])];
    map_of_maps: BTreeMap<String, BTreeMap<String, Vec<u8>>> = [
        BTreeMap::from([("a".to_owned(), BTreeMap::from([("b".to_owned(), vec![1])]))])
    ];
    ok_or_err: Result<u8, String> = [Ok(1), Err("no".to_owned())];
    result_of_unit: Result<(), Option<u8>> = [Ok(()), Err(None)];
    range: Range<u32> = [1..5];
    inclusive: RangeInclusive<i8> = [-1..=1];
    bound: Bound<u8> = [Bound::Unbounded, Bound::Included(1)];
    duration: Duration = [Duration::ZERO, Duration::MAX];
    address: IpAddr = [IpAddr::V4(Ipv4Addr::LOCALHOST), "::1".parse().unwrap()];
    path: PathBuf = [PathBuf::from("a/b")];
    c_string: CString = [CString::from(c"text")];
    unit_struct: Unit = [Unit];
    newtype: Newtype = [Newtype(None), Newtype(Some(1))];
    tuple_struct: Tuple = [Tuple(1, "a".to_owned())];
    structure: Named = [named()];
    structures: Vec<Named> = [vec![named(), named()]];
    flattened: Flattened = [Flattened { id: 1, rest: BTreeMap::from([("x".to_owned(), 2)]) }];
    external: External = [
        External::Unit, External::Newtype(named()), External::Struct { x: None, y: vec!["a".to_owned()] }
    ];
    internal: Internal = [
        Internal::Unit, Internal::Newtype(named()), Internal::Struct { x: None, y: vec![] }
    ];
    adjacent: Adjacent = [
        Adjacent::Unit, Adjacent::Newtype(named()), Adjacent::Struct { x: Some(1), y: vec![] }
    ];
    untagged: Untagged = [
        Untagged::Unit, Untagged::Newtype(named()), Untagged::Struct { x: Some(1), y: vec![] }
    ];
    renamed: Renamed = [Renamed::Unit, Renamed::Struct { x: None, y: vec![] }];
    with_tuple: WithTuple = [WithTuple::Pair(1, None), WithTuple::Unit];
    enums: Vec<External> = [vec![External::Unit, External::Newtype(named())]];
    enums_by_name: BTreeMap<String, Internal> = [BTreeMap::from([("a".to_owned(), Internal::Unit)])];
    option_of_internal: Option<Internal> = [None, Some(Internal::Struct { x: None, y: vec![] })];
    option_of_untagged: Option<Adjacent> = [None, Some(Adjacent::Unit)];
    error: mikobase::Error = [mikobase::Error::new(mikobase::ErrorId::CONFLICT, "no").with("pk", "x")];
    vec_of_bytes: Vec<Bytes> = [vec![Bytes::from(vec![200]), Bytes::default()]];
    option_of_bytes: Option<Bytes> = [None, Some(Bytes::default())];
    flattened_bytes: Vec<FlattenedPiece> = [
        pieces().map(|data| FlattenedPiece { id: 1, piece: Piece { data } }).collect()
    ];
    tagged_bytes: Vec<TaggedPiece> = [
        pieces().map(|data| TaggedPiece::Newtype(Piece { data })).collect(),
        pieces().map(|data| TaggedPiece::Struct { data }).collect(),
    ];
    untagged_bytes: Vec<UntaggedPiece> = [
        pieces().map(|data| UntaggedPiece::Struct { piece: Piece { data } }).collect(),
        pieces().map(UntaggedPiece::Bytes).collect(),
    ];
}

#[test]
fn a_proxy_and_a_call_by_name_give_what_the_local_object_gives() {
    const { assert!(TYPES >= 100) };
    check_all();
}

#[test]
fn a_missing_param_is_not_null() {
    let local: &dyn Echo = &Local;
    let call = |method: &str, params: Value| match local.dispatch(method, params) {
        Ok(result) => result.get().to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(call("value", json!({"value": null})), "null");
    assert!(call("value", json!({})).contains("the param `value` is missing"));
    assert!(call("unit", json!({})).contains("the param `value` is missing"));
    assert_eq!(call("option", json!({})), "null");
    assert!(call("u_8", json!({"value": null})).contains("the param `value` does not fit"));
    assert!(call("u_8", json!({"value": 256})).contains("the param `value` does not fit"));
}

#[test]
fn bytes_are_no_text() {
    let local: &dyn Echo = &Local;
    for method in ["byte_vec", "byte_option"] {
        let error = local.dispatch(method, json!({"value": "AQL/"})).unwrap_err().to_string();
        let fault = "the param `value` does not fit: invalid type: string \"AQL/\", expected bytes";
        assert!(error.contains(fault), "{error}");

        let text = rmp_serde::to_vec_named(&BTreeMap::from([("value", "AQL/")])).unwrap();
        let error =
            local.serve(Call::message(method, &text, &mut Vec::new(), 1_000)).unwrap_err().to_string();
        assert!(error.contains("invalid type: string \"AQL/\", expected bytes"), "{error}");
    }
}

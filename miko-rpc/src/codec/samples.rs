//! Values of all forms, for the tests of the codec.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop_compose, prop_oneof};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Shape {
    Empty,
    Wrapped(Option<Box<Shape>>),
    Pair(u8, String),
    Named { id: i64, name: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    id: i64,
    ratio: f64,
    flag: bool,
    text: String,
    letter: char,
    wide: u128,
    items: Vec<Shape>,
    members: BTreeMap<String, Option<u32>>,
    bytes: Bytes,
    unit: (),
    nothing: Nothing,
    #[serde(default)]
    missing: Option<f32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Nothing;

/// A struct that serde buffers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Flattened {
    pub(super) id: u8,
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, i16>,
}

/// An extension of MessagePack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "_ExtStruct")]
pub(super) struct Extended(pub(super) (i8, serde_bytes::ByteBuf));

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Empty),
        (any::<u8>(), "\\PC{0,40}").prop_map(|(number, text)| Shape::Pair(number, text)),
        (any::<i64>(), any::<Option<String>>()).prop_map(|(id, name)| Shape::Named { id, name }),
    ];
    leaf.prop_recursive(3, 6, 1, |inner| {
        proptest::option::of(inner.prop_map(Box::new)).prop_map(Shape::Wrapped)
    })
}

prop_compose! {
    pub(super) fn sample()(
        (id, ratio, flag, text) in (any::<i64>(), -1e9..1e9, any::<bool>(), "\\PC{0,300}"),
        (letter, wide) in (any::<char>(), any::<u128>()),
        items in proptest::collection::vec(shape(), 0..20),
        members in proptest::collection::btree_map("\\PC{0,40}", any::<Option<u32>>(), 0..20),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        missing in any::<Option<f32>>().prop_map(|number| number.filter(|number| !number.is_nan())),
    ) -> Sample {
        let bytes = Bytes::from(bytes);
        let (unit, nothing) = ((), Nothing);
        Sample { id, ratio, flag, text, letter, wide, items, members, bytes, unit, nothing, missing }
    }
}

//! Handles: what travels of an object or a stream, which stays where it is.
//!
//! A server encodes an answer within [`Handles`]. The objects and streams that it meets there are collected,
//! and a number travels in their place. Serde has no place for that, so the handles are kept for the thread
//! while it encodes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use miko_surface::Surface;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserializer, Serialize, Serializer};

use crate::call::{AnswerScope, Call, LaterAnswer, Served};
use crate::error::{Error, Result};
use crate::json::HANDLE;
use crate::panics::drop_guarded;

/// An object that lives with a connection.
pub trait ServedObject: Send + Sync {
    /// The surface of its interface.
    fn surface(&self) -> &'static Surface;

    /// Runs one call on the object.
    ///
    /// # Errors
    /// As [`Interface::serve`](crate::Interface::serve).
    fn serve(&self, call: Call<'_>) -> Result<Served>;
}

/// A stream whose items are sent elsewhere.
pub trait ServedStream: Send {
    /// Appends the next item to `out`, or registers the waker for it.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        form: ItemForm,
        out: &mut Vec<u8>,
    ) -> Poll<StreamEvent>;

    /// As [`poll_next`](Self::poll_next), and waits until this time; `None` for without limit.
    fn wait_next(&mut self, until: Option<Instant>, form: ItemForm, out: &mut Vec<u8>) -> Poll<StreamEvent>;
}

/// How items are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemForm {
    /// As MessagePack of at most this many bytes.
    Message {
        /// The size of the largest item in bytes.
        limit: usize,
    },
    /// As JSON of at most this many bytes.
    Json {
        /// The size of the largest item in bytes.
        limit: usize,
    },
}

/// What comes next in a stream.
#[derive(Debug)]
pub enum StreamEvent {
    /// An item.
    Item {
        /// Its sequence number.
        seq: u64,
    },
    /// Items were left out.
    Lagged(u64),
    /// The end, or the error with which the stream ends.
    End(Option<Error>),
}

/// The objects and streams that answers have carried, each with its handle.
#[derive(Default)]
pub struct Handles {
    /// The last handle that was given. Handles are not used twice.
    last: u64,
    carried: Vec<(u64, Carried)>,
    /// How many options are around the nil that the last answer in JSON is.
    nil_level: u32,
}

/// What an answer carries beside values, or that it comes later.
pub enum Carried {
    /// An object.
    Object(Arc<dyn ServedObject>),
    /// A stream.
    Stream(Box<dyn ServedStream>),
    /// The answer itself, which comes later.
    Answer(Box<dyn LaterAnswer>),
}

thread_local! {
    /// The handles of the answer that this thread encodes.
    static HANDLES: RefCell<Option<Handles>> = const { RefCell::new(None) };
}

impl Handles {
    /// The last handle that was given; 0 at first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes what answers have carried since the last time, each with its handle.
    pub fn take(&mut self) -> impl Iterator<Item = (u64, Carried)> + use<> {
        std::mem::take(&mut self.carried).into_iter()
    }

    /// Drops what answers have carried since the last time, the newest first. A panic of one does not
    /// propagate.
    pub fn discard(&mut self) {
        self.discard_after(0);
    }

    /// As [`discard`](Self::discard), for all but the oldest `count`.
    fn discard_after(&mut self, count: usize) {
        for (_, carried) in self.carried.drain(count..).rev() {
            // The hook for panics has reported it.
            let _ = drop_guarded(carried);
        }
    }

    /// Whether an answer has carried something since the last time that it was taken.
    pub fn has_carried(&self) -> bool {
        !self.carried.is_empty()
    }

    /// How many objects, streams and later answers have been carried since the last time that they were
    /// taken.
    pub fn carried_count(&self) -> usize {
        self.carried.len()
    }

    /// How many options are around the nil that the last answer in JSON is; 0 for all that is not a nil.
    pub fn nil_level(&self) -> u32 {
        self.nil_level
    }

    /// A handle for something that no answer carries.
    pub fn reserve(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn add(&mut self, carried: Carried) -> u64 {
        let handle = self.reserve();
        self.carried.push((handle, carried));
        handle
    }
}

impl AnswerScope for Handles {
    fn encode(&mut self, write: &mut dyn FnMut() -> bool) {
        /// Gives the handles back, also after a panic of a type that serializes itself.
        struct Lent<'h> {
            handles: &'h mut Handles,
            outer: Option<Handles>,
            /// How many were carried before.
            before: usize,
            was_written: bool,
        }
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                *self.handles = HANDLES.replace(self.outer.take()).unwrap_or_default();
                if !self.was_written {
                    self.handles.discard_after(self.before);
                }
            }
        }
        let before = self.carried.len();
        let outer = HANDLES.replace(Some(std::mem::take(self)));
        let mut lent = Lent { handles: self, outer, before, was_written: false };
        lent.was_written = write();
    }

    fn keep(&mut self, answer: Box<dyn LaterAnswer>) {
        self.add(Carried::Answer(answer));
    }

    fn note_nil(&mut self, level: u32) {
        self.nil_level = level;
    }
}

/// What a handle stands for; also its key in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Stream,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Stream => "stream",
        }
    }
}

/// Writes the handle of what `carry` returns, which becomes part of the answer that this thread encodes.
///
/// # Errors
/// If the thread encodes no answer, and those of `carry`.
pub(crate) fn serialize<S: Serializer>(
    serializer: S,
    kind: Kind,
    carry: impl FnOnce() -> Result<Carried, &'static str>,
) -> Result<S::Ok, S::Error> {
    // A serializer that only looks at a value knows the name, and does not look further.
    serializer.serialize_newtype_struct(HANDLE, &Outgoing { kind, carry: Cell::new(Some(carry)) })
}

/// A handle that is given when it is written.
struct Outgoing<F> {
    kind: Kind,
    carry: Cell<Option<F>>,
}

impl<F: FnOnce() -> Result<Carried, &'static str>> Serialize for Outgoing<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.kind.name();
        let handle = HANDLES.with_borrow_mut(|handles| {
            let Some(handles) = handles else {
                let message = format!("an {kind} travels only in the result of a method, over a connection");
                return Err(S::Error::custom(message));
            };
            let carry = self.carry.take().ok_or_else(|| S::Error::custom("it was written twice"))?;
            carry().map(|carried| handles.add(carried)).map_err(S::Error::custom)
        })?;
        if serializer.is_human_readable() {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(kind, &handle)?;
            map.end()
        } else {
            serializer.serialize_u64(handle)
        }
    }
}

/// Reads what [`serialize`] wrote: a number, or a map with one.
///
/// The deserializer does not tell which: where serde buffers a value (`#[serde(flatten)]`, untagged and
/// internally tagged enums), that of the buffer calls itself human-readable, whatever the format was.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D, kind: Kind) -> Result<u64, D::Error> {
    deserializer.deserialize_any(HandleVisitor(kind))
}

struct HandleVisitor(Kind);

impl<'de> Visitor<'de> for HandleVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a handle of kind `{}`", self.0.name())
    }

    fn visit_u64<E>(self, handle: u64) -> Result<u64, E> {
        Ok(handle)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut handle = None;
        while let Some(key) = members.next_key::<String>()? {
            if key == self.0.name() {
                handle = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        handle.ok_or_else(|| A::Error::missing_field(self.0.name()))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::Deserialize;

    use super::*;
    use crate::{codec, json};

    struct Nothing;

    impl ServedObject for Nothing {
        fn surface(&self) -> &'static Surface {
            unreachable!("nothing asks for it")
        }

        fn serve(&self, _: Call<'_>) -> Result<Served> {
            unreachable!("nothing calls it")
        }
    }

    /// An object; once it was read, its handle.
    #[derive(Debug)]
    struct Handle;

    impl Serialize for Handle {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(serializer, Kind::Object, || Ok(Carried::Object(Arc::new(Nothing))))
        }
    }

    impl<'de> Deserialize<'de> for Handle {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            assert_eq!(deserialize(deserializer, Kind::Object)?, 1);
            Ok(Self)
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Field {
        object: Handle,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Flattened {
        id: u8,
        #[serde(flatten)]
        field: Field,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "t")]
    enum Tagged {
        Newtype(Handle),
        Struct { object: Handle },
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Struct { object: Handle, id: u8 },
        Newtype(Handle),
    }

    #[test]
    fn a_handle_is_read_wherever_it_is_in_a_result() {
        fn keeps<T: Serialize + for<'de> Deserialize<'de> + Debug>(value: T) {
            let mut handles = Handles::default();
            let mut message = Vec::new();
            handles
                .encode(&mut || codec::encode(&mut message, 1_000, |encoder| encoder.value(&value)).is_ok());
            assert!(handles.has_carried(), "{value:?}");
            let read = codec::decode::<T>(&message).unwrap();
            assert_eq!(format!("{read:?}"), format!("{value:?}"));

            let (mut handles, mut text) = (Handles::default(), String::new());
            handles.encode(&mut || json::to_text(&value).map(|written| text = written).is_ok());
            let read = serde_json::from_str::<T>(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
        keeps(Handle);
        keeps(Some(Handle));
        keeps(Field { object: Handle });
        keeps(Flattened { id: 2, field: Field { object: Handle } });
        keeps(Tagged::Newtype(Handle));
        keeps(Tagged::Struct { object: Handle });
        keeps(Untagged::Struct { object: Handle, id: 2 });
        keeps(Untagged::Newtype(Handle));
    }

    #[test]
    fn a_panic_of_what_is_not_sent_does_not_propagate() {
        struct Fragile;

        impl ServedObject for Fragile {
            fn surface(&self) -> &'static Surface {
                Nothing.surface()
            }

            fn serve(&self, call: Call<'_>) -> Result<Served> {
                Nothing.serve(call)
            }
        }

        impl Drop for Fragile {
            fn drop(&mut self) {
                panic!("oops");
            }
        }

        let carry = || {
            HANDLES.with_borrow_mut(|handles| {
                handles.as_mut().map(|handles| handles.add(Carried::Object(Arc::new(Fragile))))
            })
        };
        let mut handles = Handles::default();
        handles.encode(&mut || carry().is_some());
        handles.encode(&mut || carry().is_none());
        // A type that serializes itself panics.
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            handles.encode(&mut || panic!("{:?}", carry()));
        }));
        assert!(panicked.is_err());
        assert_eq!(handles.carried.len(), 1);
        handles.discard();
        assert!(!handles.has_carried());
    }

    #[test]
    fn a_handle_of_another_kind_is_refused() {
        for (text, fault) in [
            (r#"{"stream": 1}"#, "missing field `object`"),
            ("\"1\"", "invalid type: string \"1\", expected a handle of kind `object`"),
        ] {
            let error = serde_json::from_str::<Handle>(text).unwrap_err();
            assert!(error.to_string().starts_with(fault), "{error}");
        }
    }
}

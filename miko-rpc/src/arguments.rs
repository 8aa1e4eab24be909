//! The arguments of a call, as nested pairs: `(first, (second, ()))`.
//!
//! A client writes references to its arguments, a server reads owned values. On the wire the arguments are a
//! map by the names of the parameters. An array in their order is read as well, which is how serializers
//! without field names write a struct.

use std::fmt;
use std::marker::PhantomData;

use miko_surface::Param;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use crate::bounds::Wire;
use crate::codec::{Encoded, Encoder};
#[cfg(feature = "json-transport")]
use crate::error::Result;
#[cfg(feature = "json-transport")]
use crate::json_arguments::JsonArguments;
use crate::travel::{self, Missing, NIL_LEVEL, Nil, Received, Sent};

/// The arguments of a call on the side of the client.
pub trait SentArguments {
    /// The number of arguments.
    const COUNT: usize;

    /// Writes the arguments, each after the name of its parameter.
    ///
    /// # Errors
    /// As [`Encoder::value`].
    fn write(&self, params: &[Param], encoder: &mut Encoder) -> Encoded;

    /// As [`write`](Self::write), as JSON.
    ///
    /// # Errors
    /// `invalid_request`, if JSON has no form of an argument.
    #[cfg(feature = "json-transport")]
    fn write_json(&self, params: &[Param], json: &mut JsonArguments) -> Result<()>;
}

impl SentArguments for () {
    const COUNT: usize = 0;

    #[inline]
    fn write(&self, _: &[Param], _: &mut Encoder) -> Encoded {
        Ok(())
    }

    #[cfg(feature = "json-transport")]
    fn write_json(&self, _: &[Param], _: &mut JsonArguments) -> Result<()> {
        Ok(())
    }
}

impl<T: Serialize + ?Sized + 'static, R: SentArguments> SentArguments for (&T, R) {
    const COUNT: usize = 1 + R::COUNT;

    #[inline]
    fn write(&self, params: &[Param], encoder: &mut Encoder) -> Encoded {
        // The surface and the arguments come from the same trait.
        let Some((param, others)) = params.split_first() else { return Ok(()) };
        match travel::nil_level(self.0) {
            0 => {
                encoder.text(&param.name)?;
                encoder.value(&Sent(self.0))?;
            }
            level => {
                encoder.text(&format!("{}{NIL_LEVEL}", param.name))?;
                encoder.value(&level)?;
            }
        }
        self.1.write(others, encoder)
    }

    #[cfg(feature = "json-transport")]
    fn write_json(&self, params: &[Param], json: &mut JsonArguments) -> Result<()> {
        let Some((param, others)) = params.split_first() else { return Ok(()) };
        json.put(&param.name, self.0)?;
        self.1.write_json(others, json)
    }
}

/// The arguments of a call on the side of the server.
pub trait Arguments: Sized {
    /// The arguments that have been read.
    type Slots: Default;

    /// Reads the argument at `index`. There is an argument at `index`.
    ///
    /// # Errors
    /// Those of its type and of the deserializer.
    fn read<'de, D: Deserializer<'de>>(
        slots: &mut Self::Slots,
        index: usize,
        deserializer: D,
    ) -> Result<(), D::Error>;

    /// Whether the argument at `index` has been read.
    fn is_read(slots: &Self::Slots, index: usize) -> bool;

    /// The arguments, if all of them have been read.
    fn complete(slots: Self::Slots) -> Option<Self>;
}

impl Arguments for () {
    type Slots = ();

    fn read<'de, D: Deserializer<'de>>(_: &mut (), _: usize, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
    }

    fn is_read((): &(), _: usize) -> bool {
        true
    }

    fn complete((): ()) -> Option<Self> {
        Some(())
    }
}

impl<T: Wire, R: Arguments> Arguments for (T, R) {
    type Slots = (Option<T>, R::Slots);

    #[inline]
    fn read<'de, D: Deserializer<'de>>(
        slots: &mut Self::Slots,
        index: usize,
        deserializer: D,
    ) -> Result<(), D::Error> {
        match index.checked_sub(1) {
            None => {
                slots.0 = Some(Received::read(deserializer)?);
                Ok(())
            }
            Some(index) => R::read(&mut slots.1, index, deserializer),
        }
    }

    #[inline]
    fn is_read(slots: &Self::Slots, index: usize) -> bool {
        match index.checked_sub(1) {
            None => slots.0.is_some(),
            Some(index) => R::is_read(&slots.1, index),
        }
    }

    #[inline]
    fn complete((argument, rest): Self::Slots) -> Option<Self> {
        Some((argument?, R::complete(rest)?))
    }
}

/// Reads the arguments of the parameters `params`.
///
/// An unknown argument is ignored, and a missing one is `None` where its type is an option, so that clients
/// and servers of different versions interoperate.
///
/// # Errors
/// Those of the types and of the deserializer, and a missing argument.
pub(crate) fn read<'de, A: Arguments, D: Deserializer<'de>>(
    params: &[Param],
    deserializer: D,
) -> Result<A, D::Error> {
    // The names of fields are a hint for formats that do not describe themselves.
    deserializer.deserialize_struct("Arguments", &[], ArgumentsVisitor { params, list: PhantomData })
}

struct ArgumentsVisitor<'p, A> {
    params: &'p [Param],
    list: PhantomData<fn() -> A>,
}

impl<A: Arguments> ArgumentsVisitor<'_, A> {
    fn complete<E: serde::de::Error>(&self, mut slots: A::Slots) -> Result<A, E> {
        for (index, param) in self.params.iter().enumerate() {
            if !A::is_read(&slots, index) {
                A::read(&mut slots, index, Missing::new(&param.name))?;
            }
        }
        A::complete(slots).ok_or_else(|| E::custom("an argument is missing"))
    }
}

impl<'de, A: Arguments> Visitor<'de> for ArgumentsVisitor<'_, A> {
    type Value = A;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of arguments by name, or an array in the order of the parameters")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut arguments: M) -> Result<A, M::Error> {
        let mut slots = A::Slots::default();
        let mut expected = 0;
        while let Some(name) = arguments.next_key_seed(ArgumentName { params: self.params, expected })? {
            match name {
                ArgumentKey::Value(index) | ArgumentKey::NilLevel(index) if A::is_read(&slots, index) => {
                    return Err(M::Error::custom(format!("duplicate field `{}`", self.params[index].name)));
                }
                ArgumentKey::Value(index) => {
                    arguments.next_value_seed(Argument::<A> { slots: &mut slots, index })?;
                    expected = index + 1;
                }
                ArgumentKey::NilLevel(index) => {
                    A::read(&mut slots, index, Nil::received(arguments.next_value()?)?)?;
                    expected = index + 1;
                }
                ArgumentKey::Unknown => {
                    arguments.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.complete(slots)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut arguments: S) -> Result<A, S::Error> {
        let mut slots = A::Slots::default();
        for index in 0..self.params.len() {
            if arguments.next_element_seed(Argument::<A> { slots: &mut slots, index })?.is_none() {
                break;
            }
        }
        while arguments.next_element::<IgnoredAny>()?.is_some() {}
        self.complete(slots)
    }
}

/// What a key of the arguments stands for; the parameter by its index.
enum ArgumentKey {
    Value(usize),
    NilLevel(usize),
    Unknown,
}

/// Reads the key of an argument.
struct ArgumentName<'p> {
    params: &'p [Param],
    /// The index of the parameter that comes next, if the arguments are in order.
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for ArgumentName<'_> {
    type Value = ArgumentKey;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ArgumentKey, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for ArgumentName<'_> {
    type Value = ArgumentKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an argument")
    }

    fn visit_str<E>(self, name: &str) -> Result<ArgumentKey, E> {
        if self.params.get(self.expected).is_some_and(|param| param.name == name) {
            return Ok(ArgumentKey::Value(self.expected));
        }
        let index_of = |name: &str| self.params.iter().position(|param| param.name == name);
        let of_nil = || name.strip_suffix(NIL_LEVEL).and_then(index_of).map(ArgumentKey::NilLevel);
        Ok(index_of(name).map(ArgumentKey::Value).or_else(of_nil).unwrap_or(ArgumentKey::Unknown))
    }
}

/// Reads the argument at an index.
struct Argument<'s, A: Arguments> {
    slots: &'s mut A::Slots,
    index: usize,
}

impl<'de, A: Arguments> DeserializeSeed<'de> for Argument<'_, A> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        A::read(self.slots, self.index, deserializer)
    }
}

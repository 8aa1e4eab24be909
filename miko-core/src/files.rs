//! Files: content of any size beside the records, written and read piece by piece.

use std::fmt;
use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorId, Result};
use crate::mikobase::Mikobase;
use crate::timestamp::Timestamp;

/// How many bytes a piece of a file has at most: 1 MiB.
pub const MOST_BYTES: usize = 1 << 20;

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// The pk by which records name it.
    pub pk: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its media type, such as `image/png`.
    pub mime: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was put in.
    pub created_at: Timestamp,
}

/// Bytes: as they are on the wire, as base64 in JSON.
///
/// ```
/// use miko_core::Bytes;
///
/// assert_eq!(serde_json::to_string(&Bytes::from(vec![1, 2, 255])).unwrap(), r#""AQL/""#);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&to_base64(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            from_base64(&text).map(Self).map_err(D::Error::custom)
        } else {
            deserializer.deserialize_byte_buf(Raw).map(Self)
        }
    }
}

/// Bytes as a format has them.
struct Raw;

impl<'de> Visitor<'de> for Raw {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|fault| format!("this is no base64: {fault}"))
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// The chunk, counted from 0, as the file was put in.
    pub chunk: u64,
    /// The byte in the chunk.
    pub offset: u64,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its bytes, at most [`MOST_BYTES`].
    pub data: Bytes,
    /// Where the next piece begins; `None` after the last.
    pub next: Option<Position>,
}

/// The content of a file, read piece by piece. At its end it is compared with what was put in.
///
/// ```
/// use std::io::Read;
///
/// use miko_core::{MikobaseExt, SqliteEngine};
///
/// let db = SqliteEngine::in_memory()?;
/// let pk = db.put_file(&mut "make it so".as_bytes(), "text/plain")?;
/// let mut text = String::new();
/// db.file(&pk)?.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "make it so");
/// # Ok::<(), miko_core::Error>(())
/// ```
pub struct FileReader<'m, M: ?Sized> {
    db: &'m M,
    info: FileInfo,
    next: Option<Position>,
    data: Bytes,
    /// How many bytes of `data` have been read.
    read: usize,
    hasher: Sha256,
}

impl<M: ?Sized> fmt::Debug for FileReader<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("info", &self.info)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'m, M: Mikobase + ?Sized> FileReader<'m, M> {
    pub(crate) fn of(db: &'m M, info: FileInfo) -> Self {
        let (next, data) = (Some(Position::default()), Bytes::default());
        Self { db, info, next, data, read: 0, hasher: Sha256::new() }
    }

    /// What is known of the file.
    pub const fn info(&self) -> &FileInfo {
        &self.info
    }

    fn fetch(&mut self, at: Position) -> io::Result<()> {
        let piece = self.db.file_piece(&self.info.pk, at).map_err(io::Error::other)?;
        self.hasher.update(&*piece.data);
        (self.data, self.next, self.read) = (piece.data, piece.next, 0);
        if self.next.is_none() && hex(self.hasher.clone()) != self.info.sha256 {
            let message = format!("the content of the file {} is not what was put in", self.info.pk);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<M: Mikobase + ?Sized> Read for FileReader<'_, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.data.len()
            && let Some(at) = self.next
        {
            self.fetch(at)?;
        }
        let length = buffer.len().min(self.data.len() - self.read);
        buffer[..length].copy_from_slice(&self.data[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

/// Puts in what `reader` gives, and gives the pk of the file.
pub(crate) fn put(db: &(impl Mikobase + ?Sized), reader: &mut dyn Read, mime: &str) -> Result<String> {
    let pk = db.begin_file(mime)?;
    let put = put_chunks(db, &pk, reader).and_then(|()| db.end_file(&pk));
    if put.is_err() {
        // What was begun is worth nothing; if this fails as well, it is forgotten after some time.
        let _ = db.cancel_file(&pk);
    }
    put
}

fn put_chunks(db: &(impl Mikobase + ?Sized), pk: &str, reader: &mut dyn Read) -> Result<()> {
    in_pieces(reader, "the file", |index, data| db.put_chunk(pk, index, data))
}

/// Gives what is read from `what` to `put`, piece by piece, each with its number.
pub(crate) fn in_pieces(
    reader: &mut dyn Read,
    what: &str,
    mut put: impl FnMut(u64, Bytes) -> Result<()>,
) -> Result<()> {
    for index in 0.. {
        let mut piece = Vec::new();
        let read = reader.take(MOST_BYTES as u64).read_to_end(&mut piece);
        read.map_err(|fault| Error::new(ErrorId::INTERNAL, format!("{what} cannot be read: {fault}")))?;
        if piece.is_empty() {
            break;
        }
        put(index, piece.into())?;
    }
    Ok(())
}

pub(crate) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! Imports the files of a worldlet. The text has the metadata of the files under `files`, and the chunks
//! under `file_chunks`, in any order. Each chunk is stored when it is read. At the end of the import the
//! files are checked and completed.

use std::collections::{BTreeMap, HashMap, HashSet};

use data_encoding::HEXLOWER;
use miko_rpc::{ErrorId, ErrorItem, Result};
use sha2::{Digest, Sha256};

use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::files::WHOLE_CHUNK;
use crate::files::MAX_PIECE_SIZE;
use crate::storage::Storage;
use crate::storage::ids::FileId;
use crate::storage::row::FileRow;
use crate::timestamp::Timestamp;
use crate::worldlet::{Encoding, IncomingChunk, IncomingFile, WorldletFaults};

/// The files of an import.
#[derive(Debug, Default)]
pub(super) struct ImportedFiles {
    /// The files, in the order in which the text first names them.
    files: Vec<ImportedFile>,
    /// The index of each file in `files`, by pk.
    indexes: HashMap<String, usize>,
    /// The pks of the files of which the metadata or a chunk was refused. [`finish`](Self::finish) does not
    /// check these files.
    refused: HashSet<String>,
    /// Whether a chunk was refused that does not say to which file it belongs. If so,
    /// [`finish`](Self::finish) checks no file: any file may lack this chunk.
    has_refused_chunk_of_unknown_file: bool,
}

/// A file as far as the import has read it.
#[derive(Debug)]
struct ImportedFile {
    pk: String,
    id: FileId,
    /// The entry of the file under `files`, which has its metadata; `None` until the entry is read.
    entry: Option<IncomingFile>,
    /// The hash of the complete file with this pk that was stored before the import; `None` if there was
    /// none.
    stored_sha256: Option<String>,
    /// How many chunks of the file were read. Two chunks with the same index count twice.
    chunk_count: u64,
    /// The largest index of a chunk that was read; 0 if none was read.
    largest_index: u64,
    /// The index of each chunk that is marked as the last.
    last_indexes: Vec<u64>,
    /// The chunks that were stored as text: they came before the metadata, which name the encoding. The
    /// values are the JSON pointers of the chunks in the worldlet, by the indexes of the chunks. Of several
    /// chunks with the same index, the one that was read last is stored.
    undecoded: BTreeMap<u64, String>,
}

impl ImportedFiles {
    /// Keeps the metadata of a file until the end of the import. Refuses a second entry of a file.
    pub(super) fn file<T: Storage>(
        &mut self,
        store: &mut Store<T>,
        file: IncomingFile,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let imported = self.find_or_add(store, &file.pk)?;
        if imported.entry.is_some() {
            let files = Place::Key(&Place::Root, "files");
            problems.refuse(Place::Key(&files, &file.pk).fault("two files of the worldlet have this pk"));
            return Ok(());
        }
        imported.entry = Some(file);
        Ok(())
    }

    /// Notes that the metadata or a chunk of a file was refused. `pk` is the pk of the file; `None` if the
    /// chunk does not say to which file it belongs.
    pub(super) fn refuse(&mut self, pk: Option<String>) {
        match pk {
            Some(pk) => drop(self.refused.insert(pk)),
            None => self.has_refused_chunk_of_unknown_file = true,
        }
    }

    /// Stores a chunk, unless its file was stored before the import. If the metadata of the file were read
    /// before, the chunk is stored decoded. Otherwise it is stored as the text that the worldlet has.
    pub(super) fn chunk<T: Storage>(
        &mut self,
        store: &mut Store<T>,
        chunk: &IncomingChunk,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let file = self.find_or_add(store, &chunk.file)?;
        file.chunk_count += 1;
        file.largest_index = file.largest_index.max(chunk.index);
        if chunk.is_last {
            file.last_indexes.push(chunk.index);
        }
        // The file was stored before the import, with its chunks.
        if file.stored_sha256.is_some() {
            return Ok(());
        }
        let Some(entry) = &file.entry else {
            file.undecoded.insert(chunk.index, chunk.pointer.clone());
            return store.write_chunk(file.id, chunk.index, chunk.data.as_bytes());
        };
        match Encoding::of(&entry.mime).decode(&chunk.data) {
            Ok(data) => {
                // An earlier chunk with this index, which was stored as text, is overwritten.
                file.undecoded.remove(&chunk.index);
                store.write_chunk(file.id, chunk.index, &data)
            }
            Err(fault) => {
                self.refuse_chunk(&chunk.file, &chunk.pointer, fault, problems);
                Ok(())
            }
        }
    }

    /// Reports that the data of a chunk cannot be decoded. `pointer` is the place of the chunk.
    fn refuse_chunk(&mut self, file: &str, pointer: &str, fault: String, problems: &mut WorldletFaults) {
        let fault = ErrorItem::new(ErrorId::INVALID_WORLDLET, fault);
        problems.refuse(fault.with("pointer", format!("{pointer}/data")));
        self.refused.insert(file.to_owned());
    }

    /// Decodes the chunks that came before the metadata of their files, and stores them decoded.
    fn decode_stored_text<T: Storage>(
        &mut self,
        store: &mut Store<T>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        for file_index in 0..self.files.len() {
            let undecoded = std::mem::take(&mut self.files[file_index].undecoded);
            // A file without metadata is skipped here: `finish` refuses it.
            let ImportedFile { pk, id, entry: Some(entry), .. } = &self.files[file_index] else { continue };
            let (pk, id, encoding) = (pk.clone(), *id, Encoding::of(&entry.mime));
            for (index, pointer) in undecoded {
                let Some((data, _)) = store.storage.chunk(id, index, 0, WHOLE_CHUNK)? else {
                    continue;
                };
                // Nothing is lost: the stored bytes are the text of a JSON string, so they are UTF-8.
                match encoding.decode(&String::from_utf8_lossy(&data)) {
                    Ok(data) => store.write_chunk(id, index, &data)?,
                    Err(fault) => self.refuse_chunk(&pk, &pointer, fault, problems),
                }
            }
        }
        Ok(())
    }

    /// The file with this pk. If the text has not named it before, looks it up in storage. If storage lacks
    /// the file, adds a row without a hash, which [`finish`](Self::finish) completes.
    fn find_or_add<T: Storage>(&mut self, store: &mut Store<T>, pk: &str) -> Result<&mut ImportedFile> {
        if let Some(&file_index) = self.indexes.get(pk) {
            return Ok(&mut self.files[file_index]);
        }
        let (id, stored_sha256) = match store.storage.find_file(pk)? {
            Some((id, row)) => (id, row.sha256),
            None => {
                // No new record or file gets this pk.
                store.pks.skip(pk);
                let (mime, created_at) = ("null".to_owned(), Timestamp::FIRST);
                let row = FileRow { pk: pk.to_owned(), sha256: None, mime, size: 0, created_at };
                (store.write_file_row(None, row)?, None)
            }
        };
        let file_index = self.files.len();
        self.indexes.insert(pk.to_owned(), file_index);
        self.files.push(ImportedFile {
            pk: pk.to_owned(),
            id,
            entry: None,
            stored_sha256,
            chunk_count: 0,
            largest_index: 0,
            last_indexes: Vec::new(),
            undecoded: BTreeMap::new(),
        });
        Ok(&mut self.files[file_index])
    }

    /// Checks each file, and completes the row of each new file. `now` is the time of a file that states
    /// none.
    pub(super) fn finish<T: Storage>(
        mut self,
        store: &mut Store<T>,
        now: Timestamp,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        self.decode_stored_text(store, problems)?;
        let files = Place::Key(&Place::Root, "files");
        for file in self.files {
            let place = Place::Key(&files, &file.pk);
            if self.has_refused_chunk_of_unknown_file || self.refused.contains(&file.pk) {
                continue;
            }
            if let Some(fault) = file.find_fault() {
                problems.refuse(place.fault(fault));
                continue;
            }
            let Some(IncomingFile { pk, sha256, mime, created_at }) = file.entry else { continue };
            // The stored file stays as it is: `find_fault` has found that it has the same hash.
            if file.stored_sha256.is_some() {
                continue;
            }
            let StoredContent { chunk_count, size, sha256: found } = read_content(store, file.id)?;
            // `find_fault` has found that the number of read chunks fits the largest index. So if fewer
            // chunks are stored, one is missing, and another one came twice.
            if chunk_count != file.chunk_count {
                problems.refuse(place.fault(misplaced_chunk(file.chunk_count, file.largest_index)));
                continue;
            }
            if found != sha256 {
                let message = "the chunks of the file have another content than its `sha256` says";
                problems.refuse(place.fault(message).with("expected", sha256).with("found", found));
                continue;
            }
            let (mime, created_at) = (mime.to_string(), created_at.unwrap_or(now));
            let before = store.storage.find_file(&pk)?;
            store.write_file_row(before, FileRow { pk, sha256: Some(sha256), mime, size, created_at })?;
        }
        Ok(())
    }
}

impl ImportedFile {
    /// Finds a reason why the metadata and the chunks do not make a complete file. `None` if there is none,
    /// as far as can be known without reading the stored chunks.
    fn find_fault(&self) -> Option<String> {
        let Some(entry) = &self.entry else {
            return Some("`file_chunks` has chunks of this file, and `files` does not have it".to_owned());
        };
        if self.stored_sha256.as_ref().is_some_and(|stored| *stored != entry.sha256) {
            return Some("there is a file with this pk and other content, and files never change".to_owned());
        }
        match self.last_indexes[..] {
            // The worldlet may leave out the chunks of a file that is already stored.
            _ if self.chunk_count == 0 && self.stored_sha256.is_some() => None,
            _ if self.chunk_count == 0 => Some("the file has no chunk".to_owned()),
            // `chunk_count` is not 0 here. `last + 1` might overflow.
            [last] if last == self.largest_index && last == self.chunk_count - 1 => None,
            [_] => Some(misplaced_chunk(self.chunk_count, self.largest_index)),
            _ => {
                let marked = self.last_indexes.len();
                Some(format!("exactly one chunk of a file is marked `last`: here {marked} are"))
            }
        }
    }
}

/// The fault of a file that does not have exactly one chunk for each index, from 0 to the index of the chunk
/// that is marked as the last.
fn misplaced_chunk(chunk_count: u64, largest_index: u64) -> String {
    format!(
        "the file has {chunk_count} chunks, and their indexes go up to {largest_index}: a chunk is missing, \
         is there twice, or is behind the last"
    )
}

/// The stored content of a file: its chunks from index 0 up to the first missing one.
struct StoredContent {
    chunk_count: u64,
    /// The size of the chunks together, in bytes.
    size: u64,
    /// The hash of the chunks together.
    sha256: String,
}

/// Reads the stored chunks of a file.
fn read_content<T: Storage>(store: &Store<T>, file: FileId) -> Result<StoredContent> {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    // The index of the chunk that is being read, and the offset up to which it was read.
    let (mut index, mut offset) = (0, 0);
    while let Some((data, length)) = store.storage.chunk(file, index, offset, MAX_PIECE_SIZE)? {
        hasher.update(&data);
        (size, offset) = (size + data.len() as u64, offset + data.len() as u64);
        if offset >= length {
            (index, offset) = (index + 1, 0);
        }
    }
    Ok(StoredContent { chunk_count: index, size, sha256: HEXLOWER.encode(&hasher.finalize()) })
}

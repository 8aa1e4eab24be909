//! Files: written chunk by chunk, immutable from their end on, each content once.
//!
//! What is being written has a row and chunks, and a place in [`Uploads`], which has its hash so far. A chunk
//! may come twice, as a call may be made again: so the hash before the last one is kept as well.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use miko_rpc::{Bytes, Error, ErrorId, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::engine::store::Store;
use crate::engine::store::chunk_order::ChunkOrder;
use crate::engine::store::transaction::CommitSharing;

use crate::files::{FileInfo, MAX_PIECE_SIZE, Piece, Position};
use crate::storage::ids::{CommitSeq, FileId, RowId};
use crate::storage::row::FileRow;
use crate::storage::write_set::{OtherChanges, RowChange};
use crate::storage::{Storage, corruption, each_file, versions};
use crate::timestamp::Timestamp;

/// A file that nobody goes on writing for so long is forgotten.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The files that are being written.
#[derive(Debug, Default)]
pub(super) struct Uploads(HashMap<String, Upload>);

#[derive(Debug)]
struct Upload {
    /// How many chunks have come.
    chunks: u64,
    now: Written,
    /// What there was before the last chunk.
    before: Written,
    touched: Instant,
}

/// What has been written of a file.
#[derive(Debug, Clone, Default)]
struct Written {
    hasher: Sha256,
    size: u64,
}

impl<T: Storage> Store<T> {
    /// Begins a file and gives the pk that it will have.
    pub(in crate::engine) fn begin_file(&mut self, mime: &str) -> Result<String> {
        self.forget_abandoned_files()?;
        let now = Timestamp::now().for_write()?;
        let pk = self.pks.next(now);
        let row = FileRow {
            pk: pk.clone(),
            sha256: None,
            mime: json!({"type": mime, "encoding": "base64"}),
            size: 0,
            created_at: now,
        };
        self.write(CommitSharing::Separate, |store| store.write_file(None, row).map(drop))?;
        let upload = Upload {
            chunks: 0,
            now: Written::default(),
            before: Written::default(),
            touched: Instant::now(),
        };
        self.uploads.0.insert(pk.clone(), upload);
        Ok(pk)
    }

    /// Writes the next chunk of a file, or the last one again.
    pub(in crate::engine) fn put_chunk(&mut self, pk: &str, index: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() || data.len() > MAX_PIECE_SIZE {
            let message = format!("a chunk has between 1 and {MAX_PIECE_SIZE} bytes");
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", data.len()));
        }
        // A file that has ended never changes.
        let Some((file, FileRow { sha256: None, .. })) = self.storage.find_file(pk)? else {
            return Err(not_being_written(pk));
        };
        let upload = self.uploads.0.get(pk).ok_or_else(|| not_being_written(pk))?;
        let before = match ChunkOrder::of(index, upload.chunks, "chunks come one after another")? {
            ChunkOrder::Next => upload.now.clone(),
            ChunkOrder::Retry => upload.before.clone(),
        };
        let mut now = before.clone();
        now.hasher.update(data);
        now.size += data.len() as u64;
        self.write(CommitSharing::Separate, |store| store.write_chunk(file, index, data))?;
        let upload = Upload { chunks: index + 1, now, before, touched: Instant::now() };
        self.uploads.0.insert(pk.to_owned(), upload);
        Ok(())
    }

    /// Ends a file: from now on it is there. Gives the pk of the one that has this content, which may be
    /// another.
    pub(in crate::engine) fn end_file(&mut self, pk: &str) -> Result<String> {
        let upload = self.uploads.0.get_mut(pk).ok_or_else(|| not_being_written(pk))?;
        upload.touched = Instant::now();
        let (chunks, Written { hasher, size }) = (upload.chunks, upload.now.clone());
        let sha256 = HEXLOWER.encode(&hasher.finalize());
        self.write(CommitSharing::Separate, |store| {
            if let Some((_, same)) = store.storage.file_with(&sha256)? {
                if same.pk != pk
                    && let Some((file, row)) = store.storage.find_file(pk)?
                {
                    store.remove_file(file, row)?;
                }
                return Ok(same.pk);
            }
            let (file, row) = store.storage.find_file(pk)?.ok_or_else(|| not_being_written(pk))?;
            if chunks == 0 {
                store.write_chunk(file, 0, &[])?;
            }
            let complete = FileRow { sha256: Some(sha256), size, ..row.clone() };
            store.write_file(Some((file, row)), complete)?;
            Ok(pk.to_owned())
        })
    }

    /// Forgets a file that is being written.
    pub(in crate::engine) fn cancel_file(&mut self, pk: &str) -> Result<()> {
        self.write(CommitSharing::Separate, |store| match store.storage.find_file(pk)? {
            Some((file, row)) if row.sha256.is_none() => store.remove_file(file, row),
            _ => Ok(()),
        })?;
        self.uploads.0.remove(pk);
        Ok(())
    }

    fn forget_abandoned_files(&mut self) -> Result<()> {
        let is_abandoned = |(_, upload): &(&String, &Upload)| upload.touched.elapsed() > PATIENCE;
        let abandoned: Vec<String> =
            self.uploads.0.iter().filter(is_abandoned).map(|(pk, _)| pk.clone()).collect();
        abandoned.iter().try_for_each(|pk| self.cancel_file(pk))
    }

    /// Removes what was being written when the database was left.
    pub(super) fn remove_unfinished_files(&mut self) -> Result<()> {
        let mut unfinished = Vec::new();
        each_file(&self.storage, |file, row| {
            if row.sha256.is_none() {
                unfinished.push((file, row));
            }
        })?;
        if unfinished.is_empty() {
            return Ok(());
        }
        self.write(CommitSharing::Separate, |store| {
            unfinished.into_iter().try_for_each(|(file, row)| store.remove_file(file, row))
        })
    }

    pub(in crate::engine) fn file_info(&self, pk: &str) -> Result<FileInfo> {
        match self.storage.find_file(pk)? {
            Some((_, FileRow { pk, sha256: Some(sha256), mime, size, created_at })) => {
                let mime = mime.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(FileInfo { pk, sha256, mime, size, created_at })
            }
            _ => Err(not_found(pk)),
        }
    }

    pub(in crate::engine) fn file_piece(&self, pk: &str, at: Position) -> Result<Piece> {
        let Some((file, FileRow { sha256: Some(_), .. })) = self.storage.find_file(pk)? else {
            return Err(not_found(pk));
        };
        let part = self.storage.chunk(file, at.chunk, at.offset, MAX_PIECE_SIZE)?;
        let Some((data, length)) = part.filter(|(_, length)| at.offset <= *length) else {
            let message = "the file has no such place";
            let place = json!({"chunk": at.chunk, "offset": at.offset});
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pk", pk).with("found", place));
        };
        let offset = at.offset + data.len() as u64;
        let next = if offset < length {
            Some(Position { offset, ..at })
        } else {
            let next = Position { chunk: at.chunk + 1, offset: 0 };
            self.storage.chunk(file, next.chunk, 0, 0)?.map(|_| next)
        };
        Ok(Piece { data: Bytes::from(data), next })
    }

    /// Deletes a file that no field of a record names.
    pub(in crate::engine) fn delete_file(&mut self, pk: &str) -> Result<()> {
        let found = self.storage.find_file(pk)?.filter(|(_, row)| row.sha256.is_some());
        let Some((file, row)) = found else { return Err(not_found(pk)) };
        self.end_exports();
        self.write(CommitSharing::Separate, |store| {
            let restricting_references = store.restricting_references(pk)?;
            if restricting_references.is_empty() {
                return store.remove_file(file, row);
            }
            let message = "the file cannot be deleted while records name it";
            Err(Error::new(ErrorId::REFERENCE_RESTRICTED, message)
                .with("pk", pk)
                .with("pointed_at_by", restricting_references))
        })
    }

    /// Deletes the files whose pks stand nowhere: in no record, and in no version of one. Gives their pks.
    pub(in crate::engine) fn collect_files(&mut self) -> Result<Vec<String>> {
        let mut unnamed = HashSet::new();
        let mut in_order = Vec::new();
        each_file(&self.storage, |file, row| {
            if row.sha256.is_some() {
                unnamed.insert(row.pk.clone());
                in_order.push((file, row));
            }
        })?;
        let mut last = RowId::default();
        while !unnamed.is_empty()
            && let Some((id, row)) = self.storage.next_row(last, CommitSeq::default())?
        {
            last = id;
            let versions = if self.is_temporal { versions(&self.storage, id)? } else { vec![row] };
            for state in versions.iter().filter_map(|version| version.state.as_ref()) {
                let texts = [Some(&state.bucket), Some(&state.stack), state.extras.as_ref()];
                for text in texts.into_iter().flatten() {
                    let value = crate::json::from_text(text).map_err(corruption)?;
                    each_string(&value, &mut |string| {
                        unnamed.remove(string);
                    });
                }
            }
        }
        in_order.retain(|(_, row)| unnamed.contains(&row.pk));
        let removed = in_order.iter().map(|(_, row)| row.pk.clone()).collect();
        if !in_order.is_empty() {
            self.end_exports();
            self.write(CommitSharing::Separate, |store| {
                in_order.into_iter().try_for_each(|(file, row)| store.remove_file(file, row))
            })?;
        }
        Ok(removed)
    }

    /// Adds a file, or replaces what is known of one. Returns its number.
    pub(super) fn write_file(&mut self, before: Option<(FileId, FileRow)>, after: FileRow) -> Result<FileId> {
        let change = match before {
            Some((id, before)) => RowChange::replace(id, before, after),
            None => {
                let id = self.next_numbers(|last| last.file = last.file.next()).file;
                RowChange::insert(id, after)
            }
        };
        let id = change.key;
        self.apply(OtherChanges { files: vec![change], ..OtherChanges::default() }.into())?;
        Ok(id)
    }

    /// Removes a file and its chunks.
    fn remove_file(&mut self, id: FileId, row: FileRow) -> Result<()> {
        let files = vec![RowChange::remove(id, row)];
        self.apply(OtherChanges { files, removed_chunks: vec![id], ..OtherChanges::default() }.into())
            .map(drop)
    }

    /// Writes a chunk, over one with the same index.
    pub(super) fn write_chunk(&mut self, file: FileId, index: u64, data: &[u8]) -> Result<()> {
        let before = self.storage.chunk(file, index, 0, WHOLE)?.map(|(data, _)| data);
        let change = RowChange { key: (file, index), before, after: Some(data.to_vec()) };
        self.apply(OtherChanges { chunks: vec![change], ..OtherChanges::default() }.into()).map(drop)
    }
}

/// No chunk has as many bytes.
pub(super) const WHOLE: usize = usize::MAX >> 1;

fn each_string(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(string) => see(string),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, see)),
        Value::Object(members) => members.values().for_each(|member| each_string(member, see)),
        _ => {}
    }
}

fn not_found(pk: &str) -> Error {
    Error::new(ErrorId::FILE_NOT_FOUND, "no file has this pk").with("pk", pk)
}

fn not_being_written(pk: &str) -> Error {
    Error::new(ErrorId::FILE_NOT_FOUND, "no file with this pk is being written").with("pk", pk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::storage::naive::{Fault, NaiveStorage};

    #[test]
    fn a_chunk_that_could_not_be_written_may_be_sent_again_or_left_out() {
        let mut store = Store::on(NaiveStorage::new(false), Mode::ReadWrite).unwrap();
        for (sent_again, content) in [(true, "onetwo"), (false, "one")] {
            let file = store.begin_file("text/plain").unwrap();
            store.put_chunk(&file, 0, b"one").unwrap();
            store.storage.apply_faults.push_back(Some(Fault::Incomplete));
            store.put_chunk(&file, 1, b"two").unwrap_err();
            if sent_again {
                store.put_chunk(&file, 1, b"two").unwrap();
            }
            let pk = store.end_file(&file).unwrap();
            let info = store.file_info(&pk).unwrap();
            assert_eq!(info.size, content.len() as u64);
            assert_eq!(info.sha256, HEXLOWER.encode(&Sha256::digest(content)));
        }
    }
}

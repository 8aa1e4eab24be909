//! Files: written chunk by chunk, immutable once they are complete. If there is a file with the content of an
//! upload already, the upload adds no file. An import adds each file of the worldlet under the pk that it has
//! there.
//!
//! A file that is being written is stored as a row without a hash, and the chunks so far. The hash of these
//! chunks is only in the [`UnfinishedFile`] of the upload. An unfinished file whose upload was dropped is
//! *abandoned*: it is discarded at once, or when the open transaction has ended.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::engine::store::Store;
use crate::engine::store::stored_json::stored_mime;
use crate::engine::store::transaction::CommitSharing;
use crate::files::{FileInfo, MAX_PIECE_SIZE};
use crate::storage::ids::{CommitSeq, FileId, RowId};
use crate::storage::row::FileRow;
use crate::storage::write_set::{OtherChanges, RowChange};
use crate::storage::{Storage, corruption, each_file, versions};
use crate::timestamp::Timestamp;

/// A file that is being written: the part of its state that is not stored.
#[derive(Debug, Clone)]
pub(in crate::engine) struct UnfinishedFile {
    /// The pk that the file will have, unless another file has the same content.
    pk: String,
    /// How many chunks were written.
    chunk_count: u64,
    /// Has hashed the bytes that were written so far.
    hasher: Sha256,
    /// The number of written bytes.
    size: u64,
}

/// A position in a file, from which a reader continues.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::engine) struct Position {
    /// The index of the stored chunk, from 0.
    chunk: u64,
    /// The offset in the chunk, in bytes.
    offset: u64,
}

/// Refuses a piece of a file that is larger than [`MAX_PIECE_SIZE`].
pub(in crate::engine) fn check_piece(data: &[u8]) -> Result<()> {
    if data.len() <= MAX_PIECE_SIZE {
        return Ok(());
    }
    let message = format!("a piece of a file has at most {MAX_PIECE_SIZE} bytes");
    Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", data.len()))
}

impl<T: Storage> Store<T> {
    /// Begins a file of this MIME type.
    pub(in crate::engine) fn begin_file(&mut self, mime: &str) -> Result<UnfinishedFile> {
        self.discard_abandoned_files();
        let now = Timestamp::now().within_rfc3339_years()?;
        let pk = self.pks.next(now);
        let row = FileRow {
            pk: pk.clone(),
            sha256: None,
            // `encoding` says how an export writes the chunks into a worldlet. The stored chunks are bytes.
            mime: json!({"type": mime, "encoding": "base64"}).to_string(),
            size: 0,
            created_at: now,
        };
        self.write(CommitSharing::Separate, |store| store.write_file_row(None, row).map(drop))?;
        Ok(UnfinishedFile { pk, chunk_count: 0, hasher: Sha256::new(), size: 0 })
    }

    /// Appends a piece to a file, as one chunk. An empty piece adds no chunk. If appending fails, the file is
    /// unchanged.
    ///
    /// # Errors
    /// `invalid_request`, if the piece is too large; the errors of a write.
    pub(in crate::engine) fn append_to_file(&mut self, file: &mut UnfinishedFile, data: &[u8]) -> Result<()> {
        check_piece(data)?;
        if data.is_empty() {
            return Ok(());
        }
        self.write(CommitSharing::Separate, |store| {
            let (id, _) = store.find_unfinished(&file.pk)?;
            store.write_chunk(id, file.chunk_count, data)
        })?;
        file.hasher.update(data);
        file.size += data.len() as u64;
        file.chunk_count += 1;
        Ok(())
    }

    /// Completes a file: from now on it can be read. If there is a file with the same content, discards the
    /// new file instead. Returns the pk of the file that remains.
    pub(in crate::engine) fn end_file(&mut self, file: &UnfinishedFile) -> Result<String> {
        let sha256 = HEXLOWER.encode(&file.hasher.clone().finalize());
        self.write(CommitSharing::Separate, |store| {
            let (id, row) = store.find_unfinished(&file.pk)?;
            if let Some((_, existing)) = store.storage.find_file_by_sha256(&sha256)? {
                store.remove_file(id, row)?;
                return Ok(existing.pk);
            }
            // A complete file has at least one chunk, which may be empty.
            if file.chunk_count == 0 {
                store.write_chunk(id, 0, &[])?;
            }
            let complete = FileRow { sha256: Some(sha256), size: file.size, ..row.clone() };
            store.write_file_row(Some((id, row)), complete)?;
            Ok(file.pk.clone())
        })
    }

    /// Discards a file that was not completed.
    ///
    /// While a transaction is open, the file stays: it is discarded when the transaction ends. If discarding
    /// fails, as in a group of calls that has failed, it is tried again when a transaction ends, or when the
    /// next file is begun or discarded. Until the file is discarded, its pk is in `abandoned_files`.
    pub(in crate::engine) fn discard_file(&mut self, file: &UnfinishedFile) {
        self.abandoned_files.push(file.pk.clone());
        self.discard_abandoned_files();
    }

    /// Discards the abandoned files, unless a transaction is open.
    pub(super) fn discard_abandoned_files(&mut self) {
        if self.has_open_transaction() {
            // The transaction has the turn to write. The files are discarded at its end.
            return;
        }
        while let Some(pk) = self.abandoned_files.pop() {
            let discarded = self.write(CommitSharing::Separate, |store| match store.find_unfinished(&pk) {
                Ok((id, row)) => store.remove_file(id, row),
                // The file was discarded already.
                Err(error) if error.is(ErrorId::FILE_NOT_FOUND) => Ok(()),
                Err(error) => Err(error),
            });
            if discarded.is_err() {
                return self.abandoned_files.push(pk);
            }
        }
    }

    /// The id and the row of a file that is being written.
    ///
    /// # Errors
    /// `file-not-found`, if there is no such file, or if it is complete.
    fn find_unfinished(&self, pk: &str) -> Result<(FileId, FileRow)> {
        let found = self.storage.find_file(pk)?.filter(|(_, row)| row.sha256.is_none());
        found.ok_or_else(|| not_found(pk))
    }

    /// Called when the database is opened. Removes the unfinished files: their uploads ended when the
    /// database was last closed, or with the process that had it open.
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

    /// What is known about a complete file, without its content.
    ///
    /// # Errors
    /// `file-not-found`.
    pub(in crate::engine) fn file_info(&self, pk: &str) -> Result<FileInfo> {
        match self.storage.find_file(pk)? {
            Some((_, FileRow { pk, sha256: Some(sha256), mime, size, created_at })) => {
                let (mime, _) = stored_mime(&mime)?;
                Ok(FileInfo { pk, sha256, mime, size, created_at })
            }
            _ => Err(not_found(pk)),
        }
    }

    /// Reads at most `max` bytes of a complete file from a position. Returns the bytes, and the position
    /// after them; `None` at the end of the file. All bytes are from one chunk: there may be fewer than `max`
    /// although the file goes on.
    ///
    /// # Errors
    /// `file-not-found`.
    pub(in crate::engine) fn file_piece(
        &self,
        pk: &str,
        at: Position,
        max: usize,
    ) -> Result<Option<(Vec<u8>, Position)>> {
        let Some((file, FileRow { sha256: Some(_), .. })) = self.storage.find_file(pk)? else {
            return Err(not_found(pk));
        };
        let Some((data, chunk_length)) = self.storage.chunk(file, at.chunk, at.offset, max)? else {
            return Ok(None);
        };
        let offset = at.offset + data.len() as u64;
        let ends_chunk = offset >= chunk_length;
        let next =
            if ends_chunk { Position { chunk: at.chunk + 1, offset: 0 } } else { Position { offset, ..at } };
        Ok(Some((data, next)))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a restricting reference of a record points at the file;
    /// `action-not-supported`, if the store only appends.
    pub(in crate::engine) fn delete_file(&mut self, pk: &str) -> Result<()> {
        self.check_may_change("delete_file")?;
        let found = self.storage.find_file(pk)?.filter(|(_, row)| row.sha256.is_some());
        let Some((file, row)) = found else { return Err(not_found(pk)) };
        self.write(CommitSharing::Separate, |store| {
            let restricting_references = store.restricting_references(pk)?;
            if restricting_references.is_empty() {
                store.remove_file(file, row)?;
                // An open export may still have to read the chunks, and files have no pre-images.
                store.streams.close_exports();
                return Ok(());
            }
            let message = "the file cannot be deleted while records name it";
            Err(Error::new(ErrorId::REFERENCE_RESTRICTED, message)
                .with("pk", pk)
                .with("pointed_at_by", restricting_references))
        })
    }

    /// Deletes the files that no record and no version names: none has the pk of the file as a string value,
    /// at any depth. Returns the pks of the deleted files.
    ///
    /// # Errors
    /// `action-not-supported`, if the store only appends; the errors of storage.
    pub(in crate::engine) fn collect_files(&mut self) -> Result<Vec<String>> {
        self.check_may_change("collect_files")?;
        // The pks of the complete files. Each pk that a record names is removed when the record is read.
        let mut unnamed = HashSet::new();
        // All complete files.
        let mut files = Vec::new();
        each_file(&self.storage, |file, row| {
            if row.sha256.is_some() {
                unnamed.insert(row.pk.clone());
                files.push((file, row));
            }
        })?;
        let mut last = RowId::default();
        // Rows with any commit number: all are larger than the default.
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
        files.retain(|(_, row)| unnamed.contains(&row.pk));
        let removed = files.iter().map(|(_, row)| row.pk.clone()).collect();
        if !files.is_empty() {
            self.write(CommitSharing::Separate, |store| {
                files.into_iter().try_for_each(|(file, row)| store.remove_file(file, row))?;
                store.streams.close_exports();
                Ok(())
            })?;
        }
        Ok(removed)
    }

    /// Writes the row of a file: replaces the row `before`, or inserts a new row if that is `None`. Returns
    /// the id of the file.
    pub(super) fn write_file_row(
        &mut self,
        before: Option<(FileId, FileRow)>,
        after: FileRow,
    ) -> Result<FileId> {
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

    /// Writes a chunk. Replaces a chunk with the same index.
    pub(super) fn write_chunk(&mut self, file: FileId, index: u64, data: &[u8]) -> Result<()> {
        // Read for the write set: its inverse restores a replaced chunk.
        let before = self.storage.chunk(file, index, 0, WHOLE_CHUNK)?.map(|(data, _)| data);
        let change = RowChange { key: (file, index), before, after: Some(data.to_vec()) };
        self.apply(OtherChanges { chunks: vec![change], ..OtherChanges::default() }.into()).map(drop)
    }
}

/// The `max` with which a whole chunk is read: more bytes than any chunk has, and in the range of `i64`.
pub(super) const WHOLE_CHUNK: usize = usize::MAX >> 1;

/// Calls `visit` with each string in a value, at any depth.
fn each_string(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(string) => visit(string),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, visit)),
        Value::Object(members) => members.values().for_each(|member| each_string(member, visit)),
        _ => {}
    }
}

fn not_found(pk: &str) -> Error {
    Error::new(ErrorId::FILE_NOT_FOUND, "no file has this pk").with("pk", pk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::storage::naive::{InjectedFailure, NaiveStorage};

    #[test]
    fn a_piece_that_could_not_be_written_may_be_sent_again_or_left_out() {
        let mut store = Store::on(NaiveStorage::new(false), Mode::ReadWrite).unwrap();
        for (sent_again, content) in [(true, "onetwo"), (false, "one")] {
            let mut file = store.begin_file("text/plain").unwrap();
            store.append_to_file(&mut file, b"one").unwrap();
            store.storage.apply_failures.push_back(Some(InjectedFailure::Incomplete));
            store.append_to_file(&mut file, b"two").unwrap_err();
            if sent_again {
                store.append_to_file(&mut file, b"two").unwrap();
            }
            let pk = store.end_file(&file).unwrap();
            let info = store.file_info(&pk).unwrap();
            assert_eq!(info.size, content.len() as u64);
            assert_eq!(info.sha256, HEXLOWER.encode(&Sha256::digest(content)));
        }
    }
}

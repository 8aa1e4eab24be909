//! The whole state as a worldlet, streamed.

use std::io::{self, Write};

use serde_json::Value;

use crate::engine::tables::{FileRow, Row, Shown, State, Tables};
use crate::error::{Error, ErrorId, Result};
use crate::files::to_base64;
use crate::worldlet::{FORMAT, KEPT, bare_value};

/// Writes the worldlet: one record per line, in order of creation, so that two exports can be compared line by line.
pub(in crate::engine) fn write(tables: &impl Tables, writer: &mut dyn Write) -> Result<()> {
    writer.write_all(head(tables)?.as_bytes()).map_err(not_written)?;
    let mut lines = Lines { writer, any: false };
    if tables.is_temporal() {
        each_row(tables, |_, row| lines.stub(&row))?;
        lines.end_of_object()?;
        lines.writer.write_all(br#","history":{"#).map_err(not_written)?;
        each_row(tables, |seq, _| {
            tables.versions(seq)?.iter().try_for_each(|version| lines.version(version))
        })?;
    } else {
        tables.show_all(&mut |record| lines.record(&record))?;
    }
    lines.end_of_object()?;
    write_files(tables, &mut lines)?;
    lines.writer.write_all(b"}").map_err(not_written)
}

/// Files, and after them the chunks of all, if there are any.
fn write_files(tables: &impl Tables, lines: &mut Lines<'_>) -> Result<()> {
    let mut any = false;
    each_file(tables, |_, file, sha256| {
        if !std::mem::replace(&mut any, true) {
            lines.writer.write_all(br#","files":{"#).map_err(not_written)?;
        }
        lines.file(file, sha256)
    })?;
    if !any {
        return Ok(());
    }
    lines.end_of_object()?;
    lines.writer.write_all(br#","file_chunks":{"#).map_err(not_written)?;
    each_file(tables, |number, file, _| {
        let mut index = 0;
        let mut next = tables.chunk(number, index, 0, usize::MAX >> 1)?;
        while let Some((data, _)) = next {
            next = tables.chunk(number, index + 1, 0, usize::MAX >> 1)?;
            lines.chunk(file, index, next.is_none(), &data)?;
            index += 1;
        }
        Ok(())
    })?;
    lines.end_of_object()
}

/// Shows each file that was written to its end, with its number and its hash.
fn each_file(tables: &impl Tables, mut show: impl FnMut(i64, &FileRow, &str) -> Result<()>) -> Result<()> {
    let mut last = 0;
    while let Some((number, file)) = tables.next_file(last)? {
        last = number;
        if let Some(sha256) = &file.sha256 {
            show(number, &file, sha256)?;
        }
    }
    Ok(())
}

fn each_row(tables: &impl Tables, mut show: impl FnMut(i64, Row) -> Result<()>) -> Result<()> {
    let mut last = 0;
    while let Some((seq, row)) = tables.next_row(last, 0)? {
        last = seq;
        show(seq, row)?;
    }
    Ok(())
}

/// All that stands before the records.
fn head(tables: &impl Tables) -> Result<String> {
    let executable = tables.kept("executable")?.unwrap_or(Value::Bool(false));
    let temporal = tables.is_temporal();
    let mut head =
        format!(r#"{{"format":"{FORMAT}","properties":{{"temporal":{temporal},"executable":{executable}}}"#);
    for key in KEPT {
        if let Some(value) = tables.kept(key)? {
            head.push_str(&format!(r#","{key}":{value}"#));
        }
    }
    head.push_str(r#","records":{"#);
    Ok(head)
}

/// The entries of an object, one per line.
struct Lines<'w> {
    writer: &'w mut dyn Write,
    /// Has it any so far?
    any: bool,
}

impl Lines<'_> {
    fn record(&mut self, record: &Shown<'_>) -> Result<()> {
        self.key(record.pk)?;
        let bare = bare_value(record.bucket, record.stack).filter(|_| record.extras.is_none());
        let writer = &mut *self.writer;
        let written = match bare {
            Some(value) => writer.write_all(value.as_bytes()),
            None => write!(writer, r#"{{"bucket":{},"stack":{}"#, record.bucket, record.stack)
                .and_then(|()| write_extras(record.extras, writer))
                .and_then(|()| {
                    let (created_at, updated_at) = (record.created_at, record.updated_at);
                    write!(writer, r#","created_at":"{created_at}","updated_at":"{updated_at}"}}"#)
                }),
        };
        written.map_err(not_written)
    }

    /// That there is a record, whose versions are in the history.
    fn stub(&mut self, row: &Row) -> Result<()> {
        self.key(&row.pk)?;
        write!(self.writer, r#"{{"created_at":"{}"}}"#, row.created_at).map_err(not_written)
    }

    fn version(&mut self, version: &Row) -> Result<()> {
        self.key(version.instance.as_deref().unwrap_or_default())?;
        let writer = &mut *self.writer;
        let identity = Value::from(version.pk.as_str());
        let (time, active) = (version.updated_at, version.state.is_some());
        let head = write!(writer, r#"{{"identity":{identity},"timestamp":"{time}","active":{active}"#);
        let state = head.and_then(|()| match &version.state {
            Some(State { bucket, stack, extras }) => {
                write!(writer, r#","bucket":{bucket},"stack":{stack}"#)?;
                write_extras(extras.as_deref(), writer)
            }
            None => Ok(()),
        });
        state.and_then(|()| writer.write_all(b"}")).map_err(not_written)
    }

    fn file(&mut self, file: &FileRow, sha256: &str) -> Result<()> {
        self.key(&file.pk)?;
        let (mime, time) = (&file.mime, file.created_at);
        write!(self.writer, r#"{{"sha256":"{sha256}","mime":{mime},"created_at":"{time}"}}"#)
            .map_err(not_written)
    }

    fn chunk(&mut self, file: &FileRow, index: u64, is_last: bool, data: &[u8]) -> Result<()> {
        self.key(&format!("{}/{index}", file.pk))?;
        let pk = Value::from(file.pk.as_str());
        let head = write!(self.writer, r#"{{"file":{pk},"index":{index},"last":{is_last},"data":""#);
        head.and_then(|()| write!(self.writer, r#"{}"}}"#, to_base64(data))).map_err(not_written)
    }

    fn key(&mut self, key: &str) -> Result<()> {
        let separator = if self.any { ",\n" } else { "\n" };
        self.any = true;
        write!(self.writer, "{separator}{}:", Value::from(key)).map_err(not_written)
    }

    fn end_of_object(&mut self) -> Result<()> {
        let end: &[u8] = if self.any { b"\n}" } else { b"}" };
        self.any = false;
        self.writer.write_all(end).map_err(not_written)
    }
}

/// Writes the keys of extras beside others.
fn write_extras(extras: Option<&str>, writer: &mut dyn Write) -> io::Result<()> {
    match extras.and_then(|extras| extras.strip_prefix('{')?.strip_suffix('}')) {
        Some(members) => write!(writer, ",{members}"),
        None => Ok(()),
    }
}

fn not_written(fault: io::Error) -> Error {
    let id = match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorId::STORAGE_FULL,
        _ => ErrorId::INTERNAL,
    };
    Error::new(id, format!("the worldlet could not be written: {fault}"))
}

//! The whole state as a worldlet, streamed.

use std::io::{self, Write};

use rusqlite::Row;
use serde_json::Value;

use crate::engine::sqlite::read::select_record;
use crate::engine::sqlite::store::Store;
use crate::error::{Error, ErrorId, Result};
use crate::timestamp::Timestamp;
use crate::worldlet::{FORMAT, KEPT, bare_value};

impl Store {
    /// One record per line, in order of creation, so that two exports can be compared line by line.
    pub(super) fn export_worldlet(&self, writer: &mut dyn Write) -> Result<()> {
        const SQL: &str = select_record!("FROM record WHERE bucket IS NOT NULL ORDER BY seq");
        writer.write_all(self.head()?.as_bytes()).map_err(not_written)?;
        let mut statement = self.connection.prepare_cached(SQL)?;
        let mut rows = statement.query([])?;
        let mut separator = "\n";
        while let Some(row) = rows.next()? {
            let line = Line::of(row)?;
            line.write(separator, writer).map_err(not_written)?;
            separator = ",\n";
        }
        let end = if separator == "\n" { "}}" } else { "\n}}" };
        writer.write_all(end.as_bytes()).map_err(not_written)
    }
}

impl Store {
    /// All that stands before the records.
    fn head(&self) -> Result<String> {
        let executable = self.kept("executable")?.unwrap_or(Value::Bool(false));
        let mut head =
            format!(r#"{{"format":"{FORMAT}","properties":{{"temporal":false,"executable":{executable}}}"#);
        for key in KEPT {
            if let Some(value) = self.kept(key)? {
                head.push_str(&format!(r#","{key}":{value}"#));
            }
        }
        head.push_str(r#","records":{"#);
        Ok(head)
    }
}

/// A record as it lies in SQLite's memory: it is written from there.
struct Line<'r> {
    pk: &'r str,
    bucket: &'r str,
    stack: &'r str,
    extras: Option<&'r str>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'r> Line<'r> {
    fn of(row: &'r Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            pk: row.get_ref(0)?.as_str()?,
            bucket: row.get_ref(1)?.as_str()?,
            stack: row.get_ref(2)?.as_str()?,
            extras: row.get_ref(3)?.as_str_or_null()?,
            created_at: Timestamp::from_millis(row.get(4)?),
            updated_at: Timestamp::from_millis(row.get(5)?),
        })
    }

    fn write(&self, separator: &str, mut writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut writer, self.pk)?;
        if let Some(value) = bare_value(self.bucket, self.stack).filter(|_| self.extras.is_none()) {
            return write!(writer, ":{value}");
        }
        write!(writer, r#":{{"bucket":{},"stack":{}"#, self.bucket, self.stack)?;
        if let Some(members) = self.extras.and_then(|extras| extras.strip_prefix('{')?.strip_suffix('}')) {
            write!(writer, ",{members}")?;
        }
        write!(writer, r#","created_at":"{}","updated_at":"{}"}}"#, self.created_at, self.updated_at)
    }
}

fn not_written(fault: io::Error) -> Error {
    let id = match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorId::STORAGE_FULL,
        _ => ErrorId::INTERNAL,
    };
    Error::new(id, format!("the worldlet could not be written: {fault}"))
}

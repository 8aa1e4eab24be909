//! The whole state as a worldlet, streamed.

use std::io::{self, Write};

use serde_json::Value;

use crate::engine::tables::{Shown, Tables};
use crate::error::{Error, ErrorId, Result};
use crate::worldlet::{FORMAT, KEPT, bare_value};

/// Writes the worldlet: one record per line, in order of creation, so that two exports can be compared line by line.
pub(in crate::engine) fn write(tables: &impl Tables, writer: &mut dyn Write) -> Result<()> {
    writer.write_all(head(tables)?.as_bytes()).map_err(not_written)?;
    let mut separator = "\n";
    tables.show_all(&mut |record| {
        write_line(&record, separator, writer).map_err(not_written)?;
        separator = ",\n";
        Ok(())
    })?;
    let end = if separator == "\n" { "}}" } else { "\n}}" };
    writer.write_all(end.as_bytes()).map_err(not_written)
}

/// All that stands before the records.
fn head(tables: &impl Tables) -> Result<String> {
    let executable = tables.kept("executable")?.unwrap_or(Value::Bool(false));
    let mut head =
        format!(r#"{{"format":"{FORMAT}","properties":{{"temporal":false,"executable":{executable}}}"#);
    for key in KEPT {
        if let Some(value) = tables.kept(key)? {
            head.push_str(&format!(r#","{key}":{value}"#));
        }
    }
    head.push_str(r#","records":{"#);
    Ok(head)
}

fn write_line(record: &Shown<'_>, separator: &str, mut writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(separator.as_bytes())?;
    serde_json::to_writer(&mut writer, record.pk)?;
    if let Some(value) = bare_value(record.bucket, record.stack).filter(|_| record.extras.is_none()) {
        return write!(writer, ":{value}");
    }
    write!(writer, r#":{{"bucket":{},"stack":{}"#, record.bucket, record.stack)?;
    if let Some(members) = record.extras.and_then(|extras| extras.strip_prefix('{')?.strip_suffix('}')) {
        write!(writer, ",{members}")?;
    }
    write!(writer, r#","created_at":"{}","updated_at":"{}"}}"#, record.created_at, record.updated_at)
}

fn not_written(fault: io::Error) -> Error {
    let id = match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorId::STORAGE_FULL,
        _ => ErrorId::INTERNAL,
    };
    Error::new(id, format!("the worldlet could not be written: {fault}"))
}

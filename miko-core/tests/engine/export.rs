//! Exports of the whole state as a worldlet.

use std::io::{Error, ErrorKind, Write};

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::support::{create, db, export, non_temporal, read, run};

#[test]
fn an_empty_database_is_exported_without_records() {
    assert_eq!(
        export(&non_temporal()),
        r#"{"format":"worldlet/1.0","properties":{"temporal":false,"executable":false},"records":{}}"#
    );
}

#[test]
fn an_export_has_the_records_in_order_of_creation_and_no_tombstones() {
    let db = non_temporal();
    let first = create(&db, json!({"b": 1.0, "a": "é\u{0}\"\\"}));
    let deleted = create(&db, json!({"secret": 1}));
    let second = run(
        &db,
        json!({"action": "create", "class": "foo.com/x", "bucket": {}, "misc": [1], "comment": "c"}),
    );
    run(&db, json!({"action": "delete", "pk": deleted}));
    run(&db, json!({"action": "update", "pk": first, "bucket": {"b": 1.0, "a": "é\u{0}\"\\"}}));
    let (one, two) = (read(&db, &first), read(&db, &second));
    let expected = format!(
        concat!(
            r#"{{"format":"worldlet/1.0","properties":{{"temporal":false,"executable":false}},"records":{{"#,
            "\n",
            r#""{}":{{"bucket":{{"b":1.0,"a":"é\u0000\"\\"}},"#,
            r#""stack":{{"shadow":{{}},"record":{{"class":"puck.uno/record"}}}},"#,
            r#""created_at":"{}","updated_at":"{}"}},"#,
            "\n",
            r#""{}":{{"bucket":{{}},"stack":{{"shadow":{{}},"x":{{"class":"foo.com/x"}}}},"#,
            r#""comment":"c","misc":[1],"created_at":"{}","updated_at":"{}"}}"#,
            "\n}}}}"
        ),
        first, one.created_at, one.updated_at, second, two.created_at, two.updated_at,
    );
    let text = export(&db);
    assert_eq!(text, expected);
    assert!(one.updated_at > one.created_at);
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[test]
fn an_export_to_a_full_disk_fails() {
    /// A disk with room for this many bytes.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(Error::from(ErrorKind::StorageFull))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let db = db();
    create(&db, json!({}));
    for room in 0..export(&db).len() {
        let error = db.write_worldlet(&mut Full(room)).unwrap_err();
        assert!(error.is(ErrorId::STORAGE_FULL), "with room for {room} bytes: {error}");
    }
    assert!(db.write_worldlet(&mut Full(10_000)).is_ok());
}

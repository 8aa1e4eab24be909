//! Files: they are read as they were stored, equal content is stored once, and a file is stored as a whole or
//! not at all.

use std::io::{Error as IoError, Read};
use std::path::Path;

use miko_core::backend::Mode;
use miko_core::{
    Bytes, Engine, ErrorId, MAX_PIECE_SIZE, Mikobase, MikobaseExt, Remote, Transaction, WorldletEngine,
};
use miko_rpc::{CallGates, ParkedCall, serve_call};
use serde_json::{Value, json};

use crate::support::{Local, db, engine, export, ids, open_sqlite};

/// Pseudorandom bytes, which depend on the seed.
fn content(length: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn put(db: &Local, content: &[u8]) -> String {
    db.put_file(&mut &*content, "image/png").unwrap()
}

fn read(db: &Local, pk: &str) -> Vec<u8> {
    let mut content = Vec::new();
    db.file(pk).unwrap().read_to_end(&mut content).unwrap();
    content
}

fn import(db: &Local, worldlet: &str) -> Result<(), miko_core::Error> {
    db.read_worldlet(&mut worldlet.as_bytes(), false).map(drop)
}

/// A database with a class of officers with portraits.
fn with_portraits() -> Local {
    let db = db();
    let schema = json!({"classes": {"a.b/officer": {"fields": {"portrait": {"class": "puck.uno/dbfile"}}}}});
    db.import_schema(schema).unwrap();
    db
}

#[test]
fn a_file_of_any_size_is_read_back_unchanged() {
    let db = db();
    for length in [0, 1, MAX_PIECE_SIZE - 1, MAX_PIECE_SIZE, MAX_PIECE_SIZE + 1, 2 * MAX_PIECE_SIZE + 7] {
        let content = content(length, 0);
        let pk = put(&db, &content);
        assert_eq!(read(&db, &pk), content);
        let info = db.file_info(&pk).unwrap();
        assert_eq!((info.size, info.mime.as_str(), info.pk), (length as u64, "image/png", pk));
    }
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(db.file_info(&put(&db, b"")).unwrap().sha256, empty);
}

#[test]
fn equal_content_is_kept_once() {
    let db = db();
    let (one, other) = (content(MAX_PIECE_SIZE + 3, 1), content(MAX_PIECE_SIZE + 3, 2));
    let pk = put(&db, &one);
    assert_eq!(db.put_file(&mut &*one, "text/plain").unwrap(), pk);
    assert_ne!(put(&db, &other), pk);
    assert_eq!(db.file_info(&pk).unwrap().mime, "image/png");
    assert_eq!(export(&db).matches("\"last\":true").count(), 2);
}

#[test]
fn a_file_that_was_not_written_to_its_end_does_not_exist() {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, IoError> {
            if self.0 == 0 {
                return Err(IoError::other("the camera broke"));
            }
            let length = buffer.len().min(self.0);
            self.0 -= length;
            Ok(length)
        }
    }
    let db = db();
    let before = export(&db);
    let error = db.put_file(&mut Failing(2 * MAX_PIECE_SIZE + 5), "image/png").unwrap_err();
    assert!(error.to_string().contains("the camera broke"), "{error}");
    let upload = db.write_file("image/png").unwrap();
    upload.put(vec![1].into()).unwrap();
    assert_eq!(db.collect_files().unwrap(), [] as [&str; 0]);
    assert_eq!(export(&db), before);
}

#[test]
fn a_file_is_finished_once_and_never_changes() {
    let db = db();
    let upload = db.write_file("text/plain").unwrap();
    for piece in ["aa", "", "bb"] {
        upload.put(piece.as_bytes().to_vec().into()).unwrap();
    }
    let too_large = upload.put(vec![0; MAX_PIECE_SIZE + 1].into()).unwrap_err();
    assert_eq!(ids(&too_large), [ErrorId::INVALID_REQUEST]);
    upload.put(b"cc".to_vec().into()).unwrap();
    let pk = upload.finish().unwrap();
    assert_eq!(upload.finish().unwrap(), pk, "`finish` may be repeated");
    assert_eq!(ids(&upload.put(b"dd".to_vec().into()).unwrap_err()), [ErrorId::INVALID_REQUEST]);
    drop(upload);
    assert_eq!(read(&db, &pk), b"aabbcc");

    let same = db.write_file("text/plain").unwrap();
    same.put(b"aabbcc".to_vec().into()).unwrap();
    assert_eq!(same.finish().unwrap(), pk);
    assert_eq!(same.finish().unwrap(), pk);
}

#[test]
fn a_refused_deletion_does_not_end_an_open_export() {
    let db = with_portraits();
    let portrait = put(&db, &content(10, 0));
    db.create("a.b/officer", &json!({"portrait": portrait})).unwrap();
    let before = export(&db);
    let stream = db.export().unwrap();
    assert_eq!(ids(&db.delete_file(&portrait).unwrap_err()), [ErrorId::REFERENCE_RESTRICTED]);
    let text: Vec<u8> = stream.flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), before);
}

#[test]
fn a_file_that_is_deleted_while_it_is_read_ends_its_stream() {
    let db = db();
    assert_eq!(ids(&db.read_file("no such file").map(drop).unwrap_err()), [ErrorId::FILE_NOT_FOUND]);
    let pk = put(&db, &content(8 * MAX_PIECE_SIZE, 0));
    let mut pieces = db.read_file(&pk).unwrap();
    assert_eq!(pieces.next().unwrap().unwrap().len(), MAX_PIECE_SIZE);
    db.delete_file(&pk).unwrap();
    // Pieces that were sent before the deletion may still arrive.
    assert_eq!(ids(&pieces.find_map(Result::err).unwrap()), [ErrorId::FILE_NOT_FOUND]);
    assert!(pieces.next().is_none());
}

#[test]
fn a_record_refers_to_existing_files_only_and_protects_them_from_deletion() {
    let db = with_portraits();
    let error = db.create("a.b/officer", &json!({"portrait": "nobody"})).unwrap_err();
    assert_eq!(ids(&error), [ErrorId::FILE_NOT_FOUND]);
    assert_eq!(error.items()[0].details["pointer"], "/bucket/portrait");
    let file = put(&db, b"Spock");
    let spock = db.create("a.b/officer", &json!({"portrait": {"pk": file}})).unwrap();
    let error = db.delete_file(&file).unwrap_err();
    assert_eq!(ids(&error), [ErrorId::REFERENCE_RESTRICTED]);
    assert_eq!(
        error.items()[0].details["pointed_at_by"],
        json!([{"pk": spock, "pointer": "/bucket/portrait"}])
    );
    db.update(&spock, &json!({})).unwrap();
    db.delete_file(&file).unwrap();
    assert_eq!(ids(&db.file_info(&file).unwrap_err()), [ErrorId::FILE_NOT_FOUND]);
    assert_ne!(put(&db, b"Spock"), file);
}

#[test]
fn files_without_a_reference_are_collected() {
    let db = with_portraits();
    let [declared, somewhere, in_stack, nowhere, past] =
        [1, 2, 3, 4, 5].map(|seed| put(&db, &content(10, seed)));
    db.create("a.b/officer", &json!({"portrait": declared})).unwrap();
    db.create("x.y/z", &json!({"deep": [{"inside": somewhere}], "not": format!("{nowhere}!")})).unwrap();
    let stack = json!({"c": {"class": "x.y/c", "bucket": {"photo": in_stack}}});
    db.q0(json!({"action": "create", "bucket": {}, "stack": stack})).unwrap();
    let pk = db.create("x.y/z", &json!({"photo": past})).unwrap();
    db.update(&pk, &json!({})).unwrap();
    let expected = if db.properties().unwrap().temporal { vec![nowhere] } else { vec![nowhere, past] };
    assert_eq!(db.collect_files().unwrap(), expected);
    for kept in [declared, somewhere, in_stack] {
        db.file_info(&kept).unwrap();
    }
    assert_eq!(db.collect_files().unwrap(), [] as [&str; 0]);
}

#[test]
fn a_worldlet_contains_the_files() {
    let original = with_portraits();
    let [photo, empty] =
        [content(2 * MAX_PIECE_SIZE + 1, 1), vec![]].map(|content| (put(&original, &content), content));
    original.create("a.b/officer", &json!({"portrait": photo.0})).unwrap();
    let worldlet = export(&original);
    let copy = db();
    for _ in 0..2 {
        import(&copy, &worldlet).unwrap();
        assert!(
            export(&copy) == worldlet,
            "the first import adds the files, and the second one changes nothing"
        );
    }
    for (pk, content) in [photo, empty] {
        assert_eq!(read(&copy, &pk), content);
        assert_eq!(copy.file_info(&pk).unwrap(), original.file_info(&pk).unwrap());
    }
}

#[test]
fn chunks_may_come_before_their_file_and_in_any_order() {
    let db = db();
    let pk = put(&db, b"make it so");
    let sha256 = db.file_info(&pk).unwrap().sha256;
    let chunk = |index: u64, last: bool, data: &[u8]| {
        let data = Bytes::from(data.to_vec());
        json!({"file": "f1", "index": index, "last": last, "data": data})
    };
    let worldlet = json!({
        "file_chunks": {
            "c": chunk(2, true, b"so"), "a": chunk(0, false, b"make "), "b": chunk(1, false, b"it "),
        },
        "files": {"f1": {
            "sha256": sha256.to_uppercase(), "mime": {"type": "text/plain"}, "comment": "an order",
        }},
    });
    import(&db, &worldlet.to_string()).unwrap();
    assert_eq!(read(&db, "f1"), b"make it so");
}

#[test]
fn all_faults_of_the_files_of_a_worldlet_are_reported_and_nothing_is_imported() {
    let db = db();
    let there = put(&db, b"there");
    let sha256 = |text: &[u8]| db.file_info(&put(&db, text)).unwrap().sha256;
    let (hash, other) = (sha256(b"make it so"), sha256(b"other"));
    let before = export(&db);
    let file = json!({"sha256": hash, "mime": {"type": "text/plain", "encoding": "base64"}});
    let data = "bWFrZSBpdCBzbw==";
    let chunk = |index: u64, last: bool| json!({"file": "f", "index": index, "last": last, "data": data});
    let missing = "the file has 2 chunks, and their indexes go up to 2: \
                   a chunk is missing, is there twice, or is behind the last";
    let cases = [
        (json!({"files": {"f": file}}), "/files/f", "the file has no chunk"),
        (
            json!({"files": {"f": file}, "file_chunks": {"c": chunk(0, false)}}),
            "/files/f",
            "exactly one chunk of a file is marked `last`: here 0 are",
        ),
        (
            json!({"files": {"f": file}, "file_chunks": {"c": chunk(0, true), "d": chunk(1, true)}}),
            "/files/f",
            "exactly one chunk of a file is marked `last`: here 2 are",
        ),
        (
            json!({"files": {"f": file}, "file_chunks": {"c": chunk(0, false), "d": chunk(2, true)}}),
            "/files/f",
            missing,
        ),
        (
            json!({"files": {"f": file}, "file_chunks": {"c": chunk(0, true), "d": chunk(2, false)}}),
            "/files/f",
            missing,
        ),
        (
            json!({"file_chunks": {"c": chunk(0, true)}}),
            "/files/f",
            "`file_chunks` has chunks of this file, and `files` does not have it",
        ),
        (
            json!({
                "files": {"f": {"sha256": other, "mime": {"type": "x"}}},
                "file_chunks": {"c": chunk(0, true)},
            }),
            "/files/f",
            "the chunks of the file have another content than its `sha256` says",
        ),
        (
            json!({"files": {there.as_str(): file}, "file_chunks": {}}),
            there.as_str(),
            "there is a file with this pk and other content, and files never change",
        ),
        (json!({"files": {"f": {"mime": {"type": "x"}}}}), "/files/f", "`sha256` is missing"),
        (
            json!({"files": {"f": {"sha256": "5", "mime": {"type": "x"}}}}),
            "/files/f/sha256",
            "`sha256`: expected 64 hexadecimal digits",
        ),
        (json!({"files": {"f": {"sha256": hash}}}), "/files/f", "`mime` is missing"),
        (
            json!({"files": {"f": {"sha256": hash, "mime": "text/plain"}}}),
            "/files/f/mime",
            "`mime` is an object with a string `type`, such as image/png",
        ),
        (
            json!({"files": {"f": {"sha256": hash, "mime": {"type": "x", "encoding": "hex"}}}}),
            "/files/f/mime/encoding",
            "`encoding`: expected base64 or utf-8",
        ),
        (
            json!({"files": {"f": {"sha256": hash, "mime": {"type": "x"}, "hue": 1}}}),
            "/files/f/hue",
            "this object has no key `hue`",
        ),
        (json!({"files": []}), "", "`files`: expected an object"),
        (
            json!({"file_chunks": {"c": {"file": 1, "index": 0, "data": ""}}}),
            "/file_chunks/c/file",
            "`file`: expected the pk of a file",
        ),
        (
            json!({"file_chunks": {"c": {"file": "f", "index": -1, "data": ""}}}),
            "/file_chunks/c/index",
            "`index`: expected a non-negative integer",
        ),
        (
            json!({"file_chunks": {"c": {"file": "f", "index": 0, "last": 1, "data": ""}}}),
            "/file_chunks/c/last",
            "`last`: expected a boolean",
        ),
        (
            json!({"file_chunks": {"c": {"file": "f", "index": 0, "data": "????"}},
                   "files": {"f": {"sha256": hash, "mime": {"type": "x"}}}}),
            "/file_chunks/c/data",
            "this is no base64: invalid symbol at 0",
        ),
    ];
    for (worldlet, place, message) in cases {
        let error = import(&db, &worldlet.to_string()).unwrap_err();
        let found = &error.items()[0];
        let pointer = found.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
        assert!(found.id == ErrorId::INVALID_WORLDLET && pointer.ends_with(place), "{worldlet}: {error}");
        assert_eq!(found.message(), message, "{worldlet}");
        assert_eq!(export(&db), before, "{worldlet}");
    }
}

#[test]
fn a_chunk_may_claim_any_index_and_only_a_complete_file_is_imported() {
    let db = db();
    let sha256 = db.file_info(&put(&db, b"make it so")).unwrap().sha256;
    let before = export(&db);
    let file = json!({"f": {"sha256": sha256, "mime": {"type": "text/plain"}}});
    let data = "bWFrZSBpdCBzbw==";
    let chunks = |indexes: &[u64]| -> Value {
        let chunk = |(nth, index): (usize, &u64)| {
            let last = nth + 1 == indexes.len();
            (nth.to_string(), json!({"file": "f", "index": index, "last": last, "data": data}))
        };
        indexes.iter().enumerate().map(chunk).collect::<serde_json::Map<_, _>>().into()
    };
    let misplaced = |indexes: &[u64]| {
        let largest = indexes.iter().max().unwrap();
        format!(
            "the file has {} chunks, and their indexes go up to {largest}: a chunk is missing, is there \
             twice, or is behind the last",
            indexes.len()
        )
    };
    let end = 1 << 63;
    let cases: [&[u64]; 12] = [
        &[1],
        &[end - 2],
        &[end - 1],
        &[end],
        &[u64::MAX - 1],
        &[u64::MAX],
        &[0, u64::MAX],
        &[u64::MAX, 0],
        &[u64::MAX, u64::MAX],
        &[end - 1, end],
        &[0, 0],
        // As many chunks as a complete file with this last index has; the first chunk is the whole content.
        &[0, 0, 2],
    ];
    for indexes in cases {
        let chunks = chunks(indexes).to_string();
        for worldlet in [
            format!(r#"{{"files": {file}, "file_chunks": {chunks}}}"#),
            format!(r#"{{"file_chunks": {chunks}, "files": {file}}}"#),
        ] {
            let error = import(&db, &worldlet).unwrap_err();
            assert_eq!(ids(&error), [ErrorId::INVALID_WORLDLET], "{worldlet}: {error}");
            assert_eq!(error.items()[0].message(), misplaced(indexes), "{worldlet}");
            assert_eq!(export(&db), before, "{worldlet}");
        }
        // A chunk with a fault of its own is found at its index, also before the encoding is known.
        let broken = chunks.replace(data, "????");
        let worldlet = format!(r#"{{"file_chunks": {broken}, "files": {file}}}"#);
        let error = import(&db, &worldlet).unwrap_err();
        assert_eq!(error.items()[0].message(), "this is no base64: invalid symbol at 0", "{worldlet}");
    }
    // A chunk that is there again after the encoding is known is stored decoded, and not decoded again.
    let (first, again) = (chunks(&[0]), chunks(&[0]).to_string().replace("true", "false"));
    let worldlet = format!(r#"{{"file_chunks": {first}, "files": {file}, "file_chunks": {again}}}"#);
    let error = import(&db, &worldlet).unwrap_err();
    let messages: Vec<String> = error.items().iter().map(|item| item.message().to_string()).collect();
    assert_eq!(messages, [misplaced(&[0, 0])]);
    assert_eq!(export(&db), before);
    let complete = json!({"files": file, "file_chunks": chunks(&[0])});
    import(&db, &complete.to_string()).unwrap();
    assert_eq!(read(&db, "f"), b"make it so");
}

#[test]
fn unfinished_files_are_removed_when_the_database_is_opened_again() {
    let [folder, copy] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |folder: &Path| -> [Box<dyn Engine>; 2] {
        [
            Box::new(open_sqlite(folder.join("crew.db"), Mode::ReadWrite).unwrap()),
            Box::new(WorldletEngine::open(folder.join("crew.json"), Mode::ReadWrite).unwrap()),
        ]
    };
    let worldlet = folder.path().join("crew.json");
    let (mut kept, mut uploads) = (Vec::new(), Vec::new());
    for db in open(folder.path()) {
        kept.push(db.put_file(&mut &b"Spock"[..], "text/plain").unwrap());
        let saved = std::fs::read(&worldlet).unwrap();
        let upload = db.write_file("image/png").unwrap();
        upload.put(vec![1; 100].into()).unwrap();
        assert_eq!(std::fs::read(&worldlet).unwrap(), saved, "an unfinished upload is not saved");
        uploads.push(upload);
    }
    copy_files(folder.path(), copy.path());
    let unfinished = rows_of(copy.path());
    assert_eq!(unfinished, (2, 2));
    for (db, pk) in open(copy.path()).into_iter().zip(kept) {
        let mut text = String::new();
        db.file(&pk).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "Spock");
    }
    assert_eq!(rows_of(copy.path()), (1, 1));
    drop(uploads);
    assert_eq!(rows_of(folder.path()), (1, 1));
}

#[test]
fn a_file_whose_writer_ends_during_a_transaction_is_removed_when_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sqlite(folder.path().join("crew.db"), Mode::ReadWrite).unwrap();
    // The database is locked while it is open.
    let rows_in_copy = || {
        let copy = tempfile::tempdir().unwrap();
        copy_files(folder.path(), copy.path());
        rows_of(copy.path())
    };
    type End = (&'static str, fn(Remote<dyn Transaction>));
    let ends: [End; 4] = [
        ("a commit", |tx| tx.commit().unwrap()),
        ("a rollback", |tx| tx.roll_back().unwrap()),
        ("a commit after a nested rollback", |tx| {
            let nested = tx.begin().unwrap();
            nested.create("a.b/officer", &json!({})).unwrap();
            nested.roll_back().unwrap();
            tx.commit().unwrap();
        }),
        ("the end of its connection", drop),
    ];
    for (end, end_transaction) in ends {
        let upload = db.write_file("image/png").unwrap();
        upload.put(vec![1; 100].into()).unwrap();
        assert_eq!(rows_in_copy(), (1, 1), "{end}");
        let tx = db.begin().unwrap();
        tx.create("a.b/officer", &json!({})).unwrap();
        drop(upload);
        end_transaction(tx);
        assert_eq!(rows_in_copy(), (0, 0), "{end}");
    }
}

#[test]
fn the_end_of_an_upload_lets_other_calls_run_and_keeps_its_turn() {
    let db = engine();
    let content = content(5 * MAX_PIECE_SIZE + 1, 0);
    let officer = db.create("a.b/officer", &json!({"name": "Spock"})).unwrap();
    let tx = db.begin().unwrap();
    tx.create("a.b/officer", &json!({})).unwrap();
    let upload = db.write_file("image/png").unwrap();
    content.chunks(MAX_PIECE_SIZE).for_each(|piece| upload.put(piece.to_vec().into()).unwrap());
    tx.commit().unwrap();
    // As on a server, which makes a parked call again.
    let (mut attempts, mut entered) = (0, CallGates::default());
    let pk = loop {
        attempts += 1;
        let (finished, gates) = serve_call(None, entered, || upload.finish());
        match finished {
            Ok(pk) => break pk,
            Err(error) => assert!(error.is(ErrorId::PARKED), "{error}"),
        }
        assert!(db.q0(json!({"action": "select", "pk": officer})).is_ok());
        let (written, waiting) =
            serve_call(None, CallGates::default(), || tx.create("a.b/officer", &json!({})));
        assert!(written.unwrap_err().is(ErrorId::PARKED), "the upload has the turn to write");
        drop(waiting);
        let CallGates { mut passes, parked, locals } = gates;
        passes.extend(parked.map(ParkedCall::into_pass));
        entered = CallGates { passes, parked: None, locals };
    };
    assert!((3..10).contains(&attempts), "{attempts}");
    assert!(read(&db, &pk) == content);
}

/// Copies the files of a folder, as they are if the process is killed now.
fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// How many files, and chunks of files, the database in a folder has.
fn rows_of(folder: &Path) -> (i64, i64) {
    let rows = rusqlite::Connection::open(folder.join("crew.db")).unwrap();
    let count = |table| rows.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
    (count("file").unwrap(), count("file_chunk").unwrap())
}

#[test]
fn a_damaged_mime_of_a_file_is_damage_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let pk = open_sqlite(&path, Mode::ReadWrite).unwrap().put_file(&mut &b"Spock"[..], "text/plain").unwrap();
    let damaged = ["", "{\"type\": ", "null", "{}", "{\"type\": 5}"];
    let rows = rusqlite::Connection::open(&path).unwrap();
    rows.execute_batch("BEGIN").unwrap();
    for (number, mime) in (0_i64..).zip(damaged) {
        const COPY: &str = "INSERT INTO file SELECT id + 1 + ?1, ?1, sha256, ?2, size, created_at FROM file \
                            WHERE id = 1";
        rows.execute(COPY, (number, mime)).unwrap();
    }
    rows.execute_batch("COMMIT").unwrap();
    drop(rows);
    let db = open_sqlite(&path, Mode::Read).unwrap();
    assert_eq!(db.file_info(&pk).unwrap().mime, "text/plain");
    let infos = (0..damaged.len()).map(|number| db.file_info(&number.to_string()).map(drop));
    for result in infos.chain([db.write_worldlet(&mut std::io::sink())]) {
        let error = result.unwrap_err();
        assert!(error.is(ErrorId::INTERNAL), "{error}");
        assert!(error.to_string().contains("the store is damaged"), "{error}");
    }
}

#[test]
fn content_that_has_changed_is_noticed_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let pk = open_sqlite(&path, Mode::ReadWrite).unwrap().put_file(&mut &b"Spock"[..], "text/plain").unwrap();
    let rows = rusqlite::Connection::open(&path).unwrap();
    rows.execute("UPDATE file_chunk SET data = x'53706F636B21'", []).unwrap();
    drop(rows);
    let db = open_sqlite(&path, Mode::Read).unwrap();
    let error = db.file(&pk).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("is not what was put in"), "{error}");
}

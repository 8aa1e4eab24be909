//! Streams: results, exports and imports of any size. A stream shows the state at the time when it was
//! opened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt};
use serde_json::{Value, json};

use crate::support::{Local, db, export, ids, sqlite_in_memory, temporal_sqlite_in_memory};

/// More records than a piece of an export has.
const MANY: usize = 2000;

fn numbered(count: usize) -> (Local, Vec<String>) {
    numbered_with(count, "")
}

/// Records, each with a number and a text.
fn numbered_with(count: usize, text: &str) -> (Local, Vec<String>) {
    let db = db();
    let bucket = |n| if text.is_empty() { json!({"n": n}) } else { json!({"n": n, "text": text}) };
    let create = |n| json!({"action": "create", "class": "a.b/n", "bucket": bucket(n)});
    let answers = db.batch((0..count).map(create).collect(), true).unwrap();
    let pks = answers.into_iter().map(|answer| answer.unwrap().into_pk().unwrap()).collect();
    (db, pks)
}

fn number(record: &miko_core::Record) -> u64 {
    record.bucket.get("n").unwrap().unwrap().as_u64().unwrap()
}

fn streamed_export(db: &Local) -> String {
    let mut text = Vec::new();
    db.export_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_stream_gives_what_a_select_gives() {
    let (db, pks) = numbered(MANY);
    let queries = [
        json!({}),
        json!({"class": "a.b/n", "sort": ["n", {"reverse": true}]}),
        json!({"class": "a.b/n", "sort": ["n", {"reverse": true}], "limit": 10, "offset": 5}),
        json!({"path": ["n", {"lt": 1800}], "offset": 17}),
        json!({"pk": [pks[7], pks[3], "nobody"]}),
        json!({"class": "x.y/z"}),
        json!({"any": [{"path": ["n", 1]}, {"path": [{"placeholder": "nowhere"}, 1]}], "limit": 1}),
    ];
    for query in queries {
        let all = || db.iter(query.clone())?.collect::<Result<Vec<_>, _>>();
        let selected = db.select(query.clone()).map(|records| records.into_iter().collect::<Vec<_>>());
        match (all(), selected) {
            (Ok(streamed), Ok(selected)) => assert!(streamed == selected, "{query}"),
            (Err(streamed), Err(selected)) => assert_eq!(ids(&streamed), ids(&selected), "{query}"),
            (streamed, selected) => panic!("{query}: {streamed:?} is not {selected:?}"),
        }
    }
    for wrong in [json!({"limit": -1}), json!({"action": "create", "bucket": {}}), json!({"history": true})] {
        assert_eq!(ids(&db.iter(wrong).map(drop).unwrap_err()), [ErrorId::INVALID_REQUEST]);
    }
}

#[test]
fn a_stream_shows_the_moment_in_which_it_was_opened() {
    let (db, pks) = numbered(MANY);
    let mut stream = db.iter(json!({"class": "a.b/n"})).unwrap();
    let first = stream.next().unwrap().unwrap();
    assert_eq!(number(&first), 0);
    // Later records are updated, deleted or get another class, and new ones are created.
    let write = |(at, pk): (usize, &String)| match at % 4 {
        0 => Some(json!({"action": "update", "pk": pk, "bucket": {"n": 0}})),
        1 => Some(json!({"action": "delete", "pk": pk})),
        2 => Some(json!({"action": "update", "pk": pk, "class": "x.y/z"})),
        _ => None,
    };
    db.batch(pks.iter().enumerate().filter_map(write).collect(), true).unwrap();
    db.create("a.b/n", &json!({"n": 0})).unwrap();
    let worldlet = json!({"records": {pks[3].as_str(): {"bucket": {"n": 0}, "class": "a.b/n"}}}).to_string();
    db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    let rest: Vec<u64> = stream.map(|record| number(&record.unwrap())).collect();
    assert!(rest.iter().copied().eq(1..MANY as u64), "{} records", rest.len());
    assert_eq!(db.count(json!({"class": "a.b/n"})).unwrap(), MANY / 2 + 1);
}

#[test]
fn an_export_shows_the_moment_in_which_it_was_begun() {
    let (db, pks) = numbered(MANY);
    let file = db.put_file(&mut &b"a file"[..], "text/plain").unwrap();
    let before = export(&db);
    assert!(streamed_export(&db) == before);
    let (mut text, mut pieces) = (Vec::new(), 0);
    for piece in db.export().unwrap() {
        text.extend_from_slice(&piece.unwrap());
        pieces += 1;
        // A worldlet file is written anew by each of them.
        if pieces > 5 {
            continue;
        }
        db.update(&pks[pks.len() - pieces], &json!({"n": "another"})).unwrap();
        db.delete(&pks[pks.len() - 1000 - pieces]).unwrap();
        db.create("a.b/n", &json!({"n": "new"})).unwrap();
        db.put_file(&mut &*pieces.to_be_bytes().to_vec(), "text/plain").unwrap();
    }
    assert!(pieces > 2, "it took {pieces} pieces");
    assert!(String::from_utf8(text).unwrap() == before);
    let mut export = db.export().unwrap();
    export.next().unwrap().unwrap();
    db.delete_file(&file).unwrap();
    assert_eq!(ids(&export.find_map(Result::err).unwrap()), [ErrorId::STREAM_EXPIRED]);
    assert!(export.next().is_none());
}

#[test]
fn streams_beyond_the_limit_are_refused_until_others_are_dropped() {
    let (db, _) = numbered(1);
    let mut open: Vec<_> = (0..1024).map(|_| db.iter(json!({})).unwrap()).collect();
    for error in [db.iter(json!({})).map(drop).unwrap_err(), db.export().map(drop).unwrap_err()] {
        assert_eq!(ids(&error), [ErrorId::STORAGE_FULL]);
    }
    open.pop();
    assert_eq!(db.iter(json!({})).unwrap().count(), 1);
    assert!(open.into_iter().all(|stream| stream.count() == 1));
}

#[test]
fn uploads_and_imports_beyond_the_limit_are_refused_until_others_are_dropped() {
    let db = db();
    let mut imports: Vec<_> = (0..128).map(|_| db.import(false).unwrap()).collect();
    let uploads: Vec<_> = (0..128).map(|_| db.write_file("text/plain").unwrap()).collect();
    for error in [db.import(false).map(drop).unwrap_err(), db.write_file("a/b").map(drop).unwrap_err()] {
        assert_eq!(ids(&error), [ErrorId::STORAGE_FULL]);
    }
    imports.pop();
    db.put_file(&mut &b"a file"[..], "text/plain").unwrap();
    drop(uploads);
    assert_eq!(db.collect_files().unwrap().len(), 1);
}

#[test]
fn a_piece_of_an_export_has_a_bound_whatever_the_size_of_a_record() {
    let (db, _) = numbered_with(3, &"x".repeat(300_000));
    let pieces: Vec<_> = db.export().unwrap().collect::<Result<_, _>>().unwrap();
    assert!(pieces.iter().all(|piece| (1..=1 << 16).contains(&piece.len())));
    let text: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
    assert!(String::from_utf8(text).unwrap() == export(&db));
}

#[test]
fn a_stream_shows_no_write_that_follows_a_group_that_was_lost() {
    let db = temporal_sqlite_in_memory();
    let pk = db.create("a.b/n", &json!({"n": 0})).unwrap();
    // An import that uses a commit number which no row gets.
    let stub = json!({"properties": {"temporal": true},
                      "records": {pk.as_str(): {"created_at": "2020-01-01T00:00:00.000Z"}}, "history": {}});
    db.read_worldlet(&mut stub.to_string().as_bytes(), false).unwrap();
    let stream = db.iter(json!({})).unwrap();
    let export = db.export().unwrap();
    let lost = catch_unwind(AssertUnwindSafe(|| {
        db.run_group(&mut |_| {
            db.create("a.b/n", &json!({"n": 1})).unwrap();
            panic!("in a group")
        })
    }));
    assert!(lost.is_err());
    db.update(&pk, &json!({"later": 1})).unwrap();
    assert_eq!(stream.map(|record| number(&record.unwrap())).collect::<Vec<_>>(), [0]);
    let text: Vec<u8> = export.flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert!(!String::from_utf8(text).unwrap().contains("later"));
}

#[test]
fn streams_and_uploads_may_be_used_inside_a_group_and_beside_it() {
    let db = sqlite_in_memory();
    for n in 0..3 {
        db.create("a.b/n", &json!({"n": n})).unwrap();
    }
    let mut stream = db.iter(json!({})).unwrap();
    let upload = db.write_file("text/plain").unwrap();
    upload.put(b"one".to_vec().into()).unwrap();
    let begun = Barrier::new(2);
    thread::scope(|scope| {
        // This thread waits for the group. If it locked the upload first, the group would wait for it.
        scope.spawn(|| {
            begun.wait();
            upload.put(b"two".to_vec().into())
        });
        let group = db.run_group(&mut |index| {
            if index == 0 {
                begun.wait();
                db.create("a.b/n", &json!({"n": 3})).unwrap();
                assert_eq!(number(&stream.next().unwrap().unwrap()), 0);
                upload.finish().unwrap();
                drop(db.write_file("text/plain").unwrap());
            }
            index == 0
        });
        assert!(group.is_ok());
    });
    assert_eq!(stream.map(|record| number(&record.unwrap())).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(db.count(json!({"class": "a.b/n"})).unwrap(), 4);
}

#[test]
fn a_stream_outlives_its_engine() {
    let db = sqlite_in_memory();
    for n in 0..3 {
        db.create("a.b/n", &json!({"n": n})).unwrap();
    }
    let stream = db.iter(json!({})).unwrap();
    drop(db);
    assert_eq!(stream.map(|record| number(&record.unwrap())).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_stream_that_would_have_to_keep_too_much_expires() {
    let db = db();
    let large = "x".repeat(1 << 20);
    let create = json!({"action": "create", "bucket": {"text": large}});
    let batch = |_| db.batch(vec![create.clone(); 35], true).unwrap();
    let answers = [0, 1].map(batch).into_iter().flatten();
    let pks: Vec<String> = answers.map(|answer| answer.unwrap().into_pk().unwrap()).collect();
    let mut stream = db.iter(json!({})).unwrap();
    stream.next().unwrap().unwrap();
    let update = |pk: &String| json!({"action": "update", "pk": pk, "bucket": {}});
    db.batch(pks.iter().map(update).collect(), true).unwrap();
    let error = stream.find_map(Result::err).unwrap();
    assert_eq!(ids(&error), [ErrorId::STREAM_EXPIRED]);
    assert!(stream.next().is_none());
    assert_eq!(db.iter(json!({})).unwrap().count(), 70);
}

#[test]
fn a_write_that_is_rolled_back_changes_no_stream() {
    let (db, pks) = numbered(MANY);
    let mut stream = db.iter(json!({})).unwrap();
    stream.next().unwrap().unwrap();
    let last = pks.last().unwrap();
    let update = json!({"action": "update", "pk": last, "bucket": {"n": 0}});
    assert!(db.batch(vec![update, json!({"action": "delete", "pk": "nobody"})], true).is_err());
    assert_eq!(number(&stream.last().unwrap().unwrap()), MANY as u64 - 1);
}

#[test]
fn an_import_is_sent_in_pieces_and_takes_effect_as_a_whole_or_not_at_all() {
    let (original, _) = numbered_with(MANY, &"x".repeat(1200));
    let worldlet = export(&original);
    assert!(worldlet.len() > 2 * miko_core::MAX_PIECE_SIZE);
    let copy = db();
    let imported = copy.import_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    assert_eq!(imported.records, MANY as u64);
    assert!(export(&copy) == worldlet);

    let db = db();
    let before = export(&db);
    let error = db.import_worldlet(&mut &worldlet.as_bytes()[..worldlet.len() - 10], false).unwrap_err();
    assert_eq!(ids(&error), [ErrorId::INVALID_WORLDLET]);
    let broken = r#"{"records": {"a": {"bucket": {}}, "b": {"bucket": 5}}}"#;
    assert_eq!(
        ids(&db.import_worldlet(&mut broken.as_bytes(), false).unwrap_err()),
        [ErrorId::INVALID_WORLDLET]
    );
    assert_eq!(export(&db), before);
}

#[test]
fn an_import_ends_once() {
    let db = db();
    let import = db.import(false).unwrap();
    let put = |text: &str| import.put(text.as_bytes().to_vec().into());
    for piece in [r#"{"records": {"#, "", r#""a": {"bucket": {"n": 1}}"#, "}}"] {
        put(piece).unwrap();
    }
    assert_eq!(db.record_by_pk("a").unwrap(), None);
    assert_eq!(import.finish().unwrap().records, 1);
    assert_eq!(db.record_by_pk("a").unwrap().unwrap().bucket.get("n").unwrap(), Some(Value::from(1)));
    for error in [import.finish().unwrap_err(), put("{}").unwrap_err()] {
        assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
    }
}

//! Streams: results, exports and imports in chunks, which show the state of one moment.

use miko_core::{ErrorId, MikobaseExt, Source};
use serde_json::{Value, json};

use crate::support::{Local, db, export, ids};

/// More records than a chunk has.
const MANY: usize = 5000;

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
        json!({"path": ["n", {"lt": 4500}], "offset": 17}),
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
    // Records of later chunks are updated, deleted or get another class, and new ones are created.
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
    let stream = db.open_stream(Source::Worldlet).unwrap();
    let (mut text, mut index) = (Vec::new(), 0);
    loop {
        let chunk = db.next_chunk(&stream, index).unwrap();
        text.extend_from_slice(&chunk.text);
        index += 1;
        if !chunk.more {
            break;
        }
        let pk = &pks[pks.len() - index as usize];
        db.update(pk, &json!({"n": "another"})).unwrap();
        db.delete(&pks[pks.len() - 1000 - index as usize]).unwrap();
        db.create("a.b/n", &json!({"n": "new"})).unwrap();
        db.put_file(&mut &*index.to_be_bytes().to_vec(), "text/plain").unwrap();
    }
    assert!(index > 2, "it took {index} chunks");
    assert!(String::from_utf8(text).unwrap() == before);
    let stream = db.open_stream(Source::Worldlet).unwrap();
    db.next_chunk(&stream, 0).unwrap();
    db.delete_file(&file).unwrap();
    assert_eq!(ids(&db.next_chunk(&stream, 1).unwrap_err()), [ErrorId::STREAM_EXPIRED]);
}

#[test]
fn the_last_chunk_may_be_fetched_again_and_no_other() {
    let (db, pks) = numbered(MANY);
    for source in [Source::Select(json!({"action": "select"})), Source::Worldlet] {
        let stream = db.open_stream(source).unwrap();
        let first = db.next_chunk(&stream, 0).unwrap();
        db.update(&pks[0], &json!({"n": 0})).unwrap();
        assert!(db.next_chunk(&stream, 0).unwrap() == first);
        let second = db.next_chunk(&stream, 1).unwrap();
        assert!(second != first);
        assert!(db.next_chunk(&stream, 1).unwrap() == second);
        for wrong in [0, 3, u64::MAX] {
            assert_eq!(ids(&db.next_chunk(&stream, wrong).unwrap_err()), [ErrorId::INVALID_REQUEST]);
        }
        db.close_stream(&stream).unwrap();
        db.close_stream(&stream).unwrap();
        assert_eq!(ids(&db.next_chunk(&stream, 2).unwrap_err()), [ErrorId::STREAM_EXPIRED]);
    }
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
fn an_import_comes_in_pieces_and_is_made_whole_or_not_at_all() {
    let (original, _) = numbered_with(MANY, &"x".repeat(500));
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
fn the_last_piece_of_an_import_may_be_sent_again() {
    let db = db();
    let import = db.begin_import().unwrap();
    let put = |index, text: &str| db.put_import(&import, index, text.as_bytes().to_vec().into());
    put(0, r#"{"records": {"#).unwrap();
    put(1, r#""wrong""#).unwrap();
    put(1, r#""a": {"bucket": {"n": 1}}"#).unwrap();
    for wrong in [0, 3] {
        assert_eq!(ids(&put(wrong, "}").unwrap_err()), [ErrorId::INVALID_REQUEST]);
    }
    put(2, "}}").unwrap();
    assert_eq!(db.end_import(&import, false).unwrap().records, 1);
    assert_eq!(db.record_by_pk("a").unwrap().unwrap().bucket.get("n").unwrap(), Some(Value::from(1)));
    db.cancel_import(&import).unwrap();
    assert_eq!(ids(&db.end_import(&import, false).unwrap_err()), [ErrorId::STREAM_EXPIRED]);
    assert_eq!(ids(&put(3, "").unwrap_err()), [ErrorId::STREAM_EXPIRED]);
}

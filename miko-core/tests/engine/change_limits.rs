//! The limits of the changes that an engine keeps for subscribers. A closed engine forgets them.

use std::time::Duration;

use miko_core::backend::Mode;
use miko_core::{
    Change, ChangeKind, ChangeLimits, ChangeOptions, Engine, ErrorId, Mikobase, MikobaseExt, Result,
    SqliteEngine, Stream, WorldletEngine,
};
use serde_json::{Value, json};

use crate::support::{open_sqlite, sqlite_in_memory};

const CLASS: &str = "a.b/thing";

/// The values `n` of the next changes; the number of changes that were left out, as an error.
fn next(changes: &mut Stream<Change>, count: usize) -> Vec<Result<Value, Value>> {
    let mut read = || match changes.recv().unwrap() {
        Ok(change) => Ok(change.record.unwrap().bucket.get("n").unwrap().unwrap()),
        Err(error) => {
            assert!(error.is(ErrorId::LAGGED), "{error}");
            Err(error.items()[0].details["count"].clone())
        }
    };
    (0..count).map(|_| read()).collect()
}

fn limited(limits: ChangeLimits) -> SqliteEngine {
    sqlite_in_memory().change_limits(limits)
}

fn create(db: &impl Mikobase, n: i64) -> String {
    db.create(CLASS, &json!({ "n": n })).unwrap()
}

#[test]
fn a_slow_subscriber_loses_the_oldest_changes_and_gets_their_number() {
    let db = limited(ChangeLimits { queue: 10_000, ..ChangeLimits::default() });
    let mut changes = db.listen(CLASS).unwrap();
    (0..1000).for_each(|n| drop(create(&db, n)));
    let [Err(lost)] = &next(&mut changes, 1)[..] else { panic!("it has lost nothing") };
    let lost = lost.as_i64().unwrap();
    // A queue of 10,000 bytes holds at most 100 changes, of 100 bytes or more.
    assert!((900..1000).contains(&lost), "{lost}");
    let rest: Vec<_> = (lost..1000).map(|n| Ok(json!(n))).collect();
    assert_eq!(next(&mut changes, rest.len()), rest);
    assert!(changes.try_recv().is_pending());

    // The changes of a transaction are left out as a whole, or not at all.
    let create = |n: i64| json!({"action": "create", "class": CLASS, "bucket": {"n": n}});
    for round in 0..100 {
        db.batch((0..5).map(|n| create(5 * round + n)).collect(), true).unwrap();
    }
    let [Err(lost)] = &next(&mut changes, 1)[..] else { panic!("it has lost nothing") };
    assert_eq!(lost.as_i64().unwrap() % 5, 0);
    let first = changes.recv().unwrap().unwrap();
    assert_eq!(first.record.unwrap().bucket.get("n").unwrap(), Some(lost.clone()));
    // The rest of a transaction is not left out if a part of it was read.
    for round in 0..100 {
        db.batch((0..5).map(|n| create(-5 * round - n)).collect(), true).unwrap();
    }
    let from = lost.as_i64().unwrap();
    let rest: Vec<_> = (1..5).map(|n| Ok(json!(from + n))).collect();
    assert_eq!(next(&mut changes, 4), rest);
    assert!(next(&mut changes, 1)[0].is_err());
}

#[test]
fn a_transaction_that_is_too_large_is_delivered_as_one_error() {
    let large = "x".repeat(8 << 10);
    let buckets = |count: usize| (0..count).map(|n| json!({"n": n, "large": large})).collect::<Vec<_>>();
    // 20 such buckets exceed both limits, and one bucket does not.
    let db = limited(ChangeLimits { queue: 60_000, ring: 60_000, ..ChangeLimits::default() });
    let mut changes = db.listen(CLASS).unwrap();
    let mut others = db.listen("a.b/other").unwrap();
    create(&db, 1);
    let seq = changes.recv().unwrap().unwrap().seq;
    db.create_all(CLASS, &buckets(20)).unwrap();
    create(&db, 2);
    assert_eq!(next(&mut changes, 2), [Err(json!(20)), Ok(json!(2))]);
    let expired = db.changes(CLASS.into(), ChangeOptions::after(seq)).unwrap_err();
    assert!(expired.is(ErrorId::CHANGES_EXPIRED), "{expired}");

    // The same in a transaction that a caller has begun.
    db.transaction(|tx| {
        tx.create_all(CLASS, &buckets(20))?;
        tx.commit()
    })
    .unwrap();
    create(&db, 3);
    assert_eq!(next(&mut changes, 2), [Err(json!(20)), Ok(json!(3))]);

    // Of a large import only the number of changes is kept, so every subscriber gets the error.
    let other = WorldletEngine::in_memory().unwrap();
    other.create_all(CLASS, &buckets(30)).unwrap();
    let mut worldlet = Vec::new();
    other.write_worldlet(&mut worldlet).unwrap();
    db.read_worldlet(&mut &worldlet[..], false).unwrap();
    create(&db, 4);
    db.create("a.b/other", &json!({"n": 5})).unwrap();
    assert_eq!(next(&mut changes, 2), [Err(json!(30)), Ok(json!(4))]);
    assert_eq!(next(&mut others, 2), [Err(json!(30)), Ok(json!(5))]);
}

#[test]
fn a_subscriber_that_resumes_and_is_slow_keeps_no_changes_from_being_dropped() {
    let db = limited(ChangeLimits { ring: 10_000, ..ChangeLimits::default() });
    let mut changes = db.listen(CLASS).unwrap();
    (0..5).for_each(|n| drop(create(&db, n)));
    let seq = changes.recv().unwrap().unwrap().seq;
    let [mut unread, mut read_in_part, mut read] =
        [(); 3].map(|()| db.changes(CLASS.into(), ChangeOptions::after(seq)).unwrap());
    assert_eq!(next(&mut read_in_part, 2), [Ok(json!(1)), Ok(json!(2))]);
    assert_eq!(next(&mut read, 4), [1, 2, 3, 4].map(|n| Ok(json!(n))));
    (5..1000).for_each(|n| drop(create(&db, n)));
    for late in [&mut unread, &mut read_in_part] {
        assert!(late.recv().unwrap().unwrap_err().is(ErrorId::CHANGES_EXPIRED));
        assert!(late.recv().is_none());
    }
    assert_eq!(next(&mut read, 995), (5..1000).map(|n| Ok(json!(n))).collect::<Vec<_>>());
}

#[test]
fn the_last_changes_are_kept_within_a_bound() {
    let db = limited(ChangeLimits { ring: 10_000, ..ChangeLimits::default() });
    let mut changes = db.listen(CLASS).unwrap();
    (0..1000).for_each(|n| drop(create(&db, n)));
    let seqs: Vec<i64> = (0..1000).map(|_| changes.recv().unwrap().unwrap().seq).collect();
    let resumes = |seq: i64| match db.changes(CLASS.into(), ChangeOptions::after(seq)) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is(ErrorId::CHANGES_EXPIRED), "{error}");
            false
        }
    };
    let kept = seqs.iter().filter(|seq| resumes(**seq)).count();
    // The ring of 10,000 bytes holds changes of 100 to 2,000 bytes.
    assert!((5..100).contains(&kept), "{kept}");
    assert!(!resumes(seqs[999 - kept]) && resumes(seqs[1000 - kept]));
}

#[test]
fn new_limits_apply_to_the_last_changes_as_soon_as_another_subscription_begins() {
    // A ring of 10,000 bytes holds less than 100 changes.
    for (first, then, is_kept) in [(10_000, 10_000_000, true), (10_000_000, 10_000, false)] {
        let limits = |ring| ChangeLimits { ring, ..ChangeLimits::default() };
        let db = limited(limits(first));
        let mut changes = db.listen(CLASS).unwrap();
        db.limit_changes(limits(then));
        let _later = db.listen(CLASS).unwrap();
        (0..200).for_each(|n| drop(create(&db, n)));
        let seq = changes.recv().unwrap().unwrap().seq;
        let resumed = db.changes(CLASS.into(), ChangeOptions::after(seq));
        assert_eq!(resumed.is_ok(), is_kept, "{first} bytes, then {then}: {resumed:?}");
    }
}

#[test]
fn changes_are_kept_for_a_time_after_the_last_subscription_ends() {
    for (keep, is_kept) in [(Duration::from_secs(3600), true), (Duration::ZERO, false)] {
        let db = limited(ChangeLimits { keep, ..ChangeLimits::default() });
        let mut changes = db.listen(CLASS).unwrap();
        create(&db, 1);
        let seq = changes.recv().unwrap().unwrap().seq;
        drop(changes);
        create(&db, 2);
        let resumed = db.changes(CLASS.into(), ChangeOptions::after(seq));
        assert_eq!(resumed.is_ok(), is_kept, "{resumed:?}");
        if let Ok(mut resumed) = resumed {
            assert_eq!(next(&mut resumed, 1), [Ok(json!(2))]);
        }
    }
}

#[test]
fn a_group_of_calls_is_delivered_after_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sqlite(folder.path().join("crew.db"), Mode::ReadWrite).unwrap();
    let mut changes = db.listen(CLASS).unwrap();
    let mut begun_in_group = None;
    db.run_group(&mut |n| {
        create(&db, i64::try_from(n).unwrap());
        assert!(n == 2 || changes.try_recv().is_pending(), "nothing is committed yet");
        if n == 1 {
            // The snapshot has the records that the group has created so far.
            begun_in_group = Some(db.changes(CLASS.into(), ChangeOptions::snapshot()).unwrap());
        }
        n < 2
    })
    .unwrap();
    assert_eq!(next(&mut changes, 3), [0, 1, 2].map(|n| Ok(json!(n))));
    let mut begun_in_group = begun_in_group.unwrap();
    assert_eq!(next(&mut begun_in_group, 2), [0, 1].map(|n| Ok(json!(n))));
    assert_eq!(begun_in_group.recv().unwrap().unwrap().kind, ChangeKind::Synced);
    assert_eq!(next(&mut begun_in_group, 1), [Ok(json!(2))]);
}

#[test]
fn an_engine_that_is_opened_again_refuses_to_resume_after_earlier_changes() {
    fn check<E: Engine>(open: impl Fn() -> E) {
        let db = open();
        let mut changes = db.listen(CLASS).unwrap();
        // The row ids of the deleted records may be assigned again by a new engine.
        let pks: Vec<String> = (0..10).map(|n| create(&db, n)).collect();
        pks.iter().skip(1).for_each(|pk| db.delete(pk).unwrap());
        let seqs: Vec<i64> = (0..19).map(|_| changes.recv().unwrap().unwrap().seq).collect();
        drop((changes, db));
        let db = open();
        let _open = db.listen(CLASS).unwrap();
        (0..30).for_each(|n| drop(create(&db, n)));
        for seq in &seqs[..18] {
            let error = db.changes(CLASS.into(), ChangeOptions::after(*seq)).unwrap_err();
            assert!(error.is(ErrorId::CHANGES_EXPIRED), "{error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    check(|| open_sqlite(folder.path().join("crew.db"), Mode::ReadWrite).unwrap());
    check(|| WorldletEngine::open(folder.path().join("crew.json"), Mode::ReadWrite).unwrap());
    let db = WorldletEngine::open(folder.path().join("crew.json"), Mode::Read).unwrap();
    assert!(db.listen(CLASS).unwrap_err().is(ErrorId::READ_ONLY_CONNECTION));
}

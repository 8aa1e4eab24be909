//! Changes in a share: every subscriber gets those of all workers, and one that sleeps or dies harms no
//! other.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::task::Poll;

use mikobase::prelude::*;
use mikobase::{Change, ChangeKind, ChangeOptions, Stream};
use nix::sys::signal::Signal;

use crate::harness::Case;
use crate::random::Random;
use crate::support::{Event, proxy, uds, wait_for_ever};

pub const CASES: &[Case] = &[
    ("replicas_of_all_workers_agree_at_every_seq", replicas),
    ("a_subscriber_that_sleeps_is_told_what_it_has_missed_and_delays_nobody", sleeper),
    ("a_subscriber_that_is_killed_costs_nothing_more", killed),
    ("a_subscriber_resumes_on_another_connection", resumed),
    ("an_async_client_subscribes", asynchronous),
    ("a_listener_of_the_server_is_called_for_every_change", of_server),
];

const CLASS: &str = "a.b/counter";

/// The content of the records of a set, by their pks.
type State = BTreeMap<String, String>;

/// Runs `test` with a share on an engine in memory, and on one whose calls are committed in groups.
fn on_two_engines(mut test: impl FnMut(Uds)) {
    let folder = tempfile::tempdir().unwrap();
    test(uds());
    test(uds().backend(folder.path().join("counters.db").to_str().unwrap()).unwrap());
}

/// Some writes: single ones, transactions that are committed, and such that are not.
fn write(db: &MikobaseClient, index: usize) -> mikobase::Result<()> {
    let mut random = Random::quiet(index as u64);
    let mut own = Vec::new();
    for n in 0..30_i64 {
        match random.below(4) {
            0 => own.push(db.create(CLASS, &json!({"n": n}))?),
            1 => drop(own.pop().map(|pk| db.delete(&pk)).transpose()?),
            2 => {
                let write = |tx: &mikobase::Remote<dyn mikobase::Transaction>| {
                    own.iter().try_for_each(|pk| tx.increment(pk, ["n"], 1).map(drop))?;
                    Ok::<_, Error>([
                        tx.create(CLASS, &json!({"n": -n}))?,
                        tx.create(CLASS, &json!({"n": -n}))?,
                    ])
                };
                let is_kept = random.one_in(2);
                let created = db.transaction(|tx| {
                    let created = write(tx)?;
                    if is_kept { tx.commit().map(|()| created) } else { Ok(created) }
                })?;
                if is_kept {
                    own.extend(created);
                }
            }
            _ => own.iter().try_for_each(|pk| db.increment(pk, ["n"], 1).map(drop))?,
        }
    }
    Ok(())
}

/// Applies changes until `is_end`. Returns the state after each transaction, by its number.
fn follow(
    changes: &mut Stream<Change>,
    state: &mut State,
    mut is_end: impl FnMut(&State) -> bool,
) -> mikobase::Result<BTreeMap<i64, State>> {
    let mut states = BTreeMap::new();
    while !states.last_key_value().is_some_and(|(_, state)| is_end(state)) {
        let change = changes.recv().expect("the share runs")?;
        match change.record {
            Some(record) => drop(state.insert(record.pk, record.bucket.into_string())),
            None => drop(state.remove(&change.pk)),
        }
        if change.last {
            states.insert(change.seq, state.clone());
        }
    }
    Ok(states)
}

fn replicas() {
    const WORKERS: usize = 5;
    on_two_engines(|uds| {
        let report = uds.mikobase(WORKERS, |db, worker| {
            let mut changes = db.changes(CLASS.into(), ChangeOptions::snapshot())?;
            let mut state = State::new();
            // One reads before it writes, and resumes on the way.
            let mut states = match worker.index() {
                0 => follow(&mut changes, &mut state, |_| true)?,
                _ => BTreeMap::new(),
            };
            write(db, worker.index())?;
            if let Some(seq) = states.last_key_value().map(|(seq, _)| *seq) {
                changes = db.changes(CLASS.into(), ChangeOptions::after(seq).leaving())?;
            }
            db.create(CLASS, &json!({"done": worker.index()}))?;
            let is_end =
                |state: &State| state.values().filter(|bucket| bucket.contains("done")).count() == WORKERS;
            states.extend(follow(&mut changes, &mut state, is_end)?);
            let records = db.by_class(CLASS)?;
            let present = records.into_iter().map(|record| (record.pk, record.bucket.into_string()));
            assert_eq!(state, present.collect::<State>());
            Ok(states)
        });
        let replicas = report.unwrap().into_returned().unwrap();
        for replica in &replicas {
            assert!(replica.len() > 5, "{}", replica.len());
            let first = *replica.first_key_value().unwrap().0;
            for other in &replicas {
                let later: Vec<_> = other.range(first..).collect();
                let begin = *later[0].0;
                assert_eq!(replica.range(begin..).collect::<Vec<_>>(), later);
            }
        }
    });
}

fn sleeper() {
    on_two_engines(|uds| {
        let uds = uds.change_queue(20_000);
        let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
        let connect = || proxy(&share);
        let (asleep, awake, writer) = (connect(), connect(), connect());
        let mut sleeping = asleep.listen(CLASS).unwrap();
        let mut reading = awake.listen(CLASS).unwrap();
        for n in 0..1000 {
            let pk = writer.create(CLASS, &json!({"n": n, "text": "x".repeat(500)})).unwrap();
            assert_eq!(reading.recv().unwrap().unwrap().pk, pk);
        }
        let lagged = sleeping.recv().unwrap().unwrap_err();
        assert!(lagged.is(mikobase::ErrorId::LAGGED), "{lagged}");
        let lost = lagged.items()[0].details["count"].as_i64().unwrap();
        assert!((900..1000).contains(&lost), "{lost}");
        for n in lost..1000 {
            let record = sleeping.recv().unwrap().unwrap().record.unwrap();
            assert_eq!(record.bucket.get("n").unwrap(), Some(n.into()));
        }
        share.join().unwrap();
    });
}

fn killed() {
    on_two_engines(|uds| {
        let subscribed = Event::new();
        let share = uds
            .spawn(3, |db, _| {
                let mut changes = db.changes(CLASS.into(), ChangeOptions::snapshot())?;
                assert_eq!(changes.recv().unwrap()?.kind, ChangeKind::Synced);
                subscribed.notify();
                wait_for_ever();
                #[expect(unreachable_code, reason = "the type of the block")]
                Ok(())
            })
            .unwrap();
        (0..3).for_each(|_| subscribed.wait());
        let db = share.db().unwrap();
        let mut changes = db.listen(CLASS).unwrap();
        (0..50).for_each(|n| drop(db.create(CLASS, &json!({"n": n})).unwrap()));
        share.kill(Signal::SIGKILL as i32).unwrap();
        for n in 0..50 {
            db.create(CLASS, &json!({"n": 50 + n})).unwrap();
        }
        for n in 0..100 {
            let record = changes.recv().unwrap().unwrap().record.unwrap();
            assert_eq!(record.bucket.get("n").unwrap(), Some(n.into()));
        }
        assert!(matches!(changes.try_recv(), Poll::Pending));
        drop(changes);
        share.join().unwrap();
    });
}

fn resumed() {
    on_two_engines(|uds| {
        let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
        let connect = || proxy(&share);
        let db = share.db().unwrap();
        let mut pks = Vec::new();
        let mut create = || pks.push(db.create(CLASS, &json!({})).unwrap());
        let first = connect();
        let mut changes = first.listen(CLASS).unwrap();
        (0..10).for_each(|_| create());
        let mut seen: Vec<Change> = (0..4).map(|_| changes.recv().unwrap().unwrap()).collect();
        let seq = changes.last_seq();
        assert_eq!(seq, seen[3].seq.unsigned_abs());
        drop((changes, first));
        (0..10).for_each(|_| create());
        let second = connect();
        let options = ChangeOptions::after(i64::try_from(seq).unwrap());
        let mut changes = second.changes(CLASS.into(), options).unwrap();
        create();
        seen.extend((0..17).map(|_| changes.recv().unwrap().unwrap()));
        assert_eq!(seen.into_iter().map(|change| change.pk).collect::<Vec<_>>(), pks);
        drop(changes);
        share.join().unwrap();
    });
}

fn asynchronous() {
    let uds = uds();
    let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = MikobaseAsyncClient::connect(share.path(), share.token()).await.unwrap();
        let mut changes = db.changes(CLASS.into(), ChangeOptions::default()).await.unwrap();
        let create = json!({"action": "create", "class": CLASS, "bucket": {}});
        let pk = db.q0(create).await.unwrap().into_pk().unwrap();
        assert_eq!(changes.recv_async().await.unwrap().unwrap().pk, pk);
    });
    drop(runtime);
    share.join().unwrap();
}

fn of_server() {
    on_two_engines(|uds| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = fs::File::create(&path).unwrap();
        let uds = uds.setup(move |server| {
            server.after_save(CLASS, move |change| {
                let change = change.expect("nothing is left out");
                writeln!(log, "{}", change.pk).unwrap();
            })?;
            Ok(())
        });
        let report = uds.mikobase(3, |db, _| {
            (0..20).map(|_| Ok(db.create(CLASS, &json!({}))?)).collect::<Result<Vec<_>, _>>()
        });
        let mut created: Vec<String> = report.unwrap().into_returned().unwrap().concat();
        let mut logged: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        created.sort();
        logged.sort();
        assert_eq!(logged, created);
    });
}

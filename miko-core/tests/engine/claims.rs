//! Claims: a record has one claimant at a time, until that finishes, or its lease or its connection ends.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use miko_core::backend::Mode;
use miko_core::q0::{Edits, Select, Sort, eq};
use miko_core::{Claim, ErrorId, Mikobase, MikobaseExt, Results, SqliteEngine, TransactionLimits};
use miko_rpc::{CallGates, ParkedCall, serve_call};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, cases, db, engine};

const CLASS: &str = "a.b/job";

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3600);

fn waiting() -> Select {
    Select::class(CLASS).path(["state"], eq("waiting"))
}

/// Creates a job for each number, and returns their pks.
fn jobs(db: &dyn Mikobase, numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    let job = |n| json!({"n": n, "state": "waiting"});
    db.create_all(CLASS, &numbers.into_iter().map(job).collect::<Vec<_>>()).unwrap()
}

fn claim(db: &dyn Mikobase) -> Option<Claim<'_, dyn Mikobase + '_>> {
    db.claim(waiting(), LONG).unwrap()
}

fn done() -> Edits {
    Edits::new().set(["state"], "done")
}

fn number(claim: &Claim<'_, dyn Mikobase + '_>) -> i64 {
    claim.bucket.get("n").unwrap().unwrap().as_i64().unwrap()
}

fn results(db: &dyn Mikobase, request: Value) -> Results {
    db.q0(request).unwrap().results
}

/// Checks that a request fails with this id, and returns the text of the error.
fn fails(db: &dyn Mikobase, request: Value, id: ErrorId) -> String {
    let error = db.q0(request.clone()).unwrap_err();
    assert!(error.is(id), "{request}: {error}");
    error.to_string()
}

#[test]
fn a_record_has_one_claim_at_a_time() {
    let db = db();
    let pks = jobs(&*db, 0..3);
    let claims: Vec<_> = (0..3).map(|_| claim(&*db).unwrap()).collect();
    assert!(claims.iter().map(|claim| &claim.pk).eq(&pks), "in order of creation");
    assert!(claim(&*db).is_none());

    let [first, second, third] = claims.try_into().unwrap();
    assert_eq!(first.finish_with(done()).unwrap(), [json!("waiting")]);
    second.release().unwrap();
    drop(third);
    let claimed_again = [claim(&*db).unwrap(), claim(&*db).unwrap()];
    assert_eq!(
        claimed_again.each_ref().map(|claim| (claim.pk.as_str(), claim.attempts())),
        [(&*pks[1], 2), (&*pks[2], 2)]
    );
    assert!(claim(&*db).is_none());
}

#[test]
fn the_first_record_by_the_sort_is_claimed() {
    let db = db();
    jobs(&*db, [5, 1, 9, 3]);
    let largest = || waiting().sort(Sort::by(["n"]).reverse());
    let claimed: Vec<_> = std::iter::from_fn(|| db.claim(largest(), LONG).unwrap()).collect();
    let numbers: Vec<_> = claimed.iter().map(|claim| claim.bucket.get("n").unwrap().unwrap()).collect();
    assert_eq!(numbers, [9, 5, 3, 1]);
}

#[test]
fn more_records_may_be_claimed_than_a_claim_first_examines() {
    let db = db();
    // A claim first examines 32 records.
    jobs(&*db, 0..150);
    let claimed: Vec<_> = std::iter::from_fn(|| claim(&*db)).collect();
    assert!(claimed.iter().map(number).eq(0..150));
}

#[test]
fn a_claim_changes_neither_the_record_nor_its_history() {
    let db = db();
    let pks = jobs(&*db, [1]);
    let before = db.record_by_pk(&pks[0]).unwrap();
    let claimed = claim(&*db).unwrap();
    assert_eq!(Some(&*claimed), before.as_ref());
    assert_eq!(db.record_by_pk(&pks[0]).unwrap(), before);
    // A claim does not prevent other callers from writing the record.
    db.patch(&pks[0], &json!({"note": "seen"})).unwrap();
    claimed.finish_with(done()).unwrap();
    let after = db.record_by_pk(&pks[0]).unwrap().unwrap();
    assert_eq!(after.bucket.as_str(), r#"{"n":1,"state":"done","note":"seen"}"#);
}

#[test]
fn finishing_changes_the_record_or_says_why_not() {
    let db = db();
    let pks = jobs(&*db, 0..4);

    let error = claim(&*db).unwrap().finish().unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "the select of the claim still finds the record: {error}");
    let first = claim(&*db).unwrap();
    assert_eq!(first.pk, pks[0], "the claim was released when it was dropped");
    db.patch(&pks[0], &json!({"state": "done"})).unwrap();
    first.finish().unwrap();

    claim(&*db).unwrap().finish_by_deleting().unwrap();
    assert_eq!(db.record_by_pk(&pks[1]).unwrap(), None);

    // An edit that is refused changes nothing, and its claim ends as well.
    let refused = claim(&*db).unwrap().finish_with(Edits::new().increment(["state"], 1));
    assert!(refused.unwrap_err().is(ErrorId::EDIT_REFUSED));
    let third = claim(&*db).unwrap();
    assert_eq!((third.pk.as_str(), third.attempts()), (&*pks[2], 2));

    // After a claim is finished, its attempts are counted from one again, also if the select still finds it.
    third.finish_with(Edits::new().set(["n"], 7)).unwrap();
    assert_eq!(claim(&*db).unwrap().attempts(), 1);
}

#[test]
fn an_ended_claim_is_lost() {
    let db = db();
    let pks = jobs(&*db, 0..2);
    let id_of = |request| match results(&*db, request) {
        Results::Claimed(Some(claimed)) => claimed.claim,
        other => panic!("{other:?}"),
    };
    let claim_request =
        json!({"action": "claim", "select": {"class": CLASS, "path": ["state", "waiting"]}, "lease": 3600});
    let finish = |claim: &str| json!({"action": "finish", "claim": claim, "edits": Value::from(done())});
    let release = |claim: &str| json!({"action": "release", "claim": claim});

    let released = id_of(claim_request.clone());
    results(&*db, release(&released));
    fails(&*db, finish(&released), ErrorId::CLAIM_LOST);
    fails(&*db, release(&released), ErrorId::CLAIM_LOST);

    let finished = id_of(claim_request.clone());
    results(&*db, finish(&finished));
    fails(&*db, finish(&finished), ErrorId::CLAIM_LOST);

    let deleted = id_of(claim_request.clone());
    db.delete(&pks[1]).unwrap();
    fails(&*db, finish(&deleted), ErrorId::CLAIM_LOST);
    fails(&*db, finish("no such claim"), ErrorId::CLAIM_LOST);
    assert_eq!(results(&*db, claim_request), Results::Claimed(None));
}

#[test]
fn a_claim_ends_with_its_lease() {
    let db = db();
    jobs(&*db, [1]);
    let short = db.claim(waiting(), Duration::from_millis(1)).unwrap().unwrap();
    let next = db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
    assert_eq!(next.attempts(), 2);
    assert!(short.finish_with(done()).unwrap_err().is(ErrorId::CLAIM_LOST));
    next.finish_with(done()).unwrap();
}

#[test]
fn a_call_waits_until_a_record_is_free() {
    let db = db();
    let wait = || db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
    let held = |pk: &str| db.claim(json!({"class": CLASS, "pk": pk}), LONG).unwrap().unwrap();
    let pk = jobs(&*db, [0]).remove(0);
    type FreeingWrite<'f> = (&'f str, &'f (dyn Fn() + Sync));
    let ways: [FreeingWrite<'_>; 5] = [
        ("a create", &|| drop(jobs(&*db, [1]))),
        ("an update", &|| db.patch(&pk, &json!({"state": "waiting"})).unwrap()),
        ("a transaction", &|| {
            db.transact(|tx| tx.patch(&pk, &json!({"state": "waiting"}))).unwrap();
        }),
        ("a batch", &|| {
            let create = json!({"action": "create", "class": CLASS, "bucket": {"n": 2, "state": "waiting"}});
            db.batch(vec![json!({"action": "select", "limit": 1}), create], true).unwrap();
        }),
        ("an import", &|| {
            let record = json!({"bucket": {"n": 3, "state": "waiting"}, "stack": {"1": {"class": CLASS}}});
            let worldlet = json!({"format": "worldlet/1.0", "records": {"imported": record}});
            db.import_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap();
        }),
    ];
    held(&pk).finish_with(done()).unwrap();
    for (way, free) in ways {
        let number = thread::scope(|scope| {
            let waiter = scope.spawn(wait);
            free();
            let claimed = waiter.join().unwrap();
            let number = claimed.bucket.get("n").unwrap().unwrap();
            claimed.finish_with(done()).unwrap();
            number
        });
        assert!(number.is_number(), "{way}");
    }
    // A release makes the record free, too, which ends the wait.
    jobs(&*db, [9]);
    let first = wait();
    thread::scope(|scope| {
        let waiter = scope.spawn(wait);
        first.release().unwrap();
        assert_eq!(waiter.join().unwrap().attempts(), 2);
    });
}

#[test]
fn a_wait_ends_without_a_record() {
    let db = db();
    let claim = db.claim_or_wait(waiting(), LONG, Duration::from_millis(2)).unwrap();
    assert!(claim.is_none());
    // The call that has stopped waiting does not get a record that becomes free later.
    jobs(&*db, [1]);
    assert!(db.claim_or_wait(waiting(), LONG, LONG).unwrap().is_some());
}

/// Claims a job as on a server, which makes a parked call again. `None` if it is parked.
fn claim_in_call(db: &dyn Mikobase, wait: Duration, gates: &mut CallGates) -> Option<Results> {
    let CallGates { mut passes, parked, locals } = std::mem::take(gates);
    passes.extend(parked.map(ParkedCall::into_pass));
    let select = json!({"class": CLASS, "path": ["state", "waiting"]});
    let request = json!({"action": "claim", "select": select, "lease": 60, "wait": wait.as_secs_f64()});
    let entered = CallGates { passes, parked: None, locals };
    let (claimed, left) = serve_call(None, entered, || db.q0(request));
    *gates = left;
    match claimed {
        Ok(response) => Some(response.results),
        Err(error) if error.is(ErrorId::PARKED) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_wait_for_the_turn_to_write_is_a_part_of_the_wait_for_a_record() {
    let db = engine();
    for wait in [Duration::from_millis(2), LONG] {
        let tx = db.begin().unwrap();
        tx.create("a.b/other", &json!({})).unwrap();
        let mut gates = CallGates::default();
        assert_eq!(claim_in_call(&*db, wait, &mut gates), None, "it waits for its turn");
        // The wait has begun before.
        let has_begun = Instant::now();
        while wait < LONG && has_begun.elapsed() <= wait {
            thread::yield_now();
        }
        tx.commit().unwrap();
        let claimed = claim_in_call(&*db, wait, &mut gates);
        if wait < LONG {
            assert_eq!(claimed, Some(Results::Claimed(None)), "the wait does not begin again");
            continue;
        }
        assert_eq!(claimed, None, "it waits for a record");
        jobs(&*db, [1]);
        let claimed = claim_in_call(&*db, wait, &mut gates);
        assert!(matches!(claimed, Some(Results::Claimed(Some(_)))), "{claimed:?}");
    }
}

#[test]
fn a_claim_waits_for_its_turn_as_long_as_for_a_record() {
    let limits = TransactionLimits { lock_timeout: Duration::ZERO, ..TransactionLimits::default() };
    let db = SqliteEngine::in_memory().unwrap().transaction_limits(limits);
    let tx = db.begin().unwrap();
    jobs(&*tx, [1]);
    let mut gates = CallGates::default();
    assert_eq!(claim_in_call(&db, LONG, &mut gates), None);
    assert!(gates.parked.as_ref().unwrap().check_time().is_some(), "its time is not over");
    tx.commit().unwrap();
    assert!(matches!(claim_in_call(&db, LONG, &mut gates), Some(Results::Claimed(Some(_)))));
}

#[test]
fn each_of_many_waiting_calls_gets_a_record_of_its_own() {
    let db = db();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut numbers = Vec::new();
                    loop {
                        let job = db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
                        let number = job.bucket.get("n").unwrap().unwrap().as_i64().unwrap();
                        job.finish_with(done()).unwrap();
                        match number {
                            -1 => return numbers,
                            number => numbers.push(number),
                        }
                    }
                })
            })
            .collect();
        for n in 0..50 {
            jobs(&*db, [n]);
        }
        jobs(&*db, 50..100);
        // Each worker ends with one of these.
        jobs(&*db, [-1; 8]);
        let mut done: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        done.sort_unstable();
        assert_eq!(done, (0..100).collect::<Vec<_>>(), "each job was done once");
    });
    assert_eq!(db.count(waiting()).unwrap(), 0);
}

#[test]
fn a_claim_and_its_end_belong_to_their_transaction() {
    let db = db();
    jobs(&*db, [1]);
    // A claim that is rolled back has no effect: the record is free, and nothing has its id.
    let rolled_back = db.transaction(|tx| {
        let claimed = tx.claim(waiting(), LONG)?.unwrap();
        let id = claimed.id().to_owned();
        std::mem::forget(claimed);
        Ok(id)
    });
    let finish = json!({"action": "finish", "claim": rolled_back.unwrap(), "edits": Value::from(done())});
    fails(&*db, finish, ErrorId::CLAIM_LOST);
    let claimed = claim(&*db).unwrap();
    assert_eq!(claimed.attempts(), 1);

    // An end that is rolled back leaves the claim.
    let id = claimed.id().to_owned();
    db.transaction(|tx| claimed.finish_in(tx, done())).unwrap();
    assert_eq!(db.count(waiting()).unwrap(), 1);
    assert!(claim(&*db).is_none(), "the claim is still in force");

    // A claim that is finished in a transaction takes effect together with its other writes.
    db.transact(|tx| {
        tx.create("a.b/log", &json!({"of": "the job"}))?;
        tx.q0(json!({"action": "finish", "claim": id, "edits": Value::from(done())}))
    })
    .unwrap();
    assert_eq!(db.count(waiting()).unwrap(), 0);
    assert_eq!(db.count(json!({"class": "a.b/log"})).unwrap(), 1);
}

#[test]
fn claims_of_a_batch_that_fails_are_undone() {
    let db = db();
    jobs(&*db, 0..2);
    let claim_request = json!({"action": "claim", "select": {"class": CLASS}, "lease": 60});
    let batch = vec![claim_request.clone(), json!({"action": "delete", "pk": "nobody"})];
    assert!(db.batch(batch.clone(), true).unwrap_err().is(ErrorId::RECORD_NOT_FOUND));
    assert_eq!(claim(&*db).unwrap().attempts(), 1, "the claim of the failed batch was undone");

    let answers = db.batch([batch, vec![claim_request]].concat(), false).unwrap();
    let attempts = |index: usize| match &answers[index].as_ref().unwrap().results {
        Results::Claimed(Some(claimed)) => claimed.attempts,
        other => panic!("{other:?}"),
    };
    assert_eq!([attempts(0), attempts(2)], [2, 1]);
    assert!(claim(&*db).is_none());
}

#[test]
fn claims_of_invalid_selects_are_refused() {
    let db = db();
    let wait = json!({"action": "claim", "select": {"class": CLASS}, "lease": 1, "wait": 1});
    let error = db.batch(vec![wait.clone()], true).unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    assert_eq!(error.items()[0].details["pointer"], "/wait");
    let error = db.transaction(|tx| tx.q0(wait)).unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");

    for (request, pointer) in [
        (json!({"select": {"class": CLASS}, "lease": 0}), "/lease"),
        (json!({"select": {"class": CLASS}, "lease": "1"}), "/lease"),
        (json!({"select": {"class": CLASS}, "lease": 1, "wait": -1}), "/wait"),
        (json!({"select": {"class": CLASS}, "lease": 1e300}), "/lease"),
        (json!({"select": {"class": CLASS}, "lease": 1, "hold": "hand"}), "/hold"),
        (json!({"select": {"class": CLASS, "limit": 2}, "lease": 1}), "/select"),
        (json!({"select": {"class": "x", "action": "delete"}, "lease": 1}), "/select/action"),
        (json!({"select": [], "lease": 1}), "/select"),
    ] {
        let mut request = request;
        request["action"] = "claim".into();
        let error = db.q0(request.clone()).unwrap_err();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{request}: {error}");
        let pointers: Vec<_> = error.items().iter().filter_map(|item| item.details.get("pointer")).collect();
        assert!(pointers.contains(&&json!(pointer)), "{request}: {error}");
    }
    let both = json!({"action": "finish", "claim": "x", "edits": Value::from(done()), "delete": true});
    fails(&*db, both, ErrorId::INVALID_REQUEST);
}

/// A lasting claim, which ends only with its lease, is stored in the database, as is the number of attempts.
#[test]
fn a_lasting_claim_outlives_its_engine() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteEngine::open(folder.path().join("jobs.db"), Mode::ReadWrite).unwrap();
    let first = open();
    jobs(&first, 0..2);
    let claimed = |db: &SqliteEngine, hold| {
        let select = json!({"class": CLASS, "path": ["state", "waiting"]});
        match results(db, json!({"action": "claim", "select": select, "lease": 3600, "hold": hold})) {
            Results::Claimed(Some(claimed)) => claimed,
            other => panic!("{other:?}"),
        }
    };
    let (lasting, other) = (claimed(&first, "lease"), claimed(&first, "connection"));
    drop(first);

    let second = open();
    let claimed_again = claimed(&second, "connection");
    assert_eq!(
        (&claimed_again.record.pk, claimed_again.attempts),
        (&other.record.pk, 2),
        "the claim of the connection ended with it"
    );
    assert!(claim(&second).is_none());
    let finish = |claim: &str| json!({"action": "finish", "claim": claim});
    let message = fails(&second, finish(&lasting.claim), ErrorId::INVALID_REQUEST);
    assert!(message.contains("still finds the record"), "{message}");
    fails(&second, finish(&other.claim), ErrorId::CLAIM_LOST);
    let release = json!({"action": "release", "claim": lasting.claim});
    results(&second, release);
    assert_eq!(claim(&second).unwrap().attempts(), 2);
}

#[test]
fn a_damaged_select_of_a_lasting_claim_is_damage_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let open = || SqliteEngine::open(&path, Mode::ReadWrite).unwrap();
    let db = open();
    let damaged = ["", "null", "{\"class\": "];
    let request = json!({"action": "claim", "select": {"class": CLASS}, "lease": 3600, "hold": "lease"});
    db.create_all(CLASS, &damaged.map(|_| json!({"state": "waiting"}))).unwrap();
    let claims = damaged.map(|_| match results(&db, request.clone()) {
        Results::Claimed(Some(claimed)) => claimed.claim,
        other => panic!("{other:?}"),
    });
    drop(db);
    let rows = rusqlite::Connection::open(&path).unwrap();
    rows.execute_batch("BEGIN").unwrap();
    for (claim, select) in claims.iter().zip(damaged) {
        rows.execute("UPDATE claim SET lasting = ?2 WHERE id = ?1", (claim, select)).unwrap();
    }
    rows.execute_batch("COMMIT").unwrap();
    drop(rows);
    let db = open();
    for (claim, select) in claims.iter().zip(damaged) {
        let message = fails(&db, json!({"action": "finish", "claim": claim}), ErrorId::INTERNAL);
        assert!(message.contains("the store is damaged"), "{select}: {message}");
    }
}

/// A step on the jobs of the model.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    Claim,
    /// Finishes the claim with this index among those in force.
    Finish(usize),
    /// Releases the claim with this index.
    Release(usize),
    /// Finishes the claim with this index and claims a job in a transaction, which commits if the
    /// flag is set.
    InTransaction(usize, bool),
    /// Deletes the job with this index among those that are not done.
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || 0..8_usize;
    prop_oneof![
        3 => Just(Step::Create),
        4 => Just(Step::Claim),
        2 => index().prop_map(Step::Finish),
        2 => index().prop_map(Step::Release),
        2 => (index(), any::<bool>()).prop_map(|(index, commits)| Step::InTransaction(index, commits)),
        1 => index().prop_map(Step::Delete),
    ]
}

/// The jobs that are not done, by their numbers: how often each was claimed, and the id of its claim.
#[derive(Debug, Clone, Default)]
struct Model {
    jobs: BTreeMap<i64, (u64, Option<String>)>,
    /// The number of jobs created so far, which is the number of the next one.
    created: i64,
}

impl Model {
    /// The numbers of the claimed jobs.
    fn claimed(&self) -> Vec<i64> {
        let claimed = self.jobs.iter().filter(|(_, (_, claim))| claim.is_some());
        claimed.map(|(number, _)| *number).collect()
    }

    /// Claims, and compares with the first job that is free.
    fn claim(&mut self, db: &dyn Mikobase) {
        let free = self.jobs.iter_mut().find(|(_, (_, claim))| claim.is_none());
        let claim_request = json!({"action": "claim", "select": Value::from(waiting()), "lease": 3600});
        match (results(db, claim_request), free) {
            (Results::Claimed(None), None) => {}
            (Results::Claimed(Some(claimed)), Some((number, (attempts, claim)))) => {
                *attempts += 1;
                assert_eq!(claimed.record.bucket.get("n").unwrap().unwrap(), *number);
                assert_eq!(claimed.attempts, *attempts);
                *claim = Some(claimed.claim);
            }
            (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
        }
    }

    fn finish(&mut self, db: &dyn Mikobase, index: usize) {
        let Some(number) = self.claimed().get(index).copied() else { return };
        let (_, claim) = self.jobs.remove(&number).unwrap();
        results(db, json!({"action": "finish", "claim": claim, "edits": Value::from(done())}));
    }

    fn run(&mut self, step: Step, db: &Local, pks: &mut BTreeMap<i64, String>) {
        match step {
            Step::Create => {
                pks.insert(self.created, jobs(&**db, [self.created]).remove(0));
                self.jobs.insert(self.created, (0, None));
                self.created += 1;
            }
            Step::Claim => self.claim(&**db),
            Step::Finish(index) => self.finish(&**db, index),
            Step::Release(index) => {
                let Some(number) = self.claimed().get(index).copied() else { return };
                let claim = self.jobs.get_mut(&number).unwrap().1.take();
                results(&**db, json!({"action": "release", "claim": claim}));
            }
            Step::InTransaction(index, commits) => {
                let mut inside = self.clone();
                let tx = db.begin().unwrap();
                inside.finish(&*tx, index);
                inside.claim(&*tx);
                if commits {
                    tx.commit().unwrap();
                    *self = inside;
                }
            }
            Step::Delete(index) => {
                let Some(number) = self.jobs.keys().nth(index).copied() else { return };
                db.delete(&pks[&number]).unwrap();
                self.jobs.remove(&number);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// The model claims the first job that waits and is free.
    #[test]
    fn claims_equal_those_of_a_model(steps in vec(step(), 0..40)) {
        let db = db();
        let (mut model, mut pks) = (Model::default(), BTreeMap::new());
        for step in steps {
            model.run(step, &db, &mut pks);
        }
        let waiting: BTreeSet<i64> = db
            .select(waiting())
            .unwrap()
            .iter()
            .map(|job| job.bucket.get("n").unwrap().unwrap().as_i64().unwrap())
            .collect();
        prop_assert!(model.jobs.keys().eq(&waiting));
    }
}

/// A claim is in force for the later calls of its group, before the commit.
#[test]
fn each_call_of_a_group_claims_another_record() {
    let db = engine();
    let pks = jobs(&*db, 0..3);
    let mut claimed = Vec::new();
    db.run_group(&mut |index| {
        claimed.extend(claim(&*db));
        index < 2
    })
    .unwrap();
    assert!(claimed.iter().map(|claim| &claim.pk).eq(&pks));
}

/// A merge deletes a record although it is claimed.
#[test]
fn a_claim_is_lost_when_a_merge_deletes_its_record() {
    let db = db();
    if !db.properties().unwrap().temporal {
        return;
    }
    let pks = jobs(&*db, [1]);
    let claimed = claim(&*db).unwrap();
    let tombstone = json!({"identity": pks[0], "timestamp": "2100-01-01T00:00:00.000Z", "active": false});
    assert_eq!(db.merge(json!({"history": {"0": tombstone}})).unwrap().accepted, ["0"]);
    assert!(claimed.finish_with(done()).unwrap_err().is(ErrorId::CLAIM_LOST));
    assert!(claim(&*db).is_none());
}

/// Waiting calls are also woken by events that free a record without writing it.
#[test]
fn a_waiting_call_is_woken_by_each_event_that_frees_a_record() {
    let wait = |db: &Local, select: Select| {
        let claimed = db.claim_or_wait(select, LONG, LONG).unwrap().unwrap();
        let attempts = claimed.attempts();
        claimed.finish_by_deleting().unwrap();
        attempts
    };
    let db = db();
    // The second stage of a pipeline waits for a record that the first stage still claims.
    let pk = jobs(&*db, [1]).remove(0);
    let held = claim(&*db).unwrap();
    thread::scope(|scope| {
        let in_review = Select::class(CLASS).path(["state"], eq("review"));
        let reviewer = scope.spawn(|| wait(&db, in_review));
        db.patch(&pk, &json!({"state": "review"})).unwrap();
        held.finish().unwrap();
        assert_eq!(reviewer.join().unwrap(), 1);
    });
    // A claim whose finish is rolled back still ends with its lease.
    jobs(&*db, [2]);
    let short = db.claim(waiting(), Duration::from_millis(200)).unwrap().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(&db, waiting()));
        db.transaction(|tx| {
            tx.q0(json!({"action": "finish", "claim": short.id(), "delete": true})).map(drop)
        })
        .unwrap();
        assert_eq!(waiter.join().unwrap(), 2);
    });
    // A change of classes makes a select find several records more.
    let of_sub = ["x", "y"].map(|name| db.create("a.b/sub", &json!({"name": name})).unwrap());
    thread::scope(|scope| {
        let waiters = of_sub.each_ref().map(|_| scope.spawn(|| wait(&db, Select::class("a.b/base"))));
        let sub = json!({"inherits": "a.b/base", "misc_fields": true});
        db.import_schema(json!({"classes": {"a.b/base": {"misc_fields": true}, "a.b/sub": sub}})).unwrap();
        assert_eq!(waiters.map(|waiter| waiter.join().unwrap()), [1, 1]);
    });
}

/// A claim whose end is rolled back is kept, however many the connection has.
#[test]
fn no_claim_is_forgotten_while_its_end_may_be_undone() {
    let db = db();
    // A connection first removes its ended claims when it has 128.
    jobs(&*db, 0..130);
    let claims: Vec<_> = (0..127).map(|_| claim(&*db).unwrap()).collect();
    let first = claims[0].id().to_owned();
    db.transaction(|tx| {
        tx.q0(json!({"action": "finish", "claim": first, "edits": Value::from(done())}))?;
        std::mem::forget(tx.claim(waiting(), LONG)?);
        std::mem::forget(tx.claim(waiting(), LONG)?);
        Ok(())
    })
    .unwrap();
    results(&*db, json!({"action": "finish", "claim": first, "edits": Value::from(done())}));
    // Dropping them would release each record in a call of its own, which takes long.
    claims.into_iter().for_each(std::mem::forget);
}

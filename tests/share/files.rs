//! A share on a file: acknowledged writes are durable when the server is killed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use mikobase::backend::{self, Mode};
use mikobase::prelude::*;
use mikobase::{Returning, SqliteEngine};
use nix::libc::{self, RLIM_INFINITY};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe};

use crate::deaths::server_of;
use crate::harness::Case;
use crate::random::Random;
use crate::support::{Event, create, uds};

pub const CASES: &[Case] = &[
    ("a_share_keeps_its_records_in_a_file", kept),
    ("calls_of_many_workers_are_committed_together_and_each_has_its_own_result", together),
    ("writes_that_the_disk_does_not_take_are_refused_and_leave_nothing", disk_full),
    ("a_file_that_is_in_use_is_an_error_of_the_share", in_use),
    ("acknowledged_writes_survive_a_hundred_kills", killed_on_sqlite),
    ("acknowledged_writes_survive_a_hundred_kills_on_a_worldlet", killed_on_a_worldlet),
    ("a_killed_import_leaves_all_or_nothing", killed_imports),
];

fn on_file(path: &Path) -> Uds {
    uds().backend(&path.display().to_string()).unwrap().returning(Returning::Nothing)
}

fn kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    for round in 1..=3 {
        let report = on_file(&path).mikobase(4, |db, worker| {
            create(db, worker.index())?;
            Ok(())
        });
        report.unwrap().all_succeeded().unwrap();
        let db = SqliteEngine::open(&path, Mode::Read).unwrap();
        assert_eq!(db.by_class("test.org/item").unwrap().count(), 4 * round);
    }
}

/// Workers create records with the same unique numbers at the same time: one succeeds, the others get an
/// error.
fn together() {
    const WORKERS: usize = 8;
    const NUMBERS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let uds = on_file(&path)
        .schema(json!({"classes": {"test.org/berth": {"fields": {"number": {"unique": true}}}}}));
    let report = uds.mikobase(WORKERS, |db, _| {
        let mut mine = 0;
        for number in 0..NUMBERS {
            match db.create("test.org/berth", &json!({"number": number})) {
                Ok(pk) => {
                    assert!(db.record_by_pk(&pk)?.is_some(), "what was answered is there");
                    mine += 1;
                }
                Err(error) if error.is(ErrorId::UNIQUE_VIOLATION) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(mine)
    });
    let given: usize = report.unwrap().into_returned().unwrap().into_iter().sum();
    assert_eq!(given, NUMBERS);
    let db = SqliteEngine::open(&path, Mode::Read).unwrap();
    assert_eq!(db.by_class("test.org/berth").unwrap().count(), NUMBERS);
}

/// The server may not write to files for a while, which is as if the disk were full. Calls whose commit fails
/// are refused, also those that were run together with others and were complete.
fn disk_full() {
    const WORKERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let (begun, refused, lifted) = (Event::new(), Event::new(), Event::new());
    // SAFETY: the signal is ignored, so that no handler runs. Its write fails instead.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
    let uds = on_file(&path);
    let share = uds
        .spawn(WORKERS, |db, worker| {
            let mut acknowledged = vec![create(db, worker.index())?];
            begun.notify();
            let error = loop {
                match create(db, worker.index()) {
                    Ok(pk) => acknowledged.push(pk),
                    Err(error) => break error,
                }
            };
            refused.notify();
            lifted.wait();
            acknowledged.push(create(db, worker.index())?);
            Ok((acknowledged, error))
        })
        .unwrap();
    let server = server_of(share.path());
    (0..WORKERS).for_each(|_| begun.wait());
    set_file_size_limit(server, 1);
    (0..WORKERS).for_each(|_| refused.wait());
    set_file_size_limit(server, RLIM_INFINITY);
    (0..WORKERS).for_each(|_| lifted.notify());
    let returned = share.join().unwrap().into_returned().unwrap();
    let db = SqliteEngine::open(&path, Mode::Read).unwrap();
    let mut expected: Vec<String> = returned.iter().flat_map(|(pks, _)| pks.clone()).collect();
    let mut found: Vec<String> =
        db.by_class("test.org/item").unwrap().into_iter().map(|record| record.pk).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "what was acknowledged is there, and nothing else");
    for (_, error) in returned {
        assert!(error.is(ErrorId::NOT_WRITABLE), "{error}");
    }
}

/// Sets the size from which on a process cannot write to a file.
fn set_file_size_limit(process: Pid, bytes: u64) {
    let (pid, mut limit) = (process.as_raw(), libc::rlimit { rlim_cur: 0, rlim_max: 0 });
    // SAFETY: `limit` is valid for the call, which writes the present limit to it and keeps no pointer. No
    // limit is set.
    let read = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, std::ptr::null(), &mut limit) };
    limit.rlim_cur = bytes.min(limit.rlim_max);
    // SAFETY: `limit` is valid for the call, which keeps no pointer. The old limit is not asked for.
    let set = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!((read, set), (0, 0), "{}", std::io::Error::last_os_error());
}

fn in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let first = on_file(&path);
    let share = first.spawn(0, |_, _| Ok(())).unwrap();
    let error = on_file(&path).spawn(1, |_, _| Ok(())).err().unwrap();
    assert!(error.is(ErrorId::BACKEND_IN_USE) && error.to_string().contains("has this file open"), "{error}");
    share.join().unwrap();
    on_file(&path).mikobase(1, |_, _| Ok(())).unwrap();
}

/// The length of a pk in bytes. A write of this size to a pipe is atomic.
const PK_LENGTH: usize = 36;

/// The seed of the random moments, fixed so that a failure can be repeated.
const SEED: u64 = 1;

fn killed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    write_and_kill(&path);
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (pragma, expected) in [("integrity_check", "ok"), ("foreign_key_check", "")] {
        let said = connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, String>(0));
        assert_eq!(said.unwrap_or_default(), expected);
    }
}

fn killed_on_a_worldlet() {
    let folder = tempfile::tempdir().unwrap();
    write_and_kill(&folder.path().join("crew.json"));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "unfinished files are removed");
}

/// Shares a file and kills its server a hundred times.
fn write_and_kill(path: &Path) {
    let mut random = Random::quiet(SEED);
    let mut acknowledged = Vec::new();
    for _ in 0..100 {
        let (acks, spins) = (1 + random.below(12), random.below(200_000));
        acknowledged.extend(write_until_killed(path, acks, spins));
    }
    assert!(acknowledged.len() >= 100);
    let db = backend::open(path.to_str().unwrap()).unwrap();
    let lost = acknowledged.iter().filter(|pk| db.record_by_pk(pk).unwrap().is_none());
    assert_eq!(lost.count(), 0, "of {} writes", acknowledged.len());
    // Unacknowledged writes may be missing, but no batch is stored in part.
    assert_eq!(db.by_class("test.org/pair").unwrap().count() % 2, 0);
}

/// Shares the file with three writers and kills the server some time after `acks` acknowledged writes.
/// Returns the pks of all acknowledged writes.
fn write_until_killed(path: &Path, acks: usize, spins: usize) -> Vec<String> {
    let (reading, writing) = pipe().unwrap();
    let (mut reading, writing) = (File::from(reading), File::from(writing));
    let uds = on_file(path);
    let acknowledge = writing.try_clone().unwrap();
    let share = uds.spawn(3, move |db, worker| {
        let pair = || json!({"action": "create", "class": "test.org/pair", "bucket": {}});
        while let Ok(pk) = create(db, worker.index()) {
            (&acknowledge).write_all(pk.as_bytes())?;
            if db.batch(vec![pair(), pair()], true).is_err() {
                break;
            }
        }
        Ok(())
    });
    let share = share.unwrap();
    drop(writing);
    let mut first = vec![0; PK_LENGTH * acks];
    reading.read_exact(&mut first).unwrap();
    for spin in 0..spins {
        std::hint::black_box(spin);
    }
    kill(server_of(share.path()), Signal::SIGKILL).unwrap();
    let failed = share.join().unwrap_err();
    assert!(failed.error().is(ErrorId::SERVER_GONE), "{failed}");
    drop(failed);
    let mut rest = Vec::new();
    reading.read_to_end(&mut rest).unwrap();
    let all = [first, rest].concat();
    all.chunks(PK_LENGTH).map(|pk| String::from_utf8(pk.to_vec()).unwrap()).collect()
}

/// Kills an import after a random part of the worldlet, and during its commit.
fn killed_imports() {
    const RECORDS: usize = 500;
    let records: serde_json::Map<_, _> =
        (0..RECORDS).map(|n| (format!("r{n}"), json!({"bucket": {"n": n}}))).collect();
    let worldlet = json!({ "records": records }).to_string();
    let mut random = Random::quiet(SEED);
    for name in ["crew.db", "crew.json"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let count = || backend::open(path.to_str().unwrap()).unwrap().count(json!({})).unwrap();
        for _ in 0..40 {
            let sent = random.below(worldlet.len());
            import_until_killed(&path, &worldlet[..sent], Some(0));
            assert_eq!(count(), 0, "killed after {sent} bytes of {}", worldlet.len());
            // The next import creates the file again.
            std::fs::remove_file(&path).unwrap();
        }
        for _ in 0..40 {
            import_until_killed(&path, &worldlet, Some(random.below(2_000_000)));
            let count = count();
            assert!(count == 0 || count == RECORDS, "{count} records");
            if count > 0 {
                std::fs::remove_file(&path).unwrap();
            }
        }
        import_until_killed(&path, &worldlet, None);
        assert_eq!(count(), RECORDS);
    }
}

/// Imports a part of a worldlet into a file in another process, and kills that after `spins` iterations, or
/// never.
fn import_until_killed(path: &Path, worldlet: &str, spins: Option<usize>) {
    let (reading, writing) = pipe().unwrap();
    // SAFETY: this process has one thread, as every case has.
    let ForkResult::Parent { child } = (unsafe { fork() }).unwrap() else {
        drop(writing);
        let db = backend::open(path.to_str().unwrap()).unwrap();
        let imported = db.read_worldlet(&mut File::from(reading), false);
        // SAFETY: `_exit` ends the process without the exit handlers of the parent.
        unsafe { nix::libc::_exit(i32::from(imported.is_err())) }
    };
    drop(reading);
    let mut writing = File::from(writing);
    writing.write_all(worldlet.as_bytes()).unwrap();
    if let Some(spins) = spins {
        if spins > 0 {
            drop(writing);
        }
        for spin in 0..spins {
            std::hint::black_box(spin);
        }
        // The process may have ended already.
        kill(child, Signal::SIGKILL).unwrap();
        waitpid(child, None).unwrap();
    } else {
        drop(writing);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
    }
}
